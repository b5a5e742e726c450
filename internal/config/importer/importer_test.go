package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/config"
	provider "github.com/pushgate/pushgate/internal/provider/apns"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/simulator"
)

// golden compares with testdata/<name>, or writes it when UPDATE_GOLDEN is set.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func render(r Result) string {
	var b strings.Builder
	b.Write(r.YAML)
	b.WriteString("---\n")
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "# %s: %s\n", n.Key, n.Text)
	}
	return b.String()
}

func TestSygnal_EveryKeyIsAccountedFor(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/sygnal-every-key.yaml")
	require.NoError(t, err)
	got, err := Sygnal(text)
	require.NoError(t, err)
	golden(t, "sygnal-every-key.golden", render(got))
	require.Equal(t, map[string]string{"proxy-password": "canary-secret"}, got.Files)
	for _, secret := range []string{"canary-secret", "canary-api-key"} {
		require.NotContains(t, render(got), secret)
	}
	noted := map[string]bool{}
	for _, n := range got.Notes {
		noted[n.Key] = true
	}
	for _, key := range []string{"mystery", "apps.com.example.token.surprise", "db", "database", "metrics.sentry.dsn", "metrics.opentracing.jaeger",
		"log.setup.formatters", "log.access.file", "apps.com.example.legacy.api_key", "apps.com.example.plugin.type", "apps.com.example.web.allowed_endpoints[1]",
		"apps.com.example.android.fcm_options.collapse_key", "apps.com.example.android.fcm_options.android.collapse_key", "apps.com.example.android.fcm_options.time_to_live",
		"apps.com.example.android.fcm_options.android.notification.vibrate_timings", "apps.com.example.android.fcm_options.data.google.x"} {
		require.Truef(t, noted[key], "%s was ignored silently", key)
	}
}

// TestSygnal_Details looks at what the big sample does not: the keys alone, in the shapes that operators write.
func TestSygnal_Details(t *testing.T) {
	t.Parallel()
	const ios = "{type: apns, keyfile: k.p8, key_id: ABC1234567, team_id: TEAM123456, topic: com.example}"
	for name, c := range map[string]struct {
		text  string
		yaml  []string // must be in the result
		notes []string // keys that must have a note
	}{
		"nothing but an app": {
			text:  "apps: {com.example: " + ios + "}",
			yaml:  []string{"public: 127.0.0.1:5000", "admin: 127.0.0.1:8081", "data_dir: data", "unknown_app_id: fail", "gematik: false"},
			notes: []string{"apps", "proxy", "(files)", "apps.com.example.push_type"},
		},
		"topics with an ending of their own": {
			text: "apps: {a: {type: apns, keyfile: k, topic: com.example.voip}, b: {type: apns, keyfile: k, topic: com.example.complication}, c: {type: apns, keyfile: k, topic: com.example.pushkit.fileprovider}, " +
				"d: {type: apns, keyfile: k, topic: com.example.push-type.liveactivity}, e: {type: apns, keyfile: k, topic: com.example.location-query}, f: {type: apns, keyfile: k, topic: com.example.voip, push_type: background}}",
			yaml:  []string{"push_type: voip\n", "push_type: complication\n", "push_type: fileprovider\n", "push_type: liveactivity\n", "push_type: location\n", "push_type: background\n"},
			notes: []string{"apps.a.push_type", "apps.e.push_type"},
		},
		"all addresses win":        {text: "http: {port: 5005, bind_addresses: [127.0.0.1, '::']}", yaml: []string{"public: '[::]:5005'"}, notes: []string{"http.bind_addresses"}},
		"one address as text":      {text: "http: {bind_addresses: 0.0.0.0}", yaml: []string{"public: 0.0.0.0:5000"}},
		"port of the admin page":   {text: "http: {port: 8081}", yaml: []string{"admin: 127.0.0.1:8082"}},
		"metrics for other hosts":  {text: "metrics: {prometheus: {enabled: true, address: ''}}", yaml: []string{"admin: :8000", "admin_allow_remote: true"}, notes: []string{"metrics.prometheus.address"}},
		"metrics off":              {text: "metrics: {prometheus: {enabled: false, address: 0.0.0.0}}", yaml: []string{"admin: 127.0.0.1:8081"}},
		"badges off for all":       {text: "apps: {a: {type: apns, send_badge_counts: false}, w: {type: webpush}}", yaml: []string{"send_badge_counts: false"}, notes: []string{"apps.*.send_badge_counts"}},
		"overlapping globs":        {text: "apps: {com.*: " + ios + ", '*.example': " + ios + "}", notes: []string{"apps[1].app_id"}},
		"a key given twice":        {text: "http: {port: 1, port: 2}", yaml: []string{"public: 127.0.0.1:2"}, notes: []string{"http.port"}},
		"merge keys":               {text: "x: &x {team_id: TEAM123456, key_id: ABC1234567, type: apns}\napps: {a: {<<: *x, key_id: XYZ1234567}, b: {<<: [*x]}}", yaml: []string{"key_id: XYZ1234567", "key_id: ABC1234567", "team_id: TEAM123456"}, notes: []string{"x"}},
		"a merge into itself":      {text: "apps: &x {<<: *x}"},
		"proxy without a password": {text: "proxy: http://user@proxy.example", yaml: []string{"proxy: http://proxy.example:80"}, notes: []string{"proxy"}},
		"proxy of another kind":    {text: "proxy: socks5://proxy.example", notes: []string{"proxy"}},
		"limits of the wrong type": {text: "apps: {a: {type: apns, inflight_request_limit: lots}, b: {type: apns, inflight_request_limit: -1}}", notes: []string{"apps.a.inflight_request_limit", "apps.b.inflight_request_limit"}},
		"options of the wrong type": {text: "apps: {a: {type: gcm, api_version: v1, fcm_options: [1]}, b: {type: gcm, api_version: v1, fcm_options: {android: {1: 2}}}}",
			notes: []string{"apps.a.fcm_options", "apps.b.fcm_options.android"}},
		"no allowed endpoint left":  {text: "apps: {a: {type: webpush, allowed_endpoints: ['a?b']}}", notes: []string{"apps.a.allowed_endpoints", "apps.a.allowed_endpoints[0]"}},
		"a port stays with a host":  {text: "apps: {a: {type: webpush, allowed_endpoints: ['push.example:8443']}}", yaml: []string{"- push.example:8443"}},
		"an app that is no mapping": {text: "apps: {a: 5, b: null}", notes: []string{"apps.a", "apps.b"}},
		"an unknown type":           {text: "apps: {a: {keyfile: x}}", notes: []string{"apps.a.type", "apps.a.keyfile"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Sygnal([]byte(c.text))
			require.NoError(t, err)
			for _, want := range c.yaml {
				require.Contains(t, string(got.YAML), want)
			}
			noted := map[string]bool{}
			for _, n := range got.Notes {
				noted[n.Key] = true
			}
			for _, key := range c.notes {
				require.Truef(t, noted[key], "no note on %s in %v", key, got.Notes)
			}
		})
	}
}

// TestResults_AreGoodConfigurations: once the files are there, the gateway takes what was imported.
func TestResults_AreGoodConfigurations(t *testing.T) {
	t.Parallel()
	sim, err := simulator.Start(simulator.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sim.Close() })
	dir := t.TempDir()
	c, err := sim.WriteCredentials(dir)
	require.NoError(t, err)
	for name, convert := range map[string]func([]byte) (Result, error){"sygnal-every-key.yaml": Sygnal, "gematik.yaml": Gematik} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		res, err := convert(text)
		require.NoError(t, err)
		for file, secret := range res.Files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(secret+"\n"), 0o600))
		}
		named := strings.NewReplacer(
			"AuthKey.p8", c.APNsKeyFile, "/keys/AuthKey.p8", c.APNsKeyFile, "cert_file: cert.pem", "cert_file: "+c.APNsPEMFile,
			"/keys/cert.p12", c.APNsP12File, "/keys/pw", c.APNsP12PasswordFile, "sa.json", c.ServiceAccountFile, "/keys/sa.json", c.ServiceAccountFile,
			"vapid.pem", c.VAPIDKeyFile, "    fcm:\n", "    fcm:\n      endpoint: https://127.0.0.1:1\n", // only so that the account may name the simulator's token endpoint
		).Replace(string(res.YAML))
		cfg, err := config.Parse([]byte(named), dir)
		require.NoError(t, err, name)
		require.NotEmpty(t, cfg.Apps)
	}
}

// TestSygnal_CallsArrive: an app for calls has no push_type in Sygnal's file, and Apple wants one that fits the topic.
func TestSygnal_CallsArrive(t *testing.T) {
	t.Parallel()
	sim, err := simulator.Start(simulator.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sim.Close() })
	c, err := sim.WriteCredentials(t.TempDir())
	require.NoError(t, err)
	res, err := Sygnal(fmt.Appendf(nil, "apps: {com.example.calls: {type: apns, keyfile: '%s', key_id: %s, team_id: %s, topic: com.example.pushgate.ios.voip}}",
		c.APNsKeyFile, c.APNsKeyID, c.APNsTeamID))
	require.NoError(t, err)
	cfg, err := config.Parse(res.YAML, t.TempDir())
	require.NoError(t, err)
	app := *cfg.Apps[0].APNs
	app.Endpoint, app.CAFile = sim.APNsURL(), c.CAFile
	client, err := provider.New(app, provider.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	out, err := client.Send(t.Context(), push.Notification{
		Device: push.Device{Pushkey: push.Pushkey(strings.Repeat("ab", 32))}, Event: &push.Event{ID: push.NewText("$e")},
	}, push.Hash{})
	require.NoError(t, err)
	require.Equal(t, push.Delivered, out.Verdict, out.Reason)
}

func TestGematik_EveryKeyIsAccountedFor(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/gematik.yaml")
	require.NoError(t, err)
	got, err := Gematik(text)
	require.NoError(t, err)
	golden(t, "gematik.golden", render(got))
}

func TestGematik_Servers(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"":                                   "environment: production\n",
		"api.push.apple.com:443":             "environment: production\n",
		"https://API.sandbox.push.apple.com": "environment: sandbox\n",
		"api.development.push.apple.com":     "environment: sandbox\n",
		"proxy.example:8443":                 "endpoint: https://proxy.example:8443\n",
	} {
		got, err := Gematik([]byte("push: {apns: [{server: '" + server + "', bundleId: a, authMethod: TOKEN, receivingAppIds: [a.apns, a.apns]}]}"))
		require.NoError(t, err)
		require.Contains(t, string(got.YAML), want, server)
		require.Equal(t, strings.HasPrefix(want, "endpoint"), strings.Contains(string(got.YAML), "endpoint"), server)
		require.Contains(t, render(got), "# apps[1].app_id: ", "the same app_id twice is named")
	}
}

func TestSygnal_RefusesWhatIsNoConfiguration(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "a list": "- 1", "not YAML": "a: [", "a text": "hello"} {
		_, err := Sygnal([]byte(text))
		require.Error(t, err, name)
	}
}

func FuzzImport_NeverPanics(f *testing.F) {
	for _, file := range []string{"sygnal-every-key.yaml", "gematik.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("apps: {a: {type: apns, topic: [1]}}\nproxy: {a: 1}\nlog: 5"))
	f.Add([]byte("apps: &a {x: *a}"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = Sygnal(text)
		_, _ = Gematik(text)
	})
}

func TestGematik_WhatIsNoListIsNamed(t *testing.T) {
	t.Parallel()
	got, err := Gematik([]byte("push: {apns: x, firebase: {projectId: p}}"))
	require.NoError(t, err)
	require.Contains(t, render(got), "# push.apns: is not a list and was left out")
	require.Contains(t, render(got), "# push.firebase: is not a list and was left out")
}
