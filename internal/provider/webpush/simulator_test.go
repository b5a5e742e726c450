package webpush

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	sdk "github.com/SherClockHolmes/webpush-go"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/provider/providertest"
	"github.com/pushgate/pushgate/internal/provider/webpush/webpushtest"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/simulator"
)

// simulated is a running simulator with credentials for it.
type simulated struct {
	*simulator.Simulator
	credentials simulator.Credentials

	mu            sync.Mutex
	subscriptions map[push.Pushkey]string // pushkey to subscription id
}

func startSimulator(t *testing.T) *simulated {
	t.Helper()
	sim, err := simulator.Start(simulator.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	credentials, err := sim.WriteCredentials(t.TempDir())
	require.NoError(t, err)
	return &simulated{Simulator: sim, credentials: credentials, subscriptions: map[push.Pushkey]string{}}
}

func (s *simulated) config() Config {
	c := DefaultConfig()
	c.VAPIDPrivateKeyFile, c.Contact, c.CAFile = s.credentials.VAPIDKeyFile, "mailto:ops@example.com", s.credentials.CAFile
	c.AllowedHosts = []string{strings.TrimPrefix(s.WebPushURL(), "https://"), "127.0.0.1:1"}
	return c
}

// guarded returns the HTTP client that a gateway uses, with loopback allowed.
func guarded(t *testing.T, cfg Config, o egress.Options) sdk.HTTPClient {
	t.Helper()
	o.Ports = append(o.Ports, cfg.Ports()...)
	guard, err := egress.NewGuard(o)
	require.NoError(t, err)
	trust, err := cfg.TLS()
	require.NoError(t, err)
	c := guard.Client(egress.ClientOptions{TLS: trust})
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func loopback() egress.Options {
	return egress.Options{Config: egress.Config{AllowNetworks: []string{"127.0.0.0/8"}}}
}

func (s *simulated) client(t *testing.T, edit func(sdk.HTTPClient) sdk.HTTPClient) *Client {
	t.Helper()
	cfg := s.config()
	h := guarded(t, cfg, loopback())
	if edit != nil {
		h = edit(h)
	}
	c, err := New(cfg, Options{HTTP: h, SendBadgeCounts: true})
	require.NoError(t, err)
	c.known = []string{strings.TrimPrefix(s.WebPushURL(), "https://")}
	return c
}

// subscribe returns a device as a browser behind the simulator registers it.
func (s *simulated) subscribe(o simulator.SubscribeOptions, more string) push.Device {
	sub, err := s.Subscribe(o)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	s.subscriptions[push.Pushkey(sub.P256DH)] = sub.ID
	s.mu.Unlock()
	data := `{"endpoint":"` + sub.Endpoint + `","auth":"` + sub.Auth + `"` + more + `}`
	return push.Device{AppID: "com.example.web", Pushkey: push.Pushkey(sub.P256DH), Data: push.Object(data)}
}

func (s *simulated) id(key push.Pushkey) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscriptions[key]
}

// edited changes requests on their way.
type edited struct {
	inner sdk.HTTPClient
	edit  func(*http.Request)
}

func (e edited) Do(req *http.Request) (*http.Response, error) {
	e.edit(req)
	return e.inner.Do(req)
}

// TestConformance_Simulator runs the suite of all providers against the simulator, which shares no code with us.
func TestConformance_Simulator(t *testing.T) {
	t.Parallel()
	s := startSimulator(t)
	t.Run("suite", func(t *testing.T) {
		providertest.Run(t, providertest.Harness{
			Strangers: true,
			Provider:  func(t *testing.T, _ *slog.Logger) provider.Provider { return s.client(t, nil) },
			Misconfigured: func(t *testing.T, _ *slog.Logger) provider.Provider {
				return s.client(t, func(h sdk.HTTPClient) sdk.HTTPClient {
					return edited{h, func(r *http.Request) { r.Header.Del("Authorization") }}
				})
			},
			Unreachable: func(t *testing.T, _ *slog.Logger) provider.Provider {
				return s.client(t, func(h sdk.HTTPClient) sdk.HTTPClient {
					return edited{h, func(r *http.Request) { r.URL.Host = "127.0.0.1:1" }}
				})
			},
			Device: func() push.Device { return s.subscribe(simulator.SubscribeOptions{}, "") },
			Script: func(_ *testing.T, key push.Pushkey, a providertest.Answer) bool {
				answer, ok := scripted(a)
				s.Script(simulator.WebPush, s.id(key), answer)
				return ok
			},
			Requests: func(key push.Pushkey) int {
				n := 0
				for _, r := range s.Receipts() {
					if r.Token == s.id(key) {
						n++
					}
				}
				return n
			},
		})
	})
}

// scripted puts the suite's words into a push service's.
func scripted(a providertest.Answer) (simulator.Answer, bool) {
	text := func(s string) *string { return &s }
	switch a.Kind {
	case providertest.Dead:
		return simulator.Answer{Status: 410}, true
	case providertest.Throttled:
		return simulator.Answer{Status: 429, RetryAfter: strconv.Itoa(int(a.RetryAfter.Seconds()))}, true
	case providertest.Unavailable:
		return simulator.Answer{Status: 503}, true
	case providertest.BadGateway:
		return simulator.HTMLError(502), true
	case providertest.Unknown:
		return simulator.Answer{Status: 418, Reason: "What is this?"}, true
	case providertest.Empty:
		return simulator.Answer{Status: 400, Body: text("")}, true
	case providertest.TooLarge:
		return simulator.Answer{Status: 413}, true
	case providertest.Reset:
		return simulator.Answer{Fault: simulator.FaultReset}, true
	case providertest.Hang:
		return simulator.Answer{Fault: simulator.FaultHang}, true
	case providertest.Guarded, providertest.Garbled: // the status alone speaks; a body has no say
		return simulator.Answer{}, false
	default:
		panic("unknown kind " + a.Kind)
	}
}

// TestSend_DecryptsByAnIndependentHand sends plain and encrypted notifications and opens the very bytes on the wire.
func TestSend_DecryptsByAnIndependentHand(t *testing.T) {
	t.Parallel()
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	secret := make([]byte, authLength)
	_, _ = rand.Read(secret)
	d := device(t, base64.StdEncoding.EncodeToString(private.PublicKey().Bytes()), map[string]any{ // padded, as some clients do
		"endpoint": "https://fcm.googleapis.com/x", "auth": base64.URLEncoding.EncodeToString(secret),
	})
	for name, n := range map[string]push.Notification{
		"plain":     {Event: event(`{"msgtype":"m.text","body":"Grüße 🚀","n":12345678901234567890}`), Counts: push.Counts{Unread: ptr(2)}},
		"as large":  {Event: event(`{"body":"` + strings.Repeat("x", 900) + `","more":"` + strings.Repeat("y", 2500) + `"}`)},
		"encrypted": {Sealed: &push.Sealed{Ciphertext: push.NewText(strings.Repeat("QUFB", 351)), Month: "2026-07", KeyIdentifier: push.NewText("K")}},
	} {
		h := &recorder{status: 201}
		n.Device = d
		out, err := client(t, h).Send(t.Context(), n, push.Hash{})
		require.NoError(t, err, name)
		require.Equal(t, push.Delivered, out.Verdict, name)
		body, err := io.ReadAll(h.requests[0].Body)
		require.NoError(t, err)
		require.LessOrEqual(t, len(body), maxBody, name)
		plain, err := webpushtest.Open(private, secret, body)
		require.NoError(t, err, name)
		want, ok := payloadOf(n, nil)
		require.True(t, ok)
		require.Equal(t, string(want), string(plain), name)
		require.Greater(t, len(plain), 100, name)
	}
}

// TestSend_AsABrowserBehindTheServiceSeesIt compares what the simulator's user agent decrypts, and the headers.
func TestSend_AsABrowserBehindTheServiceSeesIt(t *testing.T) {
	t.Parallel()
	s := startSimulator(t)
	c := s.client(t, nil)
	d := s.subscribe(simulator.SubscribeOptions{VAPIDPublicKey: s.credentials.VAPIDPublicKey}, `,"only_last_per_room":true,"events_only":true,"default_payload":{"session":1.10}`)
	n := push.Notification{Device: d, Event: event(`{"body":"hi"}`), Priority: push.Low, Counts: push.Counts{Unread: ptr(0)}}
	out, err := c.Send(t.Context(), n, push.Hash{})
	require.NoError(t, err)
	require.Equal(t, push.Outcome{Verdict: push.Delivered, Reason: reasonOK}, out)
	got := s.Receipts()[0]
	require.Equal(t, "low", got.Priority)
	require.Equal(t, "86400", got.Expiration)
	require.Equal(t, s.credentials.VAPIDPublicKey, got.KeyID)
	require.Len(t, got.Topic, 32)
	require.Equal(t, `{"content":{"body":"hi"},"event_id":"$e","room_id":"!r:x","room_name":"Room","sender":"@a:x","sender_display_name":"Ada",`+
		`"session":1.10,"type":"m.room.message","unread":0}`, string(got.Payload))
	require.Zero(t, got.Size%paddingStep)

	foreign, err := s.WriteCredentials(t.TempDir())
	require.NoError(t, err)
	n.Device = s.subscribe(simulator.SubscribeOptions{VAPIDPublicKey: foreign.VAPIDPublicKey}, "")
	_, err = c.Send(t.Context(), n, push.Hash{})
	require.Equal(t, &push.Fault{Kind: push.FaultMessage, Reason: reasonForbidden}, err, "a subscription made for another key concerns this device only")
}

// TestSend_A401PausesOnlyAnUnprovenKey: anybody can register a subscription that answers 401.
func TestSend_A401PausesOnlyAnUnprovenKey(t *testing.T) {
	t.Parallel()
	const known, stranger = "https://fcm.googleapis.com/", "https://stranger.example/"
	type step struct {
		endpoint string
		status   int
		want     string // ok, later, dead-letter or pause
	}
	for name, steps := range map[string][]step{
		"one subscription, again and again": {{known + "a", 401, "later"}, {known + "a", 401, "later"}, {known + "a", 401, "later"}, {known + "a", 401, "later"}},
		"two subscriptions":                 {{known + "a", 401, "later"}, {known + "b", 401, "later"}, {known + "a", 401, "later"}},
		"three subscriptions":               {{known + "a", 401, "later"}, {known + "b", 401, "later"}, {known + "c", 401, "pause"}, {known + "a", 401, "pause"}, {known + "d", 401, "pause"}},
		"a pause ends with an acceptance":   {{known + "a", 401, "later"}, {known + "b", 401, "later"}, {known + "c", 401, "pause"}, {known + "d", 201, "ok"}, {known + "e", 401, "dead-letter"}},
		"one is accepted in between":        {{known + "a", 401, "later"}, {known + "b", 401, "later"}, {known + "c", 201, "ok"}, {known + "d", 401, "dead-letter"}, {known + "a", 401, "dead-letter"}},
		"other answers say nothing":         {{known + "a", 401, "later"}, {known + "b", 503, "later"}, {known + "c", 403, "dead-letter"}, {known + "d", 401, "later"}},
		"a stranger cannot pause":           {{stranger + "a", 401, "dead-letter"}, {stranger + "b", 401, "dead-letter"}, {stranger + "c", 401, "dead-letter"}, {stranger + "d", 401, "dead-letter"}, {known + "a", 401, "later"}},
		"a stranger cannot vouch for a key": {{stranger + "a", 201, "ok"}, {known + "a", 401, "later"}, {stranger + "b", 201, "ok"}, {known + "b", 401, "later"}, {known + "c", 401, "pause"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p256dh, auth := browser(t)
			h := &recorder{}
			c := client(t, h, "fcm.googleapis.com", "stranger.example")
			for i, s := range steps {
				h.status = s.status
				d := device(t, p256dh, map[string]any{"endpoint": s.endpoint, "auth": auth})
				out, err := c.Send(t.Context(), push.Notification{Device: d, Event: event(`{}`)}, push.Hash{})
				require.Equal(t, s.want, leadsTo(t, out, err), "step %d", i)
			}
			require.LessOrEqual(t, len(c.proof.refused), suspicious, "strangers choose how many there are")
		})
	}
}

// leadsTo says what the gateway makes of an attempt.
func leadsTo(t *testing.T, out push.Outcome, err error) string {
	t.Helper()
	fault, ok := errors.AsType[*push.Fault](err)
	switch {
	case ok && fault.Kind == push.FaultConfig:
		return "pause"
	case ok:
		return "dead-letter"
	case out.Verdict == push.RetryAfter:
		return "later"
	}
	require.Equal(t, push.Delivered, out.Verdict)
	return "ok"
}

// TestEndpoint_IsSpelledAsAnOrigin: the VAPID audience is compared as text by push services.
func TestEndpoint_IsSpelledAsAnOrigin(t *testing.T) {
	t.Parallel()
	c := &Client{allowed: []string{"*", "*:8443", "[::1]:8443"}}
	for given, want := range map[string]string{
		"https://FCM.googleapis.com./a?b=c": "https://fcm.googleapis.com/a?b=c",
		"https://push.example:443/a":        "https://push.example/a",
		"https://push.example:8443/a%2Fb":   "https://push.example:8443/a%2Fb",
		"https://[2001:DB8::1]/a":           "https://[2001:db8::1]/a",
		"https://[::1]:8443":                "https://[::1]:8443",
	} {
		u, err := c.endpointOf(given)
		require.NoError(t, err, given)
		require.Equal(t, want, u.String())
		_, err = url.Parse(u.String())
		require.NoError(t, err)
	}
}
