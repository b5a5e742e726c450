package fcm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"

	"github.com/pushgate/pushgate/internal/push"
)

func send(t testing.TB, c *Client, token string) (push.Outcome, *push.Fault) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := c.Send(ctx, message(token), push.Hash{1})
	if err == nil {
		return out, nil
	}
	fault, ok := errors.AsType[*push.Fault](err)
	require.True(t, ok)
	return out, fault
}

func TestSend_TheRequestOnTheWire(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	c := f.client(t, nil)
	out, fault := send(t, c, "token-1")
	require.Nil(t, fault)
	require.Equal(t, push.Outcome{Verdict: push.Delivered, Reason: "delivered"}, out)

	got := f.last(t)
	require.Equal(t, "HTTP/2.0", got.proto)
	require.Equal(t, "/v1/projects/"+testProject+"/messages:send", got.path)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.Equal(t, "Bearer ya29.secret-1", got.header.Get("Authorization"))
	require.Equal(t, fmt.Sprint(len(got.body)), got.header.Get("Content-Length"))
	require.NotEmpty(t, got.header.Get("X-Firebase-Client"), "the SDK's own headers stay")
	require.JSONEq(t, `{"message":{"token":"token-1","android":{"priority":"high"},"data":{
		"event_id":"$event","room_id":"!room:example.org","type":"m.room.message","content_msgtype":"m.text",
		"content_body":"secret body text","prio":"high"}}}`, string(got.body))
}

func TestSend_OneAttemptWhateverTheSDKWouldDo(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	c := f.client(t, nil)
	f.script("a", reply{status: 503, header: http.Header{"Retry-After": {"3"}}, body: errorBody(503, "UNAVAILABLE", "overloaded", fcmError("UNAVAILABLE"))})
	out, fault := send(t, c, "a")
	require.Nil(t, fault)
	require.Equal(t, push.Outcome{Reason: "UNAVAILABLE", Delay: 3 * time.Second, Scope: push.ScopeApp, Transport: true}, out)
	require.Equal(t, 1, f.requests("a"))

	f.script("b", reply{reset: true})
	out, fault = send(t, c, "b")
	require.Nil(t, fault)
	require.Equal(t, push.Outcome{Reason: reasonConnection, Scope: push.ScopeConnection, Transport: true}, out)
	require.Equal(t, 1, f.requests("b"))
}

func TestSend_DeadlineIsATimeout(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	c := f.client(t, nil)
	require.NoError(t, c.Warm(t.Context()))
	arrived := make(chan struct{})
	f.script("slow", reply{hang: true, before: func() { close(arrived) }})
	ctx, expire := withManualDeadline(t.Context())
	go func() {
		<-arrived
		expire()
	}()
	out, err := c.Send(ctx, message("slow"), push.Hash{})
	require.NoError(t, err)
	require.Equal(t, push.Outcome{Reason: reasonTimeout, Scope: push.ScopeConnection, Transport: true}, out)
}

// manualDeadline is a context whose deadline passes when the test says so.
type manualDeadline struct {
	context.Context
	done chan struct{}
}

func withManualDeadline(parent context.Context) (context.Context, func()) {
	d := &manualDeadline{Context: parent, done: make(chan struct{})}
	return d, sync.OnceFunc(func() { close(d.done) })
}

func (d *manualDeadline) Done() <-chan struct{} { return d.done }

func (d *manualDeadline) Err() error {
	select {
	case <-d.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestSend_AccessTokenRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	c := f.client(t, nil)
	_, fault := send(t, c, "a")
	require.Nil(t, fault)

	f.revoke()
	out, fault := send(t, c, "a")
	require.Nil(t, fault)
	require.Equal(t, push.Outcome{Reason: "UNAUTHENTICATED", Delay: tokenDelay, Scope: push.ScopeApp}, out)
	out, fault = send(t, c, "a")
	require.Nil(t, fault, "the next attempt carries a fresh token")
	require.Equal(t, push.Delivered, out.Verdict)
	require.Equal(t, 2, f.tokenFetches())

	// A token that does not work although it is fresh: our credential is the problem, not the device.
	f.mu.Lock()
	f.grant = func(w http.ResponseWriter) bool {
		_, _ = w.Write([]byte(`{"access_token":"worthless","expires_in":3599,"token_type":"Bearer"}`))
		return true
	}
	f.mu.Unlock()
	f.revoke()
	_, fault = send(t, c, "a")
	require.Nil(t, fault)
	for range 2 {
		out, fault = send(t, c, "a")
		require.Equal(t, &push.Fault{Kind: push.FaultConfig, Reason: "UNAUTHENTICATED"}, fault)
		require.Zero(t, out)
	}
}

func TestSend_TokenEndpointInTrouble(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	f.grant = func(w http.ResponseWriter) bool {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	c := f.client(t, nil)
	for range 50 {
		out, fault := send(t, c, "a")
		require.Nil(t, fault)
		require.Equal(t, push.RetryAfter, out.Verdict)
		require.Equal(t, reasonTokenServer, out.Reason)
		require.Equal(t, push.ScopeApp, out.Scope)
		require.Equal(t, 7*time.Second, out.Delay)
		require.True(t, out.Transport)
	}
	require.Zero(t, f.requests("*"))
	require.Less(t, f.tokenFetches(), 50)
}

func TestSend_AssertionFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var strayed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	f := newFake(t, 100)
	f.grant = func(w http.ResponseWriter) bool {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	out, fault := send(t, f.client(t, nil), "a")
	require.Nil(t, fault)
	require.Equal(t, reasonTokenServer, out.Reason)
	require.Zero(t, strayed.Load())
}

func TestSend_AnswersAreBoundedAndNeverFollowed(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	c := f.client(t, nil)
	huge := strings.Repeat("x", 4<<20)
	for name, tt := range map[string]struct {
		reply  reply
		reason string
	}{
		"error page of 4 MB": {reply{status: 502, body: huge}, reasonServerError},
		"receipt of 4 MB":    {reply{status: 200, body: `{"name":"` + huge + `"}`}, reasonNoReceipt},
		"redirect":           {reply{status: 307, header: http.Header{"Location": {f.server.URL + "/v1/projects/x/messages:send"}}}, reasonUnknown},
	} {
		token := "bounded " + name
		f.script(token, tt.reply)
		out, fault := send(t, c, token)
		require.Nil(t, fault, name)
		require.Equal(t, tt.reason, out.Reason, name)
		require.Equal(t, push.RetryAfter, out.Verdict, name)
		require.Equal(t, 1, f.requests(token), name)
	}
	out, _ := send(t, c, "after")
	require.Equal(t, push.Delivered, out.Verdict)
}

func TestWarm_OpensOneConnectionAndSendsNothing(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	c := f.client(t, nil)
	require.Zero(t, c.Credential())
	require.NoError(t, c.Warm(t.Context()))
	require.False(t, c.Credential().TokenIssued.IsZero())
	require.True(t, c.Credential().CertificateExpires.IsZero())

	f.mu.Lock()
	opened := f.opened
	f.mu.Unlock()
	require.Equal(t, 2, opened, "one for the token, one for FCM")
	require.Zero(t, f.requests("*"))
	_, fault := send(t, c, "a")
	require.Nil(t, fault)
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Equal(t, opened, f.opened)
	require.Equal(t, 1, f.fetches)
}

func TestWarm_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	f.grant = func(w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		return true
	}
	require.ErrorContains(t, f.client(t, nil).Warm(t.Context()), "invalid_client")

	stranger, g := newFake(t, 100), newFake(t, 100)
	cfg := g.config(t)
	cfg.ServiceAccountFile = writeTemp(t, "sa.json", serviceAccount(t, g.server.URL+"/token"))
	cfg.Endpoint = strings.Replace(stranger.server.URL, "127.0.0.1", "localhost", 1)
	c, err := New(cfg, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	require.ErrorContains(t, c.Warm(t.Context()), "localhost", "a server with another name is not FCM")
	out, fault := send(t, c, "a")
	require.Nil(t, fault)
	require.Equal(t, push.Outcome{Reason: reasonTLS, Scope: push.ScopeConnection, Transport: true}, out)
	require.Zero(t, stranger.requests("*"))
}

func TestSend_AThousandAtOnceOverFewConnections(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ streams, most int }{
		"stream limit 100":   {100, 20},
		"stream limit 1,000": {1000, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, tt.streams)
			c := f.client(t, nil)
			require.NoError(t, c.Warm(t.Context()))
			// Each answer waits until all have arrived, or for as long as FCM takes when connections run out.
			var wg sync.WaitGroup
			for i := range 1000 {
				token := fmt.Sprint("token-", i)
				f.script(token, reply{status: 200, body: `{"name":"projects/p/messages/1"}`, delay: 100 * time.Millisecond})
				wg.Go(func() {
					out, err := c.Send(t.Context(), message(token), push.Hash{})
					if err != nil || out.Verdict != push.Delivered {
						t.Errorf("not delivered: %s %v", out.Reason, err)
					}
				})
			}
			wg.Wait()
			require.Equal(t, 1000, f.requests("*"))
			require.Equal(t, 1, f.tokenFetches())
			f.mu.Lock()
			defer f.mu.Unlock()
			require.LessOrEqual(t, f.opened-1, tt.most, "connections to FCM")
		})
	}
}

func TestSend_NoTextGivesAnythingAway(t *testing.T) {
	t.Parallel()
	var journal bytes.Buffer
	log := slog.New(slog.NewTextHandler(&journal, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f := newFake(t, 100)
	c := f.client(t, log)
	const token = "canary-token"
	echo := `canary-token secret body text ya29.secret`
	for _, r := range []reply{
		{},
		{reset: true},
		{status: 400, body: errorBody(400, "INVALID_ARGUMENT", echo, fcmError(echo))},
		{status: 403, body: errorBody(403, echo, echo, "")},
		{status: 404, body: echo},
		{status: 429, header: http.Header{"Retry-After": {echo}}, body: errorBody(429, "RESOURCE_EXHAUSTED", echo, quota(echo, echo))},
		{status: 500, body: echo},
		{status: 200, body: echo},
	} {
		f.script(token, r)
		out, err := c.Send(t.Context(), message(token), push.Hash{})
		_, _ = fmt.Fprintf(&journal, "%+v %#v %v %+v\n", out, out, err, err)
		if fault, ok := errors.AsType[*push.Fault](err); ok {
			_, _ = fmt.Fprintf(&journal, "%+v %#v %v\n", fault, fault, fault.Err)
		}
	}
	for _, secret := range []string{"canary", "secret body", "ya29", "event", "!room", "PRIVATE KEY"} {
		require.NotContains(t, journal.String(), secret)
	}
	require.Contains(t, journal.String(), "no answer from FCM", "the log was in use")
}

func TestClose_LetsRequestsEnd(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	c := f.client(t, nil)
	arrived, goOn := make(chan struct{}), make(chan struct{})
	f.script("a", reply{before: func() { close(arrived); <-goOn }})
	done := make(chan push.Outcome)
	go func() {
		out, _ := c.Send(t.Context(), message("a"), push.Hash{})
		done <- out
	}()
	<-arrived
	require.NoError(t, c.Close())
	close(goOn)
	out := <-done
	require.Equal(t, push.Delivered, out.Verdict)

	out, fault := send(t, c, "b")
	require.Nil(t, fault)
	require.Equal(t, push.Outcome{Reason: reasonClosed, Scope: push.ScopeConnection}, out)
	require.Error(t, c.Warm(t.Context()))
}

func TestNew_DialGoesThroughTheHook(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	var dialled atomic.Int64
	c, err := New(f.config(t), Options{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	_, fault := send(t, c, "a")
	require.Nil(t, fault)
	require.EqualValues(t, 2, dialled.Load(), "token endpoint and FCM")
}

func TestNew_ReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := New(Config{}, Options{})
	require.ErrorContains(t, err, "project_id: is missing")
	require.ErrorContains(t, err, "service_account_file: is missing")
	require.ErrorContains(t, err, "max_in_flight")
}

// BenchmarkBare is the SDK alone with its own message type, on the same kind of connections: the limit that Send is
// measured against.
func BenchmarkBare(b *testing.B) {
	f := newFake(b, 250)
	f.issued["Bearer known"] = true
	c := f.client(b, nil)
	app, err := firebase.NewApp(b.Context(), &firebase.Config{ProjectID: testProject},
		option.WithEndpoint(f.server.URL+"/v1"),
		option.WithHTTPClient(&http.Client{Transport: &oauth2.Transport{
			Base:   newLink(c.links.roots, c.links.dial, time.Now).transport,
			Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "known"}),
		}}))
	require.NoError(b, err)
	sdk, err := app.Messaging(b.Context())
	require.NoError(b, err)
	body, _ := c.builder.build(message("token"))
	data := dataOf(b, body)
	b.ReportAllocs()
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m := &messaging.Message{Token: "token", Data: data, Android: &messaging.AndroidConfig{Priority: "high"}}
			if _, err := sdk.Send(b.Context(), m); err != nil {
				b.Fail()
			}
		}
	})
}

// BenchmarkSend is the whole way to a local server and back, server included.
func BenchmarkSend(b *testing.B) {
	f := newFake(b, 250)
	c := f.client(b, nil)
	n := message("token")
	b.ReportAllocs()
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if out, err := c.Send(b.Context(), n, push.Hash{}); err != nil || out.Verdict != push.Delivered {
				b.Fail()
			}
		}
	})
}
