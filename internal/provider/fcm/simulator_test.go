package fcm

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/provider/providertest"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/simulator"
)

// simulated is a running simulator with credentials for it.
type simulated struct {
	*simulator.Simulator
	credentials simulator.Credentials
}

func startSimulator(t testing.TB, o simulator.Options) *simulated {
	t.Helper()
	sim, err := simulator.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	credentials, err := sim.WriteCredentials(t.TempDir())
	require.NoError(t, err)
	return &simulated{sim, credentials}
}

func (s *simulated) config() Config {
	c := DefaultConfig()
	c.ProjectID = s.credentials.ProjectID
	c.ServiceAccountFile = s.credentials.ServiceAccountFile
	c.CAFile = s.credentials.CAFile
	c.Endpoint = s.FCMURL()
	return c
}

func (s *simulated) client(t testing.TB, options map[string]any) *Client {
	t.Helper()
	cfg := s.config()
	cfg.Options = options
	c, err := New(cfg, Options{SendBadgeCounts: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// TestConformance_Simulator runs the suite of all providers against the simulator, which shares no code with us.
func TestConformance_Simulator(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{})
	refused, err := s.WriteCredentials(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, s.Revoke(refused.ServiceAccountKeyID))
	var devices atomic.Int64
	t.Run("suite", func(t *testing.T) {
		providertest.Run(t, providertest.Harness{
			Provider: func(t *testing.T, l *slog.Logger) provider.Provider { return open(t, s.config(), l) },
			Misconfigured: func(t *testing.T, l *slog.Logger) provider.Provider {
				cfg := s.config()
				cfg.ServiceAccountFile = refused.ServiceAccountFile
				return open(t, cfg, l)
			},
			Unreachable: func(t *testing.T, l *slog.Logger) provider.Provider {
				cfg := s.config()
				cfg.Endpoint = "https://127.0.0.1:1"
				return open(t, cfg, l)
			},
			Device: func() push.Device {
				return push.Device{AppID: "com.example.android", Pushkey: push.Pushkey(fmt.Sprintf("fMockToken:APA91b-%d", devices.Add(1)))}
			},
			Script: func(_ *testing.T, key push.Pushkey, a providertest.Answer) bool {
				s.Script(simulator.FCM, key.Reveal(), simulatorAnswer(a))
				return true
			},
			Requests: func(key push.Pushkey) int {
				n := 0
				for _, r := range s.Receipts() {
					if r.Token == key.Reveal() {
						n++
					}
				}
				return n
			},
		})
	})
}

// simulatorAnswer puts the suite's words into the simulator's.
func simulatorAnswer(a providertest.Answer) simulator.Answer {
	text := func(s string) *string { return &s }
	switch a.Kind {
	case providertest.Dead:
		return simulator.Answer{Reason: "UNREGISTERED"}
	case providertest.Guarded:
		return simulator.Answer{Reason: "INVALID_ARGUMENT", Detail: "message.token"}
	case providertest.Throttled:
		return simulator.Answer{Reason: "QUOTA_EXCEEDED", RetryAfter: strconv.Itoa(int(a.RetryAfter.Seconds()))}
	case providertest.Unavailable:
		return simulator.Answer{Reason: "UNAVAILABLE"}
	case providertest.BadGateway:
		return simulator.HTMLError(http.StatusBadGateway)
	case providertest.Unknown:
		return simulator.Answer{Status: http.StatusConflict, Reason: "NEVER_SEEN"}
	case providertest.Garbled:
		return simulator.HTMLError(http.StatusNotFound)
	case providertest.Empty:
		return simulator.Answer{Status: http.StatusBadRequest, Body: text("")}
	case providertest.TooLarge:
		return simulator.Answer{Reason: "INVALID_ARGUMENT"}
	case providertest.Reset:
		return simulator.Answer{Fault: simulator.FaultReset}
	case providertest.Hang:
		return simulator.Answer{Fault: simulator.FaultHang}
	default:
		panic("unknown kind " + a.Kind)
	}
}

// The simulator checks a message against Google's schema, member by member.
func TestSimulator_AcceptsWhatWeBuild(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{})
	for name, options := range map[string]map[string]any{"plain": nil, "with options": allOptions()} {
		c := s.client(t, options)
		for _, n := range []push.Notification{fullEvent(), sealedMessage(), message("x"), {Event: &push.Event{}, Counts: push.Counts{Unread: count(0)}}} {
			n.Device.Pushkey = "fMock:APA91b"
			out, err := c.Send(t.Context(), n, push.Hash{1})
			require.NoError(t, err, name)
			require.Equal(t, push.Delivered, out.Verdict, name)
		}
	}
	for _, r := range s.Receipts() {
		require.Empty(t, r.CollapseID)
		require.True(t, r.Delivered)
	}
}

func TestSimulator_SealedReachesTheAppAsDataOnly(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{})
	n := sealedMessage()
	n.Priority = push.Low
	out, err := s.client(t, allOptions()).Send(t.Context(), n, push.Hash{1})
	require.NoError(t, err)
	require.Equal(t, push.Delivered, out.Verdict)
	r := s.Receipts()[0]
	require.Equal(t, "data", r.PushType)
	require.Equal(t, "normal", r.Priority)
	require.Equal(t, map[string]string{
		"ciphertext":             n.Sealed.Ciphertext.Reveal(),
		"time_message_encrypted": "2026-11",
		"key_identifier":         "5EBB1486-7430-42C0-B9AA-B57CA6C90EA4",
		"identifier":             "audit-event-1",
	}, dataOf(t, r.Payload))
}

func TestSimulator_WordsAndMeanings(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{})
	c := s.client(t, nil)
	for name, tt := range map[string]struct {
		answer simulator.Answer
		want   push.Outcome
		fault  *push.Fault
	}{
		"sender mismatch":  {answer: simulator.Answer{Reason: "SENDER_ID_MISMATCH"}, want: push.Outcome{Verdict: push.Rejected, Reason: "SENDER_ID_MISMATCH"}},
		"project quota":    {answer: simulator.Answer{Reason: "QUOTA_EXCEEDED", Detail: "project:1"}, want: push.Outcome{Reason: "QUOTA_EXCEEDED", Delay: time.Minute, Scope: push.ScopeApp}},
		"device quota":     {answer: simulator.Answer{Reason: "QUOTA_EXCEEDED", Detail: "device:1"}, want: push.Outcome{Reason: "QUOTA_EXCEEDED", Delay: time.Minute}},
		"third party":      {answer: simulator.Answer{Reason: "THIRD_PARTY_AUTH_ERROR"}, want: push.Outcome{Reason: "THIRD_PARTY_AUTH_ERROR"}},
		"permission":       {answer: simulator.Answer{Reason: "PERMISSION_DENIED"}, fault: &push.Fault{Kind: push.FaultConfig, Reason: "PERMISSION_DENIED"}},
		"wrong project":    {answer: simulator.Answer{Reason: "NOT_FOUND"}, fault: &push.Fault{Kind: push.FaultConfig, Reason: "NOT_FOUND"}},
		"payload":          {answer: simulator.Answer{Reason: "INVALID_ARGUMENT", Detail: "message.data"}, fault: &push.Fault{Kind: push.FaultMessage, Reason: "INVALID_ARGUMENT"}},
		"internal":         {answer: simulator.Answer{Reason: "INTERNAL"}, want: push.Outcome{Reason: "INTERNAL", Transport: true}},
		"absurd wait":      {answer: simulator.Answer{Reason: "UNAVAILABLE", RetryAfter: "315360000"}, want: push.Outcome{Reason: "UNAVAILABLE", Transport: true, Scope: push.ScopeApp, Delay: 24 * time.Hour}},
		"cut off receipt":  {answer: simulator.Answer{Fault: simulator.FaultTruncate}, want: push.Outcome{Reason: reasonConnection, Scope: push.ScopeConnection, Transport: true}},
		"connection reset": {answer: simulator.Answer{Fault: simulator.FaultDisconnect}, want: push.Outcome{Reason: reasonConnection, Scope: push.ScopeConnection, Transport: true}},
	} {
		token := "fMock:" + strconv.Itoa(len(name)) + "-" + name[:1] + name[len(name)-1:]
		s.Script(simulator.FCM, token, tt.answer)
		out, fault := send(t, c, token)
		require.Equal(t, tt.want, out, name)
		require.Equal(t, tt.fault, fault, name)
	}
}

// What the server provably has not processed goes out again at once, on another connection: it cannot ring twice.
func TestSimulator_UnprocessedIsSentAgain(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{})
	c := s.client(t, nil)
	for _, fault := range []simulator.Fault{simulator.FaultRefuse, simulator.FaultGoAway} {
		token := "fMock:" + string(fault)
		s.Script(simulator.FCM, token, simulator.Answer{Fault: fault})
		out, f := send(t, c, token)
		require.Nil(t, f)
		require.Equal(t, push.Delivered, out.Verdict, fault)
	}
}

// A GOAWAY splits the requests in flight: those before it are still answered, it and the later ones go out again.
func TestSimulator_GoodbyeRingsNobodyTwice(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{Latency: 100 * time.Millisecond})
	c := s.client(t, nil)
	for round := range 3 {
		s.Script(simulator.FCM, fmt.Sprintf("fMock:%d-20", round), simulator.Answer{Fault: simulator.FaultGoAway})
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				out, err := c.Send(t.Context(), message(fmt.Sprintf("fMock:%d-%d", round, i)), push.Hash{})
				if err != nil || out.Verdict != push.Delivered {
					t.Errorf("lost: %s %v", out.Reason, err)
				}
			})
		}
		wg.Wait()
	}
	delivered := map[string]int{}
	for _, r := range s.Receipts() {
		if r.Delivered {
			delivered[r.Token]++
		}
	}
	require.Len(t, delivered, 3*40)
	for token, n := range delivered {
		require.Equal(t, 1, n, "%s rang twice", token)
	}
}

func TestSimulator_AThousandAtOnce(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{Latency: 100 * time.Millisecond, StreamLimit: 1000})
	c := s.client(t, nil)
	require.NoError(t, c.Warm(t.Context()))
	require.Empty(t, s.Receipts(), "warming up sends nothing")
	require.EqualValues(t, 1, s.Stats().Services[simulator.FCM].ConnectionsOpened)
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			out, err := c.Send(t.Context(), message("fMock:"+strconv.Itoa(i)), push.Hash{})
			if err != nil || out.Verdict != push.Delivered {
				t.Errorf("not delivered: %s %v", out.Reason, err)
			}
		})
	}
	wg.Wait()
	stats := s.Stats()
	require.EqualValues(t, 1000, stats.Delivered)
	require.LessOrEqual(t, stats.Services[simulator.FCM].ConnectionsOpened, int64(4))
	require.EqualValues(t, 1, stats.Services[simulator.OAuth].Requests)
}

// A cold burst must not count on more streams than the server allows: it would have to take requests back.
func TestSimulator_AColdBurstKeepsToTheStreamLimit(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{Latency: 50 * time.Millisecond, StreamLimit: 10})
	c := s.client(t, nil)
	var wg sync.WaitGroup
	for i := range 80 {
		wg.Go(func() {
			if out, err := c.Send(t.Context(), message("fMock:"+strconv.Itoa(i)), push.Hash{}); err != nil || out.Verdict != push.Delivered {
				t.Errorf("not delivered: %s %v", out.Reason, err)
			}
		})
	}
	wg.Wait()
	fcm := s.Stats().Services[simulator.FCM]
	require.EqualValues(t, 80, fcm.Requests)
	require.Zero(t, fcm.StreamsRefused)
}

func TestSimulator_LostConnections(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{})
	c := s.client(t, nil)
	l := c.links.acquire()
	defer l.release()
	lost := func(is func(conns []*conn) bool) {
		t.Helper()
		s.Disconnect(simulator.FCM)
		require.Eventually(t, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return is(l.conns)
		}, 10*time.Second, time.Millisecond)
	}
	// Warm, and lost before it was used: nobody pays for that.
	for range 3 {
		require.NoError(t, c.Warm(t.Context()))
		lost(func(conns []*conn) bool { return !slices.ContainsFunc(conns, usable) })
	}
	out, _ := send(t, c, "fMock:1")
	require.Equal(t, push.Delivered, out.Verdict)
	out, _ = send(t, c, "fMock:1")
	require.Equal(t, push.Delivered, out.Verdict)
	// Used and lost: gone.
	l.mu.Lock()
	used := l.conns[slices.IndexFunc(l.conns, usable)]
	l.mu.Unlock()
	lost(func(conns []*conn) bool { return !slices.Contains(conns, used) })
}

func TestSimulator_AccessTokenWithdrawn(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{})
	c := s.client(t, nil)
	out, _ := send(t, c, "fMock:1")
	require.Equal(t, push.Delivered, out.Verdict)
	s.RevokeAccessTokens()
	out, fault := send(t, c, "fMock:1")
	require.Nil(t, fault)
	require.Equal(t, "UNAUTHENTICATED", out.Reason)
	out, _ = send(t, c, "fMock:1")
	require.Equal(t, push.Delivered, out.Verdict)

	require.NoError(t, s.Revoke(s.credentials.ServiceAccountKeyID))
	out, fault = send(t, c, "fMock:1")
	require.Nil(t, fault)
	require.Equal(t, "UNAUTHENTICATED", out.Reason)
	_, fault = send(t, c, "fMock:1")
	require.Equal(t, &push.Fault{Kind: push.FaultConfig, Reason: "invalid_grant"}, fault)
}

func TestSimulator_WrongServerCertificate(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{})
	for _, certificate := range []simulator.Certificate{simulator.CertificateExpired, simulator.CertificateWrongName, simulator.CertificateWrongCA} {
		require.NoError(t, s.SetConditions(simulator.FCM, simulator.Conditions{Certificate: certificate}))
		out, fault := send(t, s.client(t, nil), "fMock:1")
		require.Nil(t, fault)
		require.Equal(t, push.Outcome{Reason: reasonTLS, Scope: push.ScopeConnection, Transport: true}, out, certificate)
	}
	require.Empty(t, s.Receipts())
}
