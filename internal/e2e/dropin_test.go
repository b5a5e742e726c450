package e2e

import (
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

// standIn is a pushgate in the place of another gateway, with its listeners' addresses.
type standIn struct {
	*harness.Process
	addr map[string]string
}

func serve(t *testing.T, env []string, config string) standIn {
	t.Helper()
	p := harness.Start(t, nil, env, "serve", "--config", config)
	addr, err := p.Ready()
	require.NoError(t, err)
	return standIn{p, addr}
}

// post sends JSON to the plain listener.
func (s standIn) post(t *testing.T, path, body string) harness.Answer {
	t.Helper()
	a, err := harness.Send(http.DefaultClient, "http://"+s.addr["public"]+path, body)
	require.NoError(t, err)
	return a
}

// command runs a command of the binary to its end.
func command(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	p := harness.Start(t, nil, nil, args...)
	code = p.Wait(t)
	return code, p.Output()
}

// sygnalFile has every documented key (facts/sygnal.md 1.8) in a form that starts, as an operator has it.
const sygnalFile = `http: {port: 0, bind_addresses: ["127.0.0.1"]}
log:
  setup:
    version: 1
    formatters: {normal: {format: "%%(asctime)s %%(message)s"}}
    handlers: {stderr: {class: logging.StreamHandler, formatter: normal}}
    loggers: {sygnal: {propagate: false, handlers: [stderr]}}
    root: {handlers: [stderr], level: INFO}
    disable_existing_loggers: false
  access: {x_forwarded_for: true, file: access.log, enabled: true}
metrics:
  prometheus: {enabled: true, address: 127.0.0.1, port: 0}
  opentracing: {enabled: true, implementation: jaeger, jaeger: {sampler: {type: const}}, service_name: sygnal}
  sentry: {enabled: true, dsn: "https://x@sentry.example/1"}
proxy: "http://sygnal:pr0xy-canary@%s"
db: {name: sqlite3}
database: {name: psycopg2}
apps:
  com.example.token:
    type: apns
    platform: sandbox
    keyfile: %s
    key_id: %s
    team_id: %s
    topic: com.example.app
    push_type: alert
    convert_device_token_to_hex: true
    inflight_request_limit: 512
    send_badge_counts: true
  "com.example.cert.*": {type: apns, platform: prod, certfile: %s}
  com.example.android:
    type: gcm
    api_version: v1
    api_key: old-canary
    project_id: %s
    service_account_file: %s
    fcm_options: {collapse_key: room, android: {ttl: 3600s, notification: {channel_id: messages}}, apns: {payload: {aps: {mutable-content: 1}}}}
    max_connections: 20
    inflight_request_limit: 512
    send_badge_counts: true
  com.example.legacy: {type: gcm, api_key: old-canary}
  com.example.web:
    type: webpush
    vapid_private_key: %s
    vapid_contact_email: ops@example.com
    allowed_endpoints: ["%s", "*.push.services.mozilla.com"]
    ttl: 1200
    max_connections: 20
    inflight_request_limit: 512
`

// pointAt appends what a test needs and an operator does not: where the simulators are.
func pointAt(t *testing.T, file string, sections map[string]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	out := string(text)
	for name, lines := range sections {
		section := "\n    " + name + ":\n"
		require.Contains(t, out, section)
		out = strings.ReplaceAll(out, section, section+lines)
	}
	require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
}

// TestDropIn_Sygnal imports a configuration with every documented key, starts it, and delivers for each kind of app,
// through the proxy that the file names, to where Sygnal would have delivered.
func TestDropIn_Sygnal(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	web, ua := startPushService(t), newUserAgent(t)
	proxy := startTunnels(t, "sygnal", "pr0xy-canary")
	c, dir := s.Info.Credentials, t.TempDir()
	webHost := pushServiceName + ":" + portOf(t, web.addr)
	foreign, config := filepath.Join(dir, "sygnal.yaml"), filepath.Join(dir, "pushgate.yaml")
	require.NoError(t, os.WriteFile(foreign, fmt.Appendf(nil, sygnalFile, proxy.addr, c.APNsKeyFile, c.APNsKeyID, c.APNsTeamID, c.APNsPEMFile,
		c.ProjectID, c.ServiceAccountFile, c.VAPIDKeyFile, webHost), 0o600))

	code, notes := command(t, "config", "import", "sygnal", "-o", config, foreign)
	require.Zero(t, code, notes)
	require.NotContains(t, notes, "canary")
	require.Contains(t, notes, "apps.com.example.android.fcm_options.collapse_key")
	pointAt(t, config, map[string]string{
		"apns":    fmt.Sprintf("      endpoint: %s\n      ca_file: %s\n", s.Info.APNs, c.CAFile),
		"fcm":     fmt.Sprintf("      endpoint: %s\n      ca_file: %s\n", s.Info.FCM, c.CAFile),
		"webpush": fmt.Sprintf("      ca_file: %s\n", web.caFile),
	})
	code, out := command(t, "config", "check", config)
	require.Zero(t, code, out)
	g := serve(t, nil, config)

	health, err := http.Get("http://" + g.addr["public"] + "/health")
	require.NoError(t, err)
	_ = health.Body.Close()
	require.Equal(t, http.StatusOK, health.StatusCode)

	event := `"event_id":"$e%d","room_id":"!r:x","type":"m.room.message","sender":"@a:x","sender_display_name":"Ada","room_name":"R","prio":"low",
		"content":{"msgtype":"m.text","body":"hi"},"counts":{"unread":1}`
	apns := `{"aps":{"alert":{"loc-key":"MSG_FROM_USER_IN_ROOM_WITH_CONTENT","loc-args":["Ada","R","hi"]},"badge":1},"room_id":"!r:x","event_id":"$e%d"}`
	for i, want := range []struct {
		device string
		simulator.Receipt
		payload string
	}{
		{`{"app_id":"com.example.token","pushkey":"` + iosToken + `"}`, simulator.Receipt{Service: simulator.APNs, Token: iosToken, Topic: "com.example.app", Priority: "5", PushType: "alert"}, apns},
		{`{"app_id":"com.example.cert.ios","pushkey":"` + iosToken + `"}`, simulator.Receipt{Service: simulator.APNs, Token: iosToken, Topic: c.APNsTopic, Priority: "5", PushType: "alert"}, apns},
		{`{"app_id":"com.example.android","pushkey":"` + androidToken + `"}`, simulator.Receipt{Service: simulator.FCM, Token: androidToken, Topic: c.ProjectID, Priority: "normal", PushType: "notification"},
			`{"message":{"token":"` + androidToken + `","android":{"priority":"normal","ttl":"3600s","notification":{"channel_id":"messages"}},"apns":{"payload":{"aps":{"mutable-content":1}}},
			"data":{"event_id":"$e%d","type":"m.room.message","sender":"@a:x","sender_display_name":"Ada","room_name":"R","room_id":"!r:x","content_msgtype":"m.text","content_body":"hi","prio":"normal","unread":"1"}}}`},
	} {
		a := g.post(t, "/_matrix/push/v1/notify", fmt.Sprintf(`{"notification":{`+event+`,"devices":[%s]}}`, i, want.device))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		require.JSONEq(t, `{"rejected":[]}`, a.Body)
		got := s.Delivered(t, uint64(i+1))[i]
		require.JSONEq(t, fmt.Sprintf(want.payload, i), string(got.Payload))
		require.Equal(t, []string{string(want.Service), want.Token, want.Topic, want.Priority}, []string{string(got.Service), got.Token, got.Topic, got.Priority})
		if want.Service == simulator.APNs {
			require.Equal(t, want.PushType, got.PushType)
		}
	}

	a := g.post(t, "/_matrix/push/v1/notify", fmt.Sprintf(`{"notification":{`+event+`,"devices":[%s]}}`, 9, ua.device("com.example.web", "https://"+webHost+"/s/1")))
	require.JSONEq(t, `{"rejected":[]}`, a.Body)
	got := web.next(t)
	require.JSONEq(t, `{"room_id":"!r:x","room_name":"R","event_id":"$e9","sender":"@a:x","sender_display_name":"Ada","type":"m.room.message","unread":1,"content":{"msgtype":"m.text","body":"hi"}}`, ua.open(t, got))
	require.Equal(t, "1200", got.header.Get("TTL"))
	require.Equal(t, "low", got.header.Get("Urgency"))

	for _, app := range []string{"com.example.legacy", "com.example.never"} {
		a := g.post(t, "/_matrix/push/v1/notify", `{"notification":{"event_id":"$u","devices":[{"app_id":"`+app+`","pushkey":"x"}]}}`)
		require.JSONEq(t, `{"rejected":[]}`, a.Body, "an app that is not configured deletes no pusher")
	}
	require.Positive(t, proxy.to(strings.TrimPrefix(s.Info.APNs, "https://")))
	require.Positive(t, proxy.to(strings.TrimPrefix(s.Info.FCM, "https://")))
	require.Equal(t, 1, proxy.to(webHost))
	opened, refused := proxy.total()
	require.Zero(t, refused)
	require.Greater(t, opened, proxy.to(strings.TrimPrefix(s.Info.APNs, "https://"))+proxy.to(strings.TrimPrefix(s.Info.FCM, "https://"))+1, "the access token's request went through the proxy too")
	require.NotContains(t, g.Output(), "canary")
}

const gematikFile = `push:
  apns:
    - {enabled: true, server: "%s", bundleId: com.example.app, authMethod: TOKEN, tokenAuth: {token: %s, keyId: %s, teamId: %s}, receivingAppIds: [com.example.app.apns]}
    - {enabled: true, server: "%s", bundleId: %s, authMethod: CERTIFICATE, certificateAuth: {certificatePath: %s, passwordPath: %s}, receivingAppIds: [com.example.cert.apns]}
    - {enabled: false, server: api.push.apple.com, bundleId: off}
  firebase:
    - {enabled: true, projectId: %s, credentialsPath: %s, receivingAppIds: [p.android.firebase]}
`

// TestDropIn_Gematik does the same for the reference gateway, with what its callers send (facts/gematik.md 4).
func TestDropIn_Gematik(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	c, dir := s.Info.Credentials, t.TempDir()
	apple := strings.TrimPrefix(s.Info.APNs, "https://")
	foreign, config := filepath.Join(dir, "push.yaml"), filepath.Join(dir, "pushgate.yaml")
	require.NoError(t, os.WriteFile(foreign, fmt.Appendf(nil, gematikFile, apple, c.APNsKeyFile, c.APNsKeyID, c.APNsTeamID,
		apple, c.APNsTopic, c.APNsP12File, c.APNsP12PasswordFile, c.ProjectID, c.ServiceAccountFile), 0o600))
	code, notes := command(t, "config", "import", "gematik", "-o", config, foreign)
	require.Zero(t, code, notes)
	pointAt(t, config, map[string]string{
		"apns": fmt.Sprintf("      ca_file: %s\n", c.CAFile),
		"fcm":  fmt.Sprintf("      endpoint: %s\n      ca_file: %s\n", s.Info.FCM, c.CAFile),
	})
	g := serve(t, []string{"PUSHGATE_LISTEN_PUBLIC=127.0.0.1:0", "PUSHGATE_LISTEN_ADMIN=127.0.0.1:0"}, config)
	for i, want := range []struct{ app, key, priority string }{
		{"com.example.app.apns", iosToken, "5"}, {"com.example.cert.apns", iosToken, "5"}, {"p.android.firebase", androidToken, "normal"},
	} {
		a := g.post(t, "/push/v1/notifyEncrypted/batch", fmt.Sprintf(`{"notifications":[{"id":"u%d","notification":{"ciphertext":%q,"time_message_encrypted":"2026-07",
			"key_identifier":"K","identifier":"audit-%d","prio":"low","device":{"app_id":%q,"pushkey":%q,"pushkey_ts":1750000000,"data":{"format":"x"}}}}]}`, i, ciphertext(want.app), i, want.app, want.key))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		require.JSONEq(t, fmt.Sprintf(`{"results":[{"id":"u%d","rejected":[],"status":"success"}],"summary":{"failed":0,"partial":0,"successful":1,"total":1}}`, i), a.Body)
		got := s.Delivered(t, uint64(i+1))[i]
		require.Equal(t, want.priority, got.Priority)
		require.Equal(t, want.key, got.Token)
		require.Contains(t, string(got.Payload), `"key_identifier":"K"`)
		require.Empty(t, got.Expiration, "a phone that is offline must still get it")
	}
}
