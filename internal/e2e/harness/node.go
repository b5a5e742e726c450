package harness

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/mtls"
)

// The apps of the configuration, unless Settings.Apps says otherwise.
const (
	AppIOS     = "com.example.app.ios"
	AppAndroid = "com.example.app.android"
	AppWeb     = "com.example.app.web"
	AppCert    = "com.example.cert.ios"
)

// configText is a configuration as an operator writes it, with simulators for providers.
const configText = `roles: [gateway]
data_dir: {{.DataDir}}
listen:
  public: 127.0.0.1:0
  tls: {address: "127.0.0.1:0", cert_file: server.crt, key_file: server.key, client_ca_file: ca.pem{{.TLS}}}
  admin: 127.0.0.1:0
storage: {{.Storage}}
gateway: {{.Gateway}}
senders: {{.Senders}}
apps:
{{.Apps}}egress: {allow_networks: ["127.0.0.0/8"]}
log: {level: {{.LogLevel}}, format: json}
`

// appsText has one app for each way to reach a provider.
const appsText = `  - app_id: com.example.app.ios
    apns: {topic: com.example.app, key_file: {{.C.APNsKeyFile}}, key_id: {{.C.APNsKeyID}}, team_id: {{.C.APNsTeamID}}, endpoint: "{{.APNs}}", ca_file: {{.C.CAFile}}{{.More}}}
  - app_id: com.example.cert.ios
    apns: {topic: {{.C.APNsTopic}}, cert_file: {{.C.APNsP12File}}, cert_password_file: {{.C.APNsP12PasswordFile}}, endpoint: "{{.APNs}}", ca_file: {{.C.CAFile}}{{.More}}}
  - app_id: com.example.app.android
    fcm: {project_id: {{.C.ProjectID}}, service_account_file: {{.C.ServiceAccountFile}}, endpoint: "{{.FCM}}", ca_file: {{.C.CAFile}}{{.More}}}
  - app_id: "com.example.app.web*"
    webpush: {vapid_private_key_file: {{.C.VAPIDKeyFile}}, contact: "mailto:ops@example.com", allowed_hosts: ["{{.WebPushHost}}"], ca_file: {{.C.CAFile}}{{.More}}}
`

// Settings are what tests vary, as YAML. The zero value is a quiet gateway on SQLite that wants client certificates.
type Settings struct {
	Storage  string // the section, for instance {url: sqlite}
	Gateway  string // the section
	Senders  string // the list
	LogLevel string
	TLS      string // members appended to listen.tls: ", crl_file: x"
	More     string // members appended to every app: ", max_in_flight: 8"
	Apps     string // further apps, each line with its indent of two
	APNs     string // endpoint instead of the simulator's
	DataDir  string // instead of a folder of the node's own
}

// Node is one gateway process with its folder, which outlives it.
type Node struct {
	*Process
	Dir string
	Sim *Sim
	CA  *mtls.Authority

	mu   sync.Mutex
	addr map[string]string
}

// NewNode writes certificates and configuration.
func NewNode(t testing.TB, s *Sim, set Settings) *Node {
	t.Helper()
	n := &Node{Dir: t.TempDir(), Sim: s}
	var err error
	n.CA, err = mtls.NewAuthority("e2e")
	require.NoError(t, err)
	n.WriteFile(t, "ca.pem", n.CA.CertPEM())
	server, err := n.CA.Server()
	require.NoError(t, err)
	_, _, err = server.Write(n.Dir, "server")
	require.NoError(t, err)
	n.Configure(t, set)
	return n
}

// WriteFile writes a file beside the configuration.
func (n *Node) WriteFile(t testing.TB, name string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(n.Dir, name), content, 0o600))
}

// Configure writes the configuration anew.
func (n *Node) Configure(t testing.TB, set Settings) {
	t.Helper()
	info := n.Sim.Info
	values := map[string]any{
		"DataDir": orElse(set.DataDir, filepath.Join(n.Dir, "data")), "Storage": orElse(set.Storage, "{url: sqlite}"),
		"Gateway": orElse(set.Gateway, "{require_client_cert: true}"), "Senders": orElse(set.Senders, "[]"),
		"LogLevel": orElse(set.LogLevel, "info"), "TLS": set.TLS, "More": set.More,
		"C": info.Credentials, "APNs": orElse(set.APNs, info.APNs), "FCM": info.FCM, "WebPushHost": strings.TrimPrefix(info.WebPush, "https://"),
	}
	values["Apps"] = fill(t, appsText+set.Apps, values)
	n.WriteFile(t, filepath.Base(n.ConfigFile()), []byte(fill(t, configText, values)))
}

func fill(t testing.TB, text string, values any) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, template.Must(template.New("").Parse(text)).Execute(&out, values))
	return out.String()
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// ConfigFile is the path of the configuration.
func (n *Node) ConfigFile() string { return filepath.Join(n.Dir, "pushgate.yaml") }

// Up starts the process and waits until it is ready.
func (n *Node) Up(t testing.TB) *Node {
	t.Helper()
	require.NoError(t, n.Launch(t))
	return n
}

// Launch is Up for a process that may fail to start.
func (n *Node) Launch(t testing.TB) error {
	t.Helper()
	n.Process = Start(t, nil, nil, "serve", "--config", n.ConfigFile())
	addr, err := n.Ready()
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.addr = addr
	n.mu.Unlock()
	return nil
}

// Addr returns where a listener (public, tls, admin) of the latest process is.
func (n *Node) Addr(listener string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr[listener]
}

// StartGateway returns a running gateway.
func StartGateway(t testing.TB, s *Sim, set Settings) *Node {
	t.Helper()
	return NewNode(t, s, set).Up(t)
}

// Client returns an HTTP client that trusts the gateway and, with names, presents a certificate for them.
func (n *Node) Client(t testing.TB, names ...string) *http.Client {
	t.Helper()
	if len(names) == 0 {
		return n.ClientWith(t, nil)
	}
	pair, err := n.CA.Client(names...)
	require.NoError(t, err)
	return n.ClientWith(t, pair)
}

// ClientWith is Client with a certificate made elsewhere; nil presents none.
func (n *Node) ClientWith(t testing.TB, pair *mtls.Pair) *http.Client {
	t.Helper()
	cfg := &tls.Config{RootCAs: n.CA.Pool(), MinVersion: tls.VersionTLS12}
	if pair != nil {
		cert, err := pair.TLS()
		require.NoError(t, err)
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil } // also one it did not ask for
	}
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: Patience}
}

// Answer is one HTTP answer, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Post sends JSON to the TLS listener.
func (n *Node) Post(t testing.TB, c *http.Client, path, body string) Answer {
	t.Helper()
	a, err := n.Try(c, path, body)
	require.NoError(t, err)
	return a
}

// Try is Post for a request that may fail.
func (n *Node) Try(c *http.Client, path, body string) (Answer, error) {
	return Send(c, "https://"+n.Addr("tls")+path, body)
}

// Send posts JSON and reads the answer.
func Send(c *http.Client, url, body string) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, string(text)}, err
}

// Admin reads a page of the admin listener.
func (n *Node) Admin(t testing.TB, path string) Answer {
	t.Helper()
	a, err := n.TryAdmin(path)
	require.NoError(t, err)
	return a
}

// TryAdmin is Admin for a page that may not come.
func (n *Node) TryAdmin(path string) (Answer, error) {
	c := &http.Client{Timeout: 10 * time.Second}
	res, err := c.Get("http://" + n.Addr("admin") + path)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, string(text)}, err
}
