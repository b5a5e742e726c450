package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// behindProxy is a gateway whose push services have names that only a proxy can resolve.
type behindProxy struct {
	sim       *simulator.Simulator
	web       *pushService
	ua        userAgent
	apns, fcm string // host:port by name
	oauth     string // 127.0.0.1:port, as the account's token_uri has it
	config    string
}

const proxyConfig = `data_dir: data
listen: {public: 127.0.0.1:0, admin: 127.0.0.1:0}
gateway: {gematik: false}
apps:
  - app_id: ios
    apns: {topic: com.example.app, key_file: %s, key_id: %s, team_id: %s, endpoint: "https://%s", ca_file: %s}
  - app_id: android
    fcm: {project_id: %s, service_account_file: %s, endpoint: "https://%s", ca_file: %s}
  - app_id: web
    webpush: {vapid_private_key_file: %s, contact: "mailto:ops@example.com", allowed_hosts: ["%s"], ca_file: %s}
egress: {%s}
`

func newBehindProxy(t *testing.T, egress string) behindProxy {
	t.Helper()
	const apns, fcm = "apns.simulator.example", "fcm.simulator.example"
	sim, err := simulator.Start(simulator.Options{Names: []string{apns, fcm}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sim.Close() })
	dir := t.TempDir()
	c, err := sim.WriteCredentials(dir)
	require.NoError(t, err)
	b := behindProxy{
		sim: sim, web: startPushService(t), ua: newUserAgent(t), config: filepath.Join(dir, "pushgate.yaml"),
		apns:  apns + ":" + portOf(t, strings.TrimPrefix(sim.APNsURL(), "https://")),
		fcm:   fcm + ":" + portOf(t, strings.TrimPrefix(sim.FCMURL(), "https://")),
		oauth: strings.TrimSuffix(strings.TrimPrefix(sim.TokenURL(), "https://"), "/token"),
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte("pr0xy-canary\n"), 0o600))
	require.NoError(t, os.WriteFile(b.config, fmt.Appendf(nil, proxyConfig, c.APNsKeyFile, c.APNsKeyID, c.APNsTeamID, b.apns, c.CAFile,
		c.ProjectID, c.ServiceAccountFile, b.fcm, c.CAFile, c.VAPIDKeyFile, b.webHost(t), b.web.caFile, egress), 0o600))
	return b
}

func (b behindProxy) webHost(t *testing.T) string {
	return pushServiceName + ":" + portOf(t, b.web.addr)
}

// send posts one message and returns when the gateway has answered for it.
func (b behindProxy) send(t *testing.T, g standIn, event, device string) {
	t.Helper()
	a := g.post(t, "/_matrix/push/v1/notify", `{"notification":{"event_id":"`+event+`","room_id":"!r","type":"m.room.message","sender":"@a:x","devices":[`+device+`]}}`)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.JSONEq(t, `{"rejected":[]}`, a.Body)
}

const (
	proxyIOS     = `{"app_id":"ios","pushkey":"` + iosToken + `"}`
	proxyAndroid = `{"app_id":"android","pushkey":"` + androidToken + `"}`
)

// arrived waits for a delivery to each of the services.
func (b behindProxy) arrived(t *testing.T, services ...simulator.Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	_, err := b.sim.WaitDelivered(ctx, len(services))
	require.NoError(t, err)
	got := map[simulator.Service]bool{}
	for _, r := range b.sim.Receipts() {
		got[r.Service] = got[r.Service] || r.Delivered
	}
	for _, s := range services {
		require.True(t, got[s], "%s got nothing", s)
	}
}

// TestProxy_FromTheConfiguration: everything goes through it, the access token's request and Web Push included, and a
// Web Push host that is not allowed never gets as far as CONNECT.
func TestProxy_FromTheConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ user, egress string }{
		"without authentication": {"", `proxy: "http://%s"`},
		"with authentication":    {"pushgate", `proxy: "http://pushgate@%s", proxy_password_file: password`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := startTunnels(t, c.user, "pr0xy-canary")
			b := newBehindProxy(t, fmt.Sprintf(c.egress, proxy.addr))
			g := serve(t, []string{"HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=*"}, b.config) // the file wins over both
			b.send(t, g, "$1", proxyIOS)
			b.send(t, g, "$2", proxyAndroid)
			b.arrived(t, simulator.APNs, simulator.FCM)
			b.send(t, g, "$3", b.ua.device("web", "https://"+b.webHost(t)+"/s/1"))
			require.Contains(t, b.ua.open(t, b.web.next(t)), `"event_id":"$3"`)
			for _, host := range []string{b.apns, b.fcm, b.oauth, b.webHost(t)} {
				require.Positive(t, proxy.to(host), host)
			}

			before, refused := proxy.total()
			require.Zero(t, refused)
			for i, host := range []string{"inside.example", "127.0.0.1:" + portOf(t, b.web.addr), "169.254.169.254", pushServiceName} {
				b.send(t, g, fmt.Sprintf("$x%d", i), b.ua.device("web", "https://"+host+"/s/1"))
			}
			after, _ := proxy.total()
			require.Equal(t, before, after, "strangers' hosts were put before the proxy")
			require.NotContains(t, g.Output(), "canary")
		})
	}
}

// TestProxy_RefusesUs: a wrong password loses nothing and tells no secret.
func TestProxy_RefusesUs(t *testing.T) {
	t.Parallel()
	proxy := startTunnels(t, "pushgate", "another password")
	b := newBehindProxy(t, fmt.Sprintf(`proxy: "http://pushgate@%s", proxy_password_file: password`, proxy.addr))
	g := serve(t, nil, b.config)
	b.send(t, g, "$1", proxyIOS)
	b.send(t, g, "$2", proxyAndroid)
	b.send(t, g, "$3", b.ua.device("web", "https://"+b.webHost(t)+"/s/1"))
	opened, refused := proxy.total()
	require.Zero(t, opened)
	require.GreaterOrEqual(t, refused, 3)
	require.Empty(t, b.sim.Receipts())
	require.Equal(t, 3, queued(t, g), "all three wait")
	require.NotContains(t, g.Output(), "canary")
}

// queued reads how many rows wait.
func queued(t *testing.T, g standIn) int {
	t.Helper()
	res, err := http.Get("http://" + g.addr["admin"] + "/readyz")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	var page struct {
		Checks struct {
			Gateway struct {
				Detail struct {
					Queued *int `json:"queued"`
				} `json:"detail"`
			} `json:"gateway"`
		} `json:"checks"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&page))
	require.NotNil(t, page.Checks.Gateway.Detail.Queued)
	return *page.Checks.Gateway.Detail.Queued
}

// TestProxy_FromTheEnvironment: APNs and FCM follow HTTPS_PROXY, whose hosts only it can resolve; Web Push does not.
func TestProxy_FromTheEnvironment(t *testing.T) {
	t.Parallel()
	proxy := startTunnels(t, "env", "pr0xy-canary")
	b := newBehindProxy(t, "")
	g := serve(t, []string{"HTTPS_PROXY=http://env:pr0xy-canary@" + proxy.addr, "NO_PROXY=", "no_proxy="}, b.config)
	b.send(t, g, "$1", proxyIOS)
	b.send(t, g, "$2", proxyAndroid)
	b.arrived(t, simulator.APNs, simulator.FCM)
	require.Positive(t, proxy.to(b.apns))
	require.Positive(t, proxy.to(b.fcm))
	require.Zero(t, proxy.to(b.oauth), "loopback is never asked of an environment's proxy")
	b.send(t, g, "$3", b.ua.device("web", "https://"+b.webHost(t)+"/s/1"))
	require.Zero(t, proxy.to(b.webHost(t)))
	require.Empty(t, b.web.got)
	require.NotContains(t, g.Output(), "canary")
}

// TestProxy_NoProxy: a host that NO_PROXY names is dialled directly.
func TestProxy_NoProxy(t *testing.T) {
	t.Parallel()
	proxy := startTunnels(t, "", "")
	b := newBehindProxy(t, "")
	g := serve(t, []string{"https_proxy=http://" + proxy.addr, "HTTPS_PROXY=", "NO_PROXY=apns.simulator.example"}, b.config)
	b.send(t, g, "$1", proxyAndroid)
	b.arrived(t, simulator.FCM)
	b.send(t, g, "$2", proxyIOS)
	require.Equal(t, 1, queued(t, g), "no resolver but the proxy's knows the name")
	require.Zero(t, proxy.to(b.apns))
	require.Positive(t, proxy.to(b.fcm))
}
