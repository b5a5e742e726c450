package e2e

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/simulator"
)

// The app ids that the E-Rezept app registers, and two of its channels.
const (
	erpIOS      = "de.gematik.erp4ios.eRezept.apns"
	erpAndroid  = "de.gematik.ti.erp.app.firebase"
	erpActivate = "erp.task.activate"
	erpNew      = "erp.communication.new"

	submitPath = "/notification-service/v1/notifications"
	eventPath  = "/notification-service/v1/matrix-events"
)

// erpApps are the gateway's apps, beside those of the harness.
const erpApps = `  - app_id: ` + erpIOS + `
    apns: {topic: com.example.app, key_file: {{.C.APNsKeyFile}}, key_id: {{.C.APNsKeyID}}, team_id: {{.C.APNsTeamID}}, endpoint: "{{.APNs}}", ca_file: {{.C.CAFile}}}
  - app_id: ` + erpAndroid + `
    fcm: {project_id: {{.C.ProjectID}}, service_account_file: {{.C.ServiceAccountFile}}, endpoint: "{{.FCM}}", ca_file: {{.C.CAFile}}}
`

// senderConfig runs the roles that keep pushers and send, with the gateway elsewhere. The ladder is short, as the tests
// wait for it.
const senderConfig = `roles: [clientserver, fachdienst]
data_dir: data
listen:
  public: 127.0.0.1:0
  tls: {address: "127.0.0.1:0", cert_file: server.crt, key_file: server.key, client_ca_file: ca.pem}
  admin: 127.0.0.1:0
storage: %s
senders: [{san: backend.example.com, channels: ["erp.*", matrix]}, {san: narrow.example.com, channels: [erp.none]}]
limits: {writes_per_user: 10000/s, writes_per_address: 10000/s}
auth: {tokens_file: tokens.yaml}
fachdienst:
  encryption: required
  gateways: ["https://%s/push/v1/"]
  gateway_client: {cert_file: fd.crt, key_file: fd.key, ca_file: ca.pem}
  retry: {initial: 100ms, max: 500ms, give_up: 12h}
  channels: [{id: erp.task.activate, default: not_set}, {id: erp.communication.new, default: not_set}, {id: erp.task.close, default: not_set}]
egress: {allow_networks: ["127.0.0.0/8"]}
log: {level: %s, format: json}
`

// loop is a sender, a gateway and a simulator, each a process of its own. Both addresses outlive a restart of the
// gateway, as in a real house.
type loop struct {
	sim     *harness.Sim
	gateway *harness.Node
	at      string // the gateway's host and port

	*harness.Process // the sender
	dir              string
	addr             map[string]string
	backend          *http.Client
}

// loopOptions are what tests vary.
type loopOptions struct {
	storage string
	level   string
	users   []string // as tokens.yaml spells them
	sim     []string
	gateway string // the section
}

// newLoop starts everything.
func newLoop(t testing.TB, o loopOptions) *loop {
	t.Helper()
	l := &loop{sim: harness.StartSim(t, o.sim...), dir: t.TempDir(), at: freePort(t)}
	if o.storage == "" {
		o.storage = "{url: sqlite}"
	}
	if o.level == "" {
		o.level = "info"
	}
	set := harness.Settings{Apps: erpApps, LogLevel: o.level, Gateway: o.gateway}
	l.gateway = harness.NewNode(t, l.sim, set)
	text, err := os.ReadFile(l.gateway.ConfigFile())
	require.NoError(t, err)
	fixed := strings.Replace(string(text), `tls: {address: "127.0.0.1:0"`, `tls: {address: "`+l.at+`"`, 1)
	require.Contains(t, fixed, l.at)
	l.gateway.WriteFile(t, filepath.Base(l.gateway.ConfigFile()), []byte(fixed))
	l.gateway.Up(t)

	l.write(t, "ca.pem", string(l.gateway.CA.CertPEM()))
	pair := func(p *mtls.Pair, err error) func(name string) {
		return func(name string) {
			require.NoError(t, err)
			_, _, err := p.Write(l.dir, name)
			require.NoError(t, err)
		}
	}
	pair(l.gateway.CA.Server())("server")
	pair(l.gateway.CA.Client("fd.example.com"))("fd")
	var tokens strings.Builder
	for _, user := range o.users {
		fmt.Fprintf(&tokens, "- {token_sha256: %x, user_id: %q, device_id: session}\n", sha256.Sum256([]byte(tokenOf(user))), user)
	}
	l.write(t, "tokens.yaml", tokens.String())
	l.write(t, "key", strings.Repeat("42", 32)+"\n")
	l.write(t, "pushgate.yaml", fmt.Sprintf(senderConfig, o.storage, l.at, o.level))
	l.backend = l.gateway.Client(t, "backend.example.com")
	return l.up(t)
}

// tokenOf is a user's bearer token.
func tokenOf(user string) string { return fmt.Sprintf("secret-token-%x", user) }

func (l *loop) write(t testing.TB, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600))
}

// freePort is an address below the ports that the system hands out, so that nobody gets it while its owner is dead.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		n, err := rand.Int(rand.Reader, big.NewInt(12_000))
		require.NoError(t, err)
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+n.Int64()))
		if err != nil {
			continue
		}
		require.NoError(t, l.Close())
		return l.Addr().String()
	}
	require.Fail(t, "no free port")
	return ""
}

// up starts the sender.
func (l *loop) up(t testing.TB) *loop {
	t.Helper()
	l.Process = harness.Start(t, nil, nil, "serve", "--config", filepath.Join(l.dir, "pushgate.yaml"))
	addr, err := l.Ready()
	require.NoError(t, err)
	l.addr = addr
	return l
}

// restart kills the sender and starts it again.
func (l *loop) restart(t testing.TB) {
	t.Helper()
	l.Kill()
	l.Wait(t)
	l.up(t)
}

// do makes one request; a user makes it an app's, none a backend's.
func (l *loop) do(c *http.Client, user, method, url, key, body string) (harness.Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return harness.Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	if user != "" {
		req.Header.Set("Authorization", "Bearer "+tokenOf(user))
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.Do(req)
	if err != nil {
		return harness.Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return harness.Answer{Status: res.StatusCode, Header: res.Header, Body: string(text)}, err
}

// app makes one request of a user's app, which must be answered 200.
func (l *loop) app(t testing.TB, user, method, path, body string) string {
	t.Helper()
	a, err := l.do(http.DefaultClient, user, method, "http://"+l.addr["public"]+path, "", body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	return a.Body
}

// submit makes one request of a backend.
func (l *loop) submit(t testing.TB, path, key, body string) harness.Answer {
	t.Helper()
	a, err := l.do(l.backend, "", http.MethodPost, "https://"+l.addr["tls"]+path, key, body)
	require.NoError(t, err)
	return a
}

// status submits an event that must be accepted and returns what the receipt says.
func (l *loop) status(t testing.TB, path, key, body string) (id, status string) {
	t.Helper()
	a := l.submit(t, path, key, body)
	require.Equal(t, http.StatusAccepted, a.Status, a.Body)
	var receipt struct {
		ID     string `json:"notification_id"`
		Status string `json:"status"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &receipt))
	require.NotEmpty(t, receipt.ID)
	return receipt.ID, receipt.Status
}

// accept is status for an event that at least one device gets.
func (l *loop) accept(t testing.TB, path, body string) {
	t.Helper()
	_, status := l.status(t, path, "", body)
	require.Contains(t, []string{"accepted", "queued"}, status)
}

// enroll registers a phone as its app does, and switches channels on.
func (l *loop) enroll(t testing.TB, user string, p phone, channels ...string) {
	t.Helper()
	form := iosForm
	if p.app == erpAndroid {
		form = androidForm
	}
	form = strings.NewReplacer("<url>", `https:\/\/`+l.at+`\/push\/v1\/`, "<key>", p.key, "<month>", p.created, "<iss>", p.iss, "<id>", p.keyID).Replace(form)
	require.JSONEq(t, `{}`, l.app(t, user, http.MethodPost, "/push/v1/pushers/set", form))
	var list []string
	for _, c := range channels {
		list = append(list, fmt.Sprintf(`{"id":%q,"status":"enabled"}`, c))
	}
	if list != nil {
		require.JSONEq(t, `{}`, l.app(t, user, http.MethodPost, "/push/v1/channels/"+p.key, `{"channels":[`+strings.Join(list, ",")+`]}`))
	}
}

// settled waits until neither the sender nor the gateway holds anything any more.
func (l *loop) settled(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		m, err := l.metrics()
		// The count of rows may be a little behind while pushers are removed with theirs.
		if err != nil || !strings.Contains(m, "\npushgate_outbox_rows 0\n") || !strings.Contains(m, "\npushgate_outbox_rows_held 0\n") {
			return false
		}
		a, err := l.gateway.TryAdmin("/metrics")
		return err == nil && strings.Contains(a.Body, "\npushgate_devices_pending 0\n")
	}, harness.Patience, 50*time.Millisecond, "something still waits")
}

// metrics scrapes the sender.
func (l *loop) metrics() (string, error) {
	a, err := l.do(http.DefaultClient, "", http.MethodGet, "http://"+l.addr["admin"]+"/metrics", "", "")
	return a.Body, err
}

// arrivals are what one phone got, in the order of arrival.
func (l *loop) arrivals(t testing.TB, token string) []simulator.Receipt {
	t.Helper()
	var out []simulator.Receipt
	for _, r := range l.sim.Log(t) {
		if r.Token == token && r.Delivered {
			out = append(out, r)
		}
	}
	return out
}

// thisMonth is the month that a sender encrypts for, and months before it.
func thisMonth(t testing.TB, back int) string {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	now := time.Now().In(berlin)
	return time.Date(now.Year(), now.Month()-time.Month(back), 1, 0, 0, 0, 0, time.UTC).Format("2006-01")
}

// notice is what a backend sends; members are further ones, each with a comma before it.
func notice(user, channel, payload, members string) string {
	return fmt.Sprintf(`{"user":{"id_type":"kvnr","value":%q},"channel":%q,"payload":%s%s}`, strings.TrimPrefix(user, "kvnr:"), channel, payload, members)
}
