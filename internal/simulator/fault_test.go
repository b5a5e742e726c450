package simulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// patience bounds waits that a good simulator ends at once.
const patience = 20 * time.Second

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, time.Millisecond, what)
}

// apnsRig is a simulator, a good token and one connection.
func apnsRig(t *testing.T, o Options) (*rig, string, *line) {
	t.Helper()
	r := start(t, o)
	return r, r.provider(CredentialOptions{}).token(0), r.dial(r.APNsURL())
}

// scriptTaken waits until the scripted answers are taken: then their requests are under way.
func (r *rig) scriptTaken(t *testing.T, name Service) {
	t.Helper()
	soon(t, "the script is used up", func() bool { return !r.services[name].scripts.any.Load() })
}

func (r *rig) apnsStats() ServiceStats { return r.Stats().Services[APNs] }

// sender is Go's own pool of connections: it resends what was provably not processed.
func (r *rig) sender() *http.Client {
	transport := &http2.Transport{TLSClientConfig: r.clientTLS()} //nolint:staticcheck // the transport that providers use
	r.t.Cleanup(transport.CloseIdleConnections)                   //nolint:staticcheck // as above
	return &http.Client{Transport: transport}
}

func (r *rig) sendVia(c *http.Client, bearer string) (int, error) {
	p := newPush(bearer)
	resp, err := c.Do(r.request(p.method, r.APNsURL()+p.path, p.payload, p.header))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func TestFault_BreaksOneExchange(t *testing.T) {
	t.Parallel()
	for fault, check := range map[Fault]func(t *testing.T, err error){
		FaultReset: func(t *testing.T, err error) {
			se, ok := errors.AsType[http2.StreamError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, http2.ErrCodeInternal, se.Code)
		},
		FaultRefuse: func(t *testing.T, err error) {
			se, ok := errors.AsType[http2.StreamError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, http2.ErrCodeRefusedStream, se.Code)
		},
		FaultDisconnect: func(t *testing.T, err error) { require.Error(t, err) },
		FaultGoAway:     func(t *testing.T, err error) { require.ErrorContains(t, err, "GOAWAY") },
	} {
		for _, delivered := range []bool{false, true} {
			t.Run(string(fault), func(t *testing.T) {
				t.Parallel()
				r, bearer, l := apnsRig(t, Options{})
				r.Script(APNs, testToken, Answer{Fault: fault, Delivered: delivered, Reason: "Shutdown"})
				p := newPush(bearer)
				_, err := l.try(r.request(p.method, r.APNsURL()+p.path, p.payload, p.header))
				check(t, err)
				got := r.last()
				require.Equal(t, fault, got.Fault)
				require.Equal(t, delivered, got.Delivered)
				require.Zero(t, got.Status)
				require.EqualValues(t, 1, r.apnsStats().Answers[string(fault)])

				alive := fault == FaultReset || fault == FaultRefuse
				if alive {
					require.Equal(t, 200, l.send(bearer).status, "the connection lives on")
				} else {
					soon(t, "the connection ends", func() bool { return r.apnsStats().ConnectionsOpen == 0 })
				}
			})
		}
	}
}

func TestFault_HangLeavesTheConnectionAlive(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	r.Script(APNs, testToken, Answer{Fault: FaultHang})
	ctx, cancel := context.WithCancel(t.Context())
	p := newPush(bearer)
	failed := make(chan error, 1)
	go func() {
		_, err := l.try(r.request(p.method, r.APNsURL()+p.path, p.payload, p.header).WithContext(ctx))
		failed <- err
	}()
	_, err := r.WaitReceipts(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, l.Ping(t.Context()))
	require.Equal(t, 200, l.send(bearer).status)
	require.Empty(t, failed)
	require.EqualValues(t, 1, r.apnsStats().StreamsOpen)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	soon(t, "the reset arrives", func() bool { return r.apnsStats().Cancelled == 1 })
	require.Zero(t, r.apnsStats().StreamsOpen)
	require.Equal(t, FaultHang, r.Receipts()[0].Fault)
	require.False(t, r.Receipts()[0].Delivered)
}

func TestFault_Truncate(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	body := `{"reason":"Unregistered"}`
	r.Script(APNs, testToken, Answer{Fault: FaultTruncate, Status: 410, Body: &body})
	p := newPush(bearer)
	resp, err := l.RoundTrip(r.request(p.method, r.APNsURL()+p.path, p.payload, p.header))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 410, resp.StatusCode)
	half, err := io.ReadAll(resp.Body)
	require.Error(t, err)
	require.Equal(t, body[:len(body)/2], string(half))
	require.Equal(t, FaultTruncate, r.last().Fault)
}

// Go's transport may resend a refused stream and one above a GOAWAY: it arrives exactly once.
func TestFault_UnprocessedIsResentOnce(t *testing.T) {
	t.Parallel()
	for _, fault := range []Fault{FaultRefuse, FaultGoAway} {
		r := start(t, Options{})
		bearer := r.provider(CredentialOptions{}).token(0)
		r.Script(APNs, testToken, Answer{Fault: fault}) // twice in a row, and Go's transport begins to wait for seconds
		status, err := r.sendVia(r.sender(), bearer)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		stats := r.Stats()
		require.EqualValues(t, 2, stats.Receipts)
		require.EqualValues(t, 1, stats.Delivered)
		if fault == FaultGoAway {
			require.EqualValues(t, 2, stats.Services[APNs].ConnectionsOpened)
		}
	}
}

func TestAnswer_Close(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	r.Script(APNs, testToken, Answer{Reason: "Shutdown", Close: true})
	l.send(bearer).requireReason(t, 503, "Shutdown")
	soon(t, "GOAWAY and close", func() bool { return !l.CanTakeNewRequest() && r.apnsStats().ConnectionsOpen == 0 })
}

func TestDelay_OthersOvertake(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	r.Script(APNs, testToken, Answer{Delay: time.Hour})
	go func() {
		p := newPush(bearer)
		_, _ = l.try(r.request(p.method, r.APNsURL()+p.path, p.payload, p.header))
	}()
	r.scriptTaken(t, APNs)
	require.Empty(t, r.Receipts(), "entered with its answer")
	require.Equal(t, 200, l.send(bearer).status)
	require.EqualValues(t, 2, r.apnsStats().MaxStreams)
	require.EqualValues(t, 2, r.apnsStats().MaxStreamsConn)
}

// Who gives up waiting has been served all the same: that is how duplicates come about.
func TestDelay_GivenUpIsDelivered(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	r.Script(APNs, testToken, Answer{Delay: 200 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	p := newPush(bearer)
	req := r.request(p.method, r.APNsURL()+p.path, p.payload, p.header).WithContext(ctx)
	go func() {
		_, err := l.try(req)
		failed <- err
	}()
	r.scriptTaken(t, APNs)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	all, err := r.WaitReceipts(t.Context(), 1)
	require.NoError(t, err)
	require.True(t, all[0].Delivered)
	require.True(t, all[0].Unheard)
	require.Equal(t, 200, all[0].Status)
}

func TestConditions_Latency(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{Latency: time.Millisecond})
	require.Equal(t, 200, l.send(bearer).status)
	require.NoError(t, r.SetConditions(APNs, Conditions{Latency: time.Hour}))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		p := newPush(bearer)
		_, err := l.try(r.request(p.method, r.APNsURL()+p.path, p.payload, p.header).WithContext(ctx))
		failed <- err
	}()
	soon(t, "one under way", func() bool { return r.apnsStats().Requests == 2 })
	require.NoError(t, r.SetConditions(APNs, Conditions{}))
	require.Equal(t, 200, l.send(bearer).status)
	require.Empty(t, failed)
	cancel()
	require.Error(t, <-failed)
}

func TestConditions_ErrorRate(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	require.NoError(t, r.SetConditions(APNs, Conditions{ErrorRate: 1}))
	l.send(bearer).requireReason(t, 503, "ServiceUnavailable")
	require.NoError(t, r.SetConditions(APNs, Conditions{ErrorRate: 1, Error: Answer{Reason: "TooManyRequests", RetryAfter: "5"}}))
	require.Equal(t, "5", l.send(bearer).header.Get("retry-after"))
	r.Script(APNs, testToken, Answer{Reason: "Unregistered"})
	l.send(bearer).requireReason(t, 410, "Unregistered") // a script knows better

	require.NoError(t, r.Reset())
	require.NoError(t, r.SetConditions(APNs, Conditions{ErrorRate: 0.5}))
	for range 400 {
		l.send(bearer)
	}
	stats := r.Stats()
	require.EqualValues(t, 400, stats.Receipts)
	require.InDelta(t, 200, float64(stats.Delivered), 80) // eight standard deviations
	require.Equal(t, stats.Receipts-stats.Delivered, uint64(stats.Services[APNs].Answers["503 ServiceUnavailable"]))
}

func TestConditions_EachServiceHasItsOwnWords(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	acc := r.account(CredentialOptions{})
	bearer := acc.token()
	for _, name := range []Service{FCM, OAuth, WebPush} {
		require.NoError(t, r.SetConditions(name, Conditions{ErrorRate: 1}))
	}
	require.Equal(t, "UNAVAILABLE", r.dial(r.FCMURL()).message(bearer, fcmMessage1).fcm(t).code())
	require.Equal(t, 503, acc.ask(jwt(t, acc.key, acc.header(), acc.claims())).status)
	require.Equal(t, 503, r.appServer().push(r.subscribe(SubscribeOptions{}), "x", nil).status)
}

func TestConditions_StreamLimit(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{StreamLimit: 7})
	limit := func(l *line) uint32 {
		require.NoError(t, l.Ping(t.Context()))
		return l.State().MaxConcurrentStreams
	}
	require.EqualValues(t, 7, limit(l))
	require.NoError(t, r.SetConditions(APNs, Conditions{StreamLimit: 1}))
	require.EqualValues(t, 1, limit(l))
	require.EqualValues(t, 1, limit(r.dial(r.APNsURL())))
	require.Equal(t, 200, l.send(bearer).status)
	require.NoError(t, r.SetConditions(APNs, Conditions{}))
	require.EqualValues(t, 7, limit(l))
}
