package apns

import (
	"context"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/provider/providertest"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/simulator"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	r := startSimulator(t, simulator.Options{})
	make := func(cfg Config) func(*testing.T, *slog.Logger) provider.Provider {
		return func(t *testing.T, logger *slog.Logger) provider.Provider {
			t.Helper()
			c, err := New(cfg, Options{Logger: logger, SendBadgeCounts: true})
			require.NoError(t, err)
			return c
		}
	}
	wrong, unreachable := r.cfg, r.cfg
	wrong.KeyFile = p8(t, newKey(t, elliptic.P256()))
	unreachable.Endpoint = "https://" + deadAddress(t)
	providertest.Run(t, providertest.Harness{
		Provider:      make(r.cfg),
		Misconfigured: make(wrong),
		Unreachable:   make(unreachable),
		Device:        func() push.Device { return push.Device{Pushkey: push.Pushkey(newToken())} },
		Requests:      func(key push.Pushkey) int { return len(r.receipts(key.Reveal())) },
		Script: func(_ *testing.T, key push.Pushkey, a providertest.Answer) bool {
			answer, ok := scriptFor(a)
			if ok {
				r.sim.Script(simulator.APNs, key.Reveal(), answer)
			}
			return ok
		},
	})
}

// scriptFor says what the suite's answers are at APNs.
func scriptFor(a providertest.Answer) (simulator.Answer, bool) {
	page, empty := "<html>Unregistered</html>", ""
	switch a.Kind {
	case providertest.Dead:
		return simulator.Answer{Reason: "Unregistered"}, true
	case providertest.Guarded:
		return simulator.Answer{Reason: "BadDeviceToken"}, true
	case providertest.Throttled:
		return simulator.Answer{Reason: "TooManyRequests", RetryAfter: strconv.Itoa(int(a.RetryAfter.Seconds()))}, true
	case providertest.Unavailable:
		return simulator.Answer{Reason: "ServiceUnavailable"}, true
	case providertest.BadGateway:
		return simulator.HTMLError(502), true
	case providertest.Unknown:
		return simulator.Answer{Status: 418, Reason: "Teapot"}, true
	case providertest.Garbled:
		return simulator.Answer{Status: 410, Body: &page, ContentType: "text/html"}, true
	case providertest.Empty:
		return simulator.Answer{Status: 400, Body: &empty}, true
	case providertest.TooLarge:
		return simulator.Answer{Reason: "PayloadTooLarge"}, true
	case providertest.Reset:
		return simulator.Answer{Fault: simulator.FaultReset}, true
	case providertest.Hang:
		return simulator.Answer{Fault: simulator.FaultHang}, true
	default:
		return simulator.Answer{}, false
	}
}

func TestSend_OnTheWire(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{SendBadgeCounts: true}, nil)
	n := sealedNotification()
	n.Device.Pushkey = push.Pushkey(newToken())

	first := r.mustDeliver(t, n)
	require.Equal(t, testTopic, first.Topic)
	require.Equal(t, "alert", first.PushType)
	require.Equal(t, "10", first.Priority)
	require.Equal(t, "ab"+hex.EncodeToString(make([]byte, 15)), first.CollapseID)
	require.NotContains(t, first.Header, "apns-expiration", "Apple keeps it for phones that are off")
	require.Regexp(t, regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`), first.ID)
	want, _ := r.payloads.build(nil, n)
	require.Equal(t, string(want), string(first.Payload), "the payload arrives byte for byte")

	n.Priority = push.Low
	second := r.mustDeliver(t, n)
	require.Equal(t, "5", second.Priority)
	require.NotEqual(t, first.ID, second.ID, "every attempt has its own id")

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := r.Send(ctx, n, push.Hash{})
	require.NoError(t, err)
	require.NotContains(t, r.sim.Receipts()[2].Header, "apns-collapse-id", "no hash, no header")
}

// TestSend_HTMLStaysSmall: the SDK would send each < as six bytes, beyond the limit that was measured.
func TestSend_HTMLStaysSmall(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	n := event(func(e *push.Event) {
		text := make([]byte, 5000)
		for i := range text {
			text[i] = '<'
		}
		e.Content = push.Object(`{"msgtype":"m.text","body":"` + string(text) + `"}`)
	})
	got := r.mustDeliver(t, n)
	require.Greater(t, got.Size, payloadLimit-100)
	require.LessOrEqual(t, got.Size, payloadLimit)
}

func TestSend_BothSpellingsOfATokenReachApple(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	token := newToken()
	raw, err := hex.DecodeString(token)
	require.NoError(t, err)
	for _, key := range []string{token, base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)} {
		require.Equal(t, token, r.mustDeliver(t, to(key)).Token)
	}
}

func TestSend_UndecodablePushkeyIsNeverSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	out, err := r.send(t, to("not a token"))
	require.Equal(t, &push.Fault{Kind: push.FaultMessage, Reason: "bad_pushkey"}, err)
	require.Zero(t, out)
	require.Zero(t, r.connections())
}

func TestSend_VoIP(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRig(t, simulator.Options{}, Options{Now: func() time.Time { return now }}, func(c *Config) { c.PushType = "voip" })
	got := r.mustDeliver(t, event(nil))
	require.Equal(t, testTopic+".voip", got.Topic)
	require.Equal(t, "voip", got.PushType)
	require.Equal(t, strconv.FormatInt(now.Add(30*time.Second).Unix(), 10), got.Expiration)

	for deadline, want := range map[time.Duration]time.Duration{
		time.Second: time.Second, 29 * time.Second: 29 * time.Second, time.Hour: 30 * time.Second,
	} {
		got := r.mustDeliver(t, with(event(nil), func(n *push.Notification) { n.Deadline = now.Add(deadline) }))
		require.Equal(t, strconv.FormatInt(now.Add(want).Unix(), 10), got.Expiration, "30 s from its acceptance, whatever attempt it is")
	}
}

func TestSend_BackgroundIsAlwaysPriority5(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, func(c *Config) { c.PushType = "background" })
	n := withData(push.Notification{Event: &push.Event{ID: push.NewText("$e")}}, `{"default_payload":{"aps":{"content-available":1}}}`)
	got := r.mustDeliver(t, n)
	require.Equal(t, "5", got.Priority)
	require.Equal(t, testTopic, got.Topic)
}

func TestSend_Certificate(t *testing.T) {
	t.Parallel()
	r := startSimulator(t, simulator.Options{})
	for name, edit := range map[string]func(*Config){
		"p12": func(*Config) {},
		"pem": func(c *Config) { c.CertFile, c.CertPasswordFile = r.creds.APNsPEMFile, "" },
	} {
		cfg := r.cfg
		r.useCertificate(&cfg)
		edit(&cfg)
		require.Empty(t, problems(cfg))
		c, err := New(cfg, Options{})
		require.NoError(t, err)
		one := &rig{Client: c, sim: r.sim}
		got := one.mustDeliver(t, event(nil))
		require.Equal(t, "cert:"+r.creds.APNsCertSerial, got.KeyID, name)
		require.Equal(t, r.creds.APNsTopic, got.Topic, name)
		require.NotContains(t, got.Header, "authorization")
		require.NoError(t, c.Close())
	}
}

func TestSend_TimeOfDeath(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	since := time.UnixMilli(1_763_627_400_123)
	for name, test := range map[string]struct {
		answer simulator.Answer
		since  time.Time
	}{
		"told":     {simulator.Answer{Reason: "Unregistered", Timestamp: since}, since},
		"expired":  {simulator.Answer{Reason: "ExpiredToken", Timestamp: since}, since},
		"not told": {simulator.Answer{Reason: "Unregistered", NoTimestamp: true}, time.Time{}},
	} {
		token := newToken()
		r.sim.Script(simulator.APNs, token, test.answer)
		out, err := r.send(t, to(token))
		require.NoError(t, err)
		require.Equal(t, push.Outcome{Verdict: push.Rejected, Reason: test.answer.Reason, Since: test.since, Certain: true}, out, name)
	}
}

func TestWarm(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	require.NoError(t, r.Warm(t.Context()))
	require.EqualValues(t, 1, r.connections())
	r.mustDeliver(t, event(nil))
	require.NoError(t, r.Warm(t.Context()))
	require.EqualValues(t, 1, r.connections(), "the connection is used again")
	require.Len(t, r.sim.Receipts(), 1)
}

func TestSend_ContextAlreadyOver(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, err := r.Send(ctx, to(newToken()), push.Hash{})
	require.NoError(t, err)
	require.Equal(t, push.Outcome{Scope: push.ScopeConnection, Transport: true, Reason: "canceled"}, out)
	require.Zero(t, r.connections())
}
