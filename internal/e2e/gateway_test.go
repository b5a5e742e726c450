package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/mtls"
)

// The apps of every test.
const (
	appIOS     = "com.example.app.ios"
	appAndroid = "com.example.app.android"
	appWeb     = "com.example.app.web"
	appCert    = "com.example.cert.ios"
)

// configText is a configuration as an operator writes it, with simulators for providers.
const configText = `roles: [gateway]
data_dir: {{.DataDir}}
listen:
  public: 127.0.0.1:0
  tls: {address: "127.0.0.1:0", cert_file: server.crt, key_file: server.key, client_ca_file: ca.pem}
  admin: 127.0.0.1:0
storage: {{.Storage}}
gateway: {{.Gateway}}
senders: {{.Senders}}
apps:
  - app_id: com.example.app.ios
    apns: {topic: com.example.app, key_file: {{.C.APNsKeyFile}}, key_id: {{.C.APNsKeyID}}, team_id: {{.C.APNsTeamID}}, endpoint: "{{.APNs}}", ca_file: {{.C.CAFile}}}
  - app_id: com.example.cert.ios
    apns: {topic: {{.C.APNsTopic}}, cert_file: {{.C.APNsP12File}}, cert_password_file: {{.C.APNsP12PasswordFile}}, endpoint: "{{.APNs}}", ca_file: {{.C.CAFile}}}
  - app_id: com.example.app.android
    fcm: {project_id: {{.C.ProjectID}}, service_account_file: {{.C.ServiceAccountFile}}, endpoint: "{{.FCM}}", ca_file: {{.C.CAFile}}}
  - app_id: "com.example.app.web*"
    webpush: {vapid_private_key_file: {{.C.VAPIDKeyFile}}, contact: "mailto:ops@example.com", allowed_hosts: ["{{.WebPushHost}}"], ca_file: {{.C.CAFile}}}
egress: {allow_networks: ["127.0.0.0/8"]}
log: {level: {{.LogLevel}}, format: json}
`

// settings are what tests vary. The zero value is a quiet gateway on SQLite that wants client certificates.
type settings struct {
	Storage  string
	Gateway  string
	Senders  string
	LogLevel string
	Apps     string // appended to the configuration
}

// node is one gateway process with its folder, which outlives it.
type node struct {
	*process
	dir      string
	sim      *sim
	settings settings
	ca       *mtls.Authority
	addr     map[string]string
}

// newNode writes certificates and configuration.
func newNode(t *testing.T, s *sim, set settings) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), sim: s, settings: set}
	var err error
	n.ca, err = mtls.NewAuthority("e2e")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(n.dir, "ca.pem"), n.ca.CertPEM(), 0o600))
	server, err := n.ca.Server()
	require.NoError(t, err)
	_, _, err = server.Write(n.dir, "server")
	require.NoError(t, err)
	n.configure(t, set)
	return n
}

// configure writes the configuration anew.
func (n *node) configure(t *testing.T, set settings) {
	t.Helper()
	orElse := func(s *string, otherwise string) {
		if *s == "" {
			*s = otherwise
		}
	}
	orElse(&set.Storage, "{url: sqlite}")
	orElse(&set.Gateway, "{require_client_cert: true}")
	orElse(&set.Senders, "[]")
	orElse(&set.LogLevel, "info")
	var text bytes.Buffer
	require.NoError(t, template.Must(template.New("").Parse(configText)).Execute(&text, map[string]any{
		"DataDir": filepath.Join(n.dir, "data"), "Storage": set.Storage, "Gateway": set.Gateway, "Senders": set.Senders, "LogLevel": set.LogLevel,
		"C": n.sim.info.Credentials, "APNs": n.sim.info.APNs, "FCM": n.sim.info.FCM, "WebPushHost": strings.TrimPrefix(n.sim.info.WebPush, "https://"),
	}))
	require.NoError(t, os.WriteFile(n.configFile(), text.Bytes(), 0o600))
}

func (n *node) configFile() string { return filepath.Join(n.dir, "pushgate.yaml") }

// up starts the process and waits until it is ready.
func (n *node) up(t *testing.T) *node {
	t.Helper()
	n.process = start(t, nil, nil, "serve", "--config", n.configFile())
	addr, err := n.ready()
	require.NoError(t, err)
	n.addr = addr
	return n
}

// startGateway returns a running gateway.
func startGateway(t *testing.T, s *sim, set settings) *node {
	t.Helper()
	return newNode(t, s, set).up(t)
}

// client returns an HTTP client that trusts the gateway and, with names, presents a certificate for them.
func (n *node) client(t *testing.T, names ...string) *http.Client {
	t.Helper()
	cfg := &tls.Config{RootCAs: n.ca.Pool(), MinVersion: tls.VersionTLS12}
	if len(names) > 0 {
		pair, err := n.ca.Client(names...)
		require.NoError(t, err)
		cert, err := pair.TLS()
		require.NoError(t, err)
		cfg.Certificates = []tls.Certificate{cert}
	}
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// answer is one HTTP answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// post sends JSON to the TLS listener.
func (n *node) post(t *testing.T, c *http.Client, path, body string) answer {
	t.Helper()
	a, err := n.try(c, path, body)
	require.NoError(t, err)
	return a
}

func (n *node) try(c *http.Client, path, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+n.addr["tls"]+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text)}, err
}

// admin reads a page of the admin listener.
func (n *node) admin(t *testing.T, path string) answer {
	t.Helper()
	c := &http.Client{Timeout: 10 * time.Second}
	res, err := c.Get("http://" + n.addr["admin"] + path)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, res.Header, string(text)}
}
