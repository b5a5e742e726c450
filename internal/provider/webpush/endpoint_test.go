package webpush

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/push"
)

// recorder answers every request with one status and keeps what it saw.
type recorder struct {
	status   int
	requests []*http.Request
}

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	r.requests = append(r.requests, req)
	if r.status == 0 {
		return nil, errors.New("Post " + req.URL.String() + ": connection refused")
	}
	return &http.Response{StatusCode: r.status, Header: http.Header{}, Body: http.NoBody}, nil
}

func vapidFile(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "vapid.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600))
	return file
}

func client(t *testing.T, h *recorder, hosts ...string) *Client {
	t.Helper()
	cfg := DefaultConfig()
	cfg.VAPIDPrivateKeyFile, cfg.Contact, cfg.AllowedHosts = vapidFile(t), "mailto:ops@example.com", hosts
	c, err := New(cfg, Options{HTTP: h, SendBadgeCounts: true, Now: func() time.Time { return noon }})
	require.NoError(t, err)
	return c
}

// browser returns a subscription's p256dh and auth as a browser gives them.
func browser(t *testing.T) (p256dh, auth string) {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	secret := make([]byte, 16)
	_, _ = rand.Read(secret)
	return base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()), base64.RawURLEncoding.EncodeToString(secret)
}

func device(t *testing.T, p256dh string, data map[string]any) push.Device {
	t.Helper()
	raw, err := json.Marshal(data)
	require.NoError(t, err)
	return push.Device{AppID: "com.example.web", Pushkey: push.Pushkey(p256dh), Data: raw}
}

func TestSend_EndpointsOfStrangers(t *testing.T) {
	t.Parallel()
	p256dh, auth := browser(t)
	for endpoint, allowed := range map[string]bool{
		"https://updates.push.services.mozilla.com/wpush/v2/abc":         true,
		"https://fcm.googleapis.com/fcm/send/abc":                        true,
		"https://fcm.googleapis.com:443/fcm/send/abc":                    true,
		"https://db5.notify.windows.com/w/?token=x":                      true,
		"https://FCM.googleapis.com./x":                                  true,
		"http://fcm.googleapis.com/fcm/send/abc":                         false,
		"https://fcm.googleapis.com:8443/x":                              false,
		"https://user@fcm.googleapis.com/x":                              false,
		"https://fcm.googleapis.com@169.254.169.254/x":                   false,
		"https://fcm.googleapis.com.evil.example/x":                      false,
		"https://notify.windows.com/x":                                   false,
		"https://evilnotify.windows.com.example/x":                       false,
		"https://127.0.0.1/x":                                            false,
		"https://[::ffff:127.0.0.1]/x":                                   false,
		"https://2130706433/x":                                           false,
		"https://localhost/x":                                            false,
		"ftp://fcm.googleapis.com/x":                                     false,
		"//fcm.googleapis.com/x":                                         false,
		"":                                                               false,
		"https://fcm.googleapis.com/" + strings.Repeat("a", maxEndpoint): false,
	} {
		h := &recorder{status: 201}
		out, err := client(t, h).Send(context.Background(), push.Notification{
			Device: device(t, p256dh, map[string]any{"endpoint": endpoint, "auth": auth}), Event: event(`{}`),
		}, push.Hash{})
		if allowed {
			require.NoError(t, err, endpoint)
			require.Equal(t, push.Delivered, out.Verdict, endpoint)
			require.Len(t, h.requests, 1)
			continue
		}
		fault, ok := errors.AsType[*push.Fault](err)
		require.True(t, ok, endpoint)
		require.Equal(t, push.FaultMessage, fault.Kind, endpoint)
		require.Equal(t, push.RetryAfter, out.Verdict, "a refused endpoint is never a dead pushkey: %s", endpoint)
		require.Empty(t, h.requests, endpoint)
	}
}

func TestSend_BrokenSubscriptionsAreMessageFaults(t *testing.T) {
	t.Parallel()
	p256dh, auth := browser(t)
	good := "https://fcm.googleapis.com/fcm/send/abc"
	for name, d := range map[string]push.Device{
		"no data":          {Pushkey: push.Pushkey(p256dh)},
		"data is a list":   {Pushkey: push.Pushkey(p256dh), Data: push.Object(`[]`)},
		"no auth":          device(t, p256dh, map[string]any{"endpoint": good}),
		"auth is a number": device(t, p256dh, map[string]any{"endpoint": good, "auth": 5}),
		"auth too short":   device(t, p256dh, map[string]any{"endpoint": good, "auth": "AAAA"}),
		"empty pushkey":    device(t, "", map[string]any{"endpoint": good, "auth": auth}),
		"not a point":      device(t, strings.Repeat("A", 87), map[string]any{"endpoint": good, "auth": auth}),
		"not Base64":       device(t, "!!", map[string]any{"endpoint": good, "auth": auth}),
	} {
		h := &recorder{status: 201}
		_, err := client(t, h).Send(context.Background(), push.Notification{Device: d, Event: event(`{}`)}, push.Hash{})
		fault, ok := errors.AsType[*push.Fault](err)
		require.True(t, ok, name)
		require.Equal(t, push.FaultMessage, fault.Kind, name)
		require.Empty(t, h.requests, name)
	}
}

func TestSend_HeadersFollowTheNotification(t *testing.T) {
	t.Parallel()
	p256dh, auth := browser(t)
	h := &recorder{status: 201}
	c := client(t, h)
	d := device(t, p256dh, map[string]any{"endpoint": "https://fcm.googleapis.com/x", "auth": auth, "only_last_per_room": true})
	_, err := c.Send(context.Background(), push.Notification{Device: d, Event: event(`{}`), Priority: push.Low}, push.Hash{})
	require.NoError(t, err)
	req := h.requests[0]
	require.Equal(t, "86400", req.Header.Get("TTL"))
	require.Equal(t, "low", req.Header.Get("Urgency"))
	require.Equal(t, "aes128gcm", req.Header.Get("Content-Encoding"))
	require.Equal(t, topicOf(c.topicKey, "!r:x"), req.Header.Get("Topic"))
	require.True(t, strings.HasPrefix(req.Header.Get("Authorization"), "vapid t="))
	require.Zero(t, req.ContentLength%paddingStep, "the body's size does not tell the text's length")
	require.LessOrEqual(t, req.ContentLength, int64(maxBody))

	d = device(t, p256dh, map[string]any{"endpoint": "https://fcm.googleapis.com/x", "auth": auth, "only_last_per_room": "true"})
	_, err = c.Send(context.Background(), push.Notification{Device: d, Event: event(`{}`)}, push.Hash{})
	require.NoError(t, err)
	require.Empty(t, h.requests[1].Header.Get("Topic"), "only exactly true switches it on")
	require.Equal(t, "normal", h.requests[1].Header.Get("Urgency"))
}

func TestSend_EventsOnlyDropsBadgeUpdates(t *testing.T) {
	t.Parallel()
	p256dh, auth := browser(t)
	h := &recorder{status: 201}
	d := device(t, p256dh, map[string]any{"endpoint": "https://fcm.googleapis.com/x", "auth": auth, "events_only": true})
	out, err := client(t, h).Send(context.Background(), push.Notification{Device: d, Event: &push.Event{}, Counts: push.Counts{Unread: ptr(1)}}, push.Hash{})
	require.NoError(t, err)
	require.Equal(t, push.Outcome{Verdict: push.Delivered, Reason: reasonNothing}, out)
	require.Empty(t, h.requests)
}

func TestSend_TransportErrorsKeepTheEndpointToThemselves(t *testing.T) {
	t.Parallel()
	p256dh, auth := browser(t)
	d := device(t, p256dh, map[string]any{"endpoint": "https://fcm.googleapis.com/canary", "auth": auth})
	out, err := client(t, &recorder{}).Send(context.Background(), push.Notification{Device: d, Event: event(`{}`)}, push.Hash{})
	require.NoError(t, err)
	require.Equal(t, push.Outcome{Reason: reasonTransport}, out)
}

func FuzzSend_NeverPanicsNorRejects(f *testing.F) {
	f.Add(`{"endpoint":"https://fcm.googleapis.com/x","auth":"AAAAAAAAAAAAAAAAAAAAAA"}`, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
	f.Add(`{"endpoint":"https://[::1]/x"}`, "")
	f.Fuzz(func(t *testing.T, data, key string) {
		cfg := DefaultConfig()
		h := &recorder{status: 201}
		c := &Client{vapid: newVAPID(h, time.Now), now: time.Now, counts: true, ttl: int(cfg.TTL.Seconds()), contact: "ops@example.com", topicKey: []byte("k")}
		out, _ := c.Send(context.Background(), push.Notification{Device: push.Device{Pushkey: push.Pushkey(key), Data: push.Object(data)}, Event: &push.Event{}}, push.Hash{})
		require.NotEqual(t, push.Rejected, out.Verdict)
	})
}

func TestConfig_ReportsEveryProblem(t *testing.T) {
	t.Parallel()
	var got []string
	Config{TTL: -1, AllowedHosts: []string{"ok.example", "bad host", "a*b"}}.Check(func(path, problem string) { got = append(got, path+": "+problem) })
	require.Equal(t, []string{
		"vapid_private_key_file: is required",
		"contact: must begin with mailto: or https://",
		"ttl: must be between 0s and 672h",
		"max_in_flight: must be at least 1",
		"allowed_hosts[1]: must be a host name, *.host or *, with an optional port",
		"allowed_hosts[2]: must be a host name, *.host or *, with an optional port",
	}, got)
	cfg := DefaultConfig()
	cfg.VAPIDPrivateKeyFile, cfg.Contact = vapidFile(t), "mailto:ops@example.com"
	cfg.Check(func(path, problem string) { t.Errorf("%s: %s", path, problem) })
}

// refuser stands for the egress guard's judgement of a dialled address.
type refuser struct{}

func (refuser) Do(*http.Request) (*http.Response, error) {
	return nil, &egress.Refused{Reason: "private address"}
}

func TestSend_RefusedAddressesAreNotRetried(t *testing.T) {
	t.Parallel()
	p256dh, auth := browser(t)
	c := client(t, &recorder{})
	c.vapid.next = refuser{}
	_, err := c.Send(context.Background(), push.Notification{
		Device: device(t, p256dh, map[string]any{"endpoint": "https://fcm.googleapis.com/x", "auth": auth}), Event: event(`{}`),
	}, push.Hash{})
	fault, ok := errors.AsType[*push.Fault](err)
	require.True(t, ok)
	require.Equal(t, push.FaultMessage, fault.Kind)
	require.Equal(t, reasonBadEndpoint, fault.Reason)
}
