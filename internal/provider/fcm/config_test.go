package fcm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const googleToken = "https://oauth2.googleapis.com/token"

// goodConfig needs no server.
func goodConfig(t testing.TB) Config {
	t.Helper()
	c := DefaultConfig()
	c.ProjectID = testProject
	c.ServiceAccountFile = writeTemp(t, "sa.json", serviceAccount(t, googleToken))
	return c
}

// problems collects what Check reports, as "path: problem".
func problems(c Config) []string {
	var got []string
	c.Check(func(path, problem string) { got = append(got, path+": "+problem) })
	sort.Strings(got)
	return got
}

// edited is a service account with members changed; nil removes one.
func edited(t testing.TB, change map[string]any) string {
	t.Helper()
	var doc map[string]any
	require.NoError(t, json.Unmarshal(serviceAccount(t, googleToken), &doc))
	for name, value := range change {
		doc[name] = value
		if value == nil {
			delete(doc, name)
		}
	}
	raw, err := json.Marshal(doc)
	require.NoError(t, err)
	return writeTemp(t, "sa.json", raw)
}

func pkcs8(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestConfig_Check(t *testing.T) {
	t.Parallel()
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	shortKey, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(testKey())}))
	account := func(change map[string]any) func(testing.TB, *Config) {
		return func(t testing.TB, c *Config) { c.ServiceAccountFile = edited(t, change) }
	}
	set := func(f func(*Config)) func(testing.TB, *Config) { return func(_ testing.TB, c *Config) { f(c) } }

	for name, tt := range map[string]struct {
		change func(testing.TB, *Config)
		want   []string
	}{
		"good":                        {set(func(*Config) {}), nil},
		"good, PKCS#1 key":            {account(map[string]any{"private_key": pkcs1}), nil},
		"good, default token_uri":     {account(map[string]any{"token_uri": nil}), nil},
		"good, domain-scoped project": {set(func(c *Config) { c.ProjectID = "example.com:my-project" }), nil},
		"good, simulator": {func(t testing.TB, c *Config) {
			c.Endpoint = "https://127.0.0.1:9443"
			c.ServiceAccountFile = edited(t, map[string]any{"token_uri": "https://127.0.0.1:9444/token"})
		}, nil},
		"nothing at all":           {set(func(c *Config) { *c = Config{} }), []string{"max_in_flight: must be at least 1", "project_id: is missing", "service_account_file: is missing"}},
		"project with a path":      {set(func(c *Config) { c.ProjectID = "a/../b" }), []string{"project_id: may hold letters, digits and -._: only"}},
		"project of dots":          {set(func(c *Config) { c.ProjectID = ".." }), []string{"project_id: is not a project id"}},
		"endpoint without TLS":     {set(func(c *Config) { c.Endpoint = "http://127.0.0.1:1" }), []string{"endpoint: must be https://host:port"}},
		"endpoint with a path":     {set(func(c *Config) { c.Endpoint = "https://127.0.0.1:1/v1" }), []string{"endpoint: must be https://host:port, without user, path or query"}},
		"account file absent":      {set(func(c *Config) { c.ServiceAccountFile = filepath.Join("no", "such", "file") }), []string{"service_account_file: not readable: no such file or directory"}},
		"account file is a folder": {func(t testing.TB, c *Config) { c.ServiceAccountFile = t.TempDir() }, []string{"service_account_file: not readable: is a directory"}},
		"account file not JSON":    {func(t testing.TB, c *Config) { c.ServiceAccountFile = writeTemp(t, "sa.json", []byte("secret")) }, []string{"service_account_file: is not the JSON key file of a service account"}},
		"account file huge": {func(t testing.TB, c *Config) {
			c.ServiceAccountFile = writeTemp(t, "sa.json", make([]byte, maxFileBytes+1))
		}, []string{"service_account_file: is longer than 1048576 bytes"}},
		"account of another kind":      {account(map[string]any{"type": "authorized_user"}), []string{`service_account_file: is not a service account (its type is not "service_account")`}},
		"account without e-mail":       {account(map[string]any{"client_email": nil}), []string{"service_account_file: has no client_email"}},
		"account without key":          {account(map[string]any{"private_key": nil}), []string{"service_account_file: has no private_key"}},
		"key not PEM":                  {account(map[string]any{"private_key": "secret"}), []string{"service_account_file: private_key is not PEM"}},
		"key broken":                   {account(map[string]any{"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}), []string{"service_account_file: private_key cannot be parsed"}},
		"key of another kind":          {account(map[string]any{"private_key": pkcs8(t, ecKey)}), []string{"service_account_file: private_key is not an RSA key"}},
		"key too short":                {account(map[string]any{"private_key": pkcs8(t, shortKey)}), []string{"service_account_file: private_key has fewer than 2048 bits"}},
		"token_uri without TLS":        {account(map[string]any{"token_uri": "http://oauth2.googleapis.com/token"}), []string{"service_account_file: token_uri is not an https URL"}},
		"token_uri of a stranger":      {account(map[string]any{"token_uri": "https://oauth2.googleapis.com.evil.example/token"}), []string{"service_account_file: token_uri is not one of Google's hosts"}},
		"token_uri of a namesake":      {account(map[string]any{"token_uri": "https://evilgoogleapis.com/token"}), []string{"service_account_file: token_uri is not one of Google's hosts"}},
		"token_uri with a port":        {account(map[string]any{"token_uri": "https://oauth2.googleapis.com:8443/token"}), []string{"service_account_file: token_uri is not one of Google's hosts"}},
		"token_uri with a user":        {account(map[string]any{"token_uri": "https://x@oauth2.googleapis.com/token"}), []string{"service_account_file: token_uri is not an https URL"}},
		"another universe":             {account(map[string]any{"universe_domain": "example.goog"}), []string{"service_account_file: belongs to another universe_domain than googleapis.com"}},
		"ca_file absent":               {set(func(c *Config) { c.CAFile = "no-such-file" }), []string{"ca_file: not readable: no such file or directory"}},
		"ca_file without certificates": {func(t testing.TB, c *Config) { c.CAFile = writeTemp(t, "ca.pem", []byte("x")) }, []string{"ca_file: holds no certificate in PEM"}},
		"max_in_flight":                {set(func(c *Config) { c.MaxInFlight = -1 }), []string{"max_in_flight: must be at least 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := goodConfig(t)
			tt.change(t, &c)
			got := problems(c)
			require.Equal(t, tt.want, got)
			for _, text := range got {
				require.NotContains(t, text, "secret")
				require.NotContains(t, text, "BEGIN")
			}
			_, err := New(c, Options{})
			require.Equal(t, tt.want == nil, err == nil, "New refuses what Check reports, and nothing else")
		})
	}
}

func TestConfig_CheckOptions(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	for name, tt := range map[string]struct {
		options object
		want    []string
	}{
		"none": {nil, nil},
		"every kind": {object{
			"data":         object{"a": "b", "when": time.Unix(0, 0)},
			"notification": object{"title": "t", "body": "b", "image": "https://example.org/x.png"},
			"fcmOptions":   object{"analyticsLabel": "x"},
			"webpush":      object{"headers": object{"Urgency": "high"}, "notification": object{"vibrate": []any{1, 2.5}}, "fcm_options": object{"link": "https://example.org"}},
			"apns":         object{"headers": object{"apns-priority": "5"}, "payload": object{"aps": object{"content-available": 1}}},
			"android": object{
				"priority": "high", "ttl": "3.5s", "restricted_package_name": "x", "directBootOk": true,
				"notification": object{
					"body_loc_args": []any{"a"}, "sticky": false, "notification_priority": "PRIORITY_MAX", "notification_count": 3,
					"vibrate_timings": []any{"0.5s", "1s"}, "event_time": time.Unix(0, 0),
					"light_settings": object{"color": object{"red": 0.5, "blue": 1}, "light_on_duration": "1s", "light_off_duration": "0s"},
				},
			},
		}, nil},
		"targets":                {object{"token": "x", "topic": "x", "condition": "x", "to": "x"}, []string{"condition", "to", "token", "topic"}},
		"legacy members":         {object{"content_available": true, "mutable_content": true, "priority": "high", "time_to_live": 3}, []string{"content_available", "mutable_content", "priority", "time_to_live"}},
		"collapse keys":          {object{"collapse_key": "x", "android": object{"collapse_key": "x"}}, []string{"android.collapse_key", "collapse_key"}},
		"collapse key in camels": {object{"android": object{"collapseKey": "x"}}, []string{"android.collapseKey"}},
		"data of a platform":     {object{"android": object{"data": object{"a": "b"}}, "webpush": object{"data": object{}}}, []string{"android.data", "webpush.data"}},
		"unknown members":        {object{"Data": object{}, "android": object{"x": 1}, "notification": object{"sound": "x"}}, []string{"Data", "android.x", "notification.sound"}},
		"both spellings":         {object{"fcm_options": object{}, "fcmOptions": object{}}, []string{"fcm_options"}},
		"data that is no text":   {object{"data": object{"a": 1}}, []string{"data"}},
		"data with reserved key": {object{"data": object{"from": "x", "google.x": "y", "fine": "z"}}, []string{"data.from", "data.google.x"}},
		"wrong types": {object{
			"notification": "x", "apns": object{"payload": "x", "headers": object{"a": 1}},
			"android": object{"ttl": 3600, "priority": "urgent", "direct_boot_ok": "yes", "notification": object{
				"title": 1, "notification_count": 1.5, "body_loc_args": []any{1}, "vibrate_timings": []any{1}, "visibility": "public",
				"light_settings": object{"color": object{"red": "x"}},
			}},
		}, []string{
			"android.direct_boot_ok", "android.notification.body_loc_args", "android.notification.light_settings.color.red", "android.notification.notification_count",
			"android.notification.title", "android.notification.vibrate_timings", "android.notification.visibility", "android.priority", "android.ttl",
			"apns.headers", "apns.payload", "notification",
		}},
		"negative ttl":           {object{"android": object{"ttl": "-1s"}}, []string{"android.ttl"}},
		"not to be written":      {object{"apns": object{"payload": object{"x": math.NaN()}}}, []string{"apns.payload"}},
		"keys that are no texts": {object{"apns": object{"payload": object{"x": map[any]any{1: 2}}}}, []string{"apns.payload"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			checkOptions(tt.options, func(path, problem string) {
				require.NotEmpty(t, problem)
				got = append(got, strings.TrimPrefix(path, "options."))
			})
			sort.Strings(got)
			require.Equal(t, tt.want, got)
			if tt.want == nil {
				_, err := newTemplate(tt.options)
				require.NoError(t, err)
			}
		})
	}
}

func TestConfig_Fingerprint(t *testing.T) {
	t.Parallel()
	base := goodConfig(t)
	same := base
	same.MaxInFlight = 7
	require.Equal(t, base.Fingerprint(), same.Fingerprint(), "tuning changes nothing that FCM says")
	moved := base
	moved.ServiceAccountFile = writeTemp(t, "moved.json", serviceAccount(t, googleToken))
	require.Equal(t, base.Fingerprint(), moved.Fingerprint(), "what counts is the content")

	seen := map[string]string{base.Fingerprint(): "base"}
	for name, change := range map[string]func(*Config){
		"project":    func(c *Config) { c.ProjectID = "other" },
		"endpoint":   func(c *Config) { c.Endpoint = "https://127.0.0.1:1" },
		"credential": func(c *Config) { c.ServiceAccountFile = edited(t, map[string]any{"client_email": "x"}) },
		"ca":         func(c *Config) { c.CAFile = writeTemp(t, "ca.pem", []byte("x")) },
		"options":    func(c *Config) { c.Options = map[string]any{"android": map[string]any{"ttl": "1s"}} },
		"no file":    func(c *Config) { c.ServiceAccountFile = "" },
	} {
		c := base
		change(&c)
		print := c.Fingerprint()
		require.NotContains(t, seen, print, "%s is as %s", name, seen[print])
		seen[print] = name
	}
}

// The options are read once: what happens to the map afterwards does not reach a message.
func TestTemplate_IsIndependentOfTheOptions(t *testing.T) {
	t.Parallel()
	android := map[string]any{"ttl": "1s"}
	options := map[string]any{"android": android, "data": map[string]any{"a": "b"}}
	b := newBuilder(t, options)
	before, _ := b.build(message("token"))
	require.NotContains(t, android, "priority", "the operator's map is not written to")
	android["ttl"] = "2s"
	options["data"] = nil
	after, _ := b.build(message("token"))
	require.Equal(t, string(before), string(after))
}
