package pushgateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/pushgateway"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/api/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
)

const (
	pathMatrix    = "/_matrix/push/v1/notify"
	pathNotify    = "/push/v1/notify"
	pathBatch     = "/push/v1/notify/batch"
	pathEncrypted = "/push/v1/notifyEncrypted/batch"
)

func paths() []string { return []string{pathMatrix, pathNotify, pathBatch, pathEncrypted} }

// gateway is a Deliverer that remembers what it was asked and answers as told. By default it delivers everything.
type gateway struct {
	mu     sync.Mutex
	caller push.Caller
	got    []push.Notification
	calls  int
	answer func(ctx context.Context, n []push.Notification) ([]push.Delivery, error)
}

func (g *gateway) Deliver(ctx context.Context, c push.Caller, n []push.Notification) ([]push.Delivery, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.caller, g.got = c, n
	g.calls++
	if g.answer != nil {
		return g.answer(ctx, n)
	}
	return states(push.StateDelivered)(ctx, n)
}

// states answers the devices in turn with these states, from the beginning when there are more devices.
func states(s ...push.State) func(context.Context, []push.Notification) ([]push.Delivery, error) {
	return func(_ context.Context, n []push.Notification) ([]push.Delivery, error) {
		out := make([]push.Delivery, len(n))
		for i := range out {
			out[i].State = s[i%len(s)]
		}
		return out, nil
	}
}

// observed is one call of the observer.
type observed struct {
	operation string
	status    int
	bytes     int64
}

// edge is an engine with the API mounted, over a fake gateway.
type edge struct {
	t        testing.TB
	engine   *api.Engine
	gateway  *gateway
	judge    *apitest.Judge
	log      *bytes.Buffer
	mu       sync.Mutex
	observed []observed
}

func (e *edge) ObserveRequest(operation string, status int, _ time.Duration, n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.observed = append(e.observed, observed{operation, status, n})
}

// judge is shared: loading and validating the contract takes longer than most tests.
var judge = func() func(testing.TB) *apitest.Judge {
	var once sync.Once
	var j *apitest.Judge
	return func(t testing.TB) *apitest.Judge {
		t.Helper()
		once.Do(func() { j = apitest.NewJudge(t, wire.GetSpec) })
		return j
	}
}()

func newEdge(t testing.TB, change func(*pushgateway.Options, *api.Options)) *edge {
	t.Helper()
	e := &edge{t: t, gateway: &gateway{}, judge: judge(t), log: &bytes.Buffer{}}
	o := pushgateway.Options{Deliverer: e.gateway, Matrix: true, Gematik: true}
	eo := api.Options{Observer: e, Logger: slog.New(slog.NewJSONHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(&o, &eo)
	}
	a, err := pushgateway.New(o)
	require.NoError(t, err)
	e.engine, err = api.New(eo)
	require.NoError(t, err)
	require.NoError(t, e.engine.Mount(a))
	return e
}

// do serves the request and holds the answer against the contract.
func (e *edge) do(r *http.Request) *httptest.ResponseRecorder {
	e.t.Helper()
	w := httptest.NewRecorder()
	e.engine.ServeHTTP(w, r)
	e.judge.Answer(e.t, r.Method, r.URL.Path, w)
	return w
}

// post sends a JSON body.
func (e *edge) post(path, body string) *httptest.ResponseRecorder {
	e.t.Helper()
	return e.do(apitest.Post(path, body))
}

// refuses fails the test unless the body is answered with this status and text and nothing was delivered.
func (e *edge) refuses(r *http.Request, status int, text string) {
	e.t.Helper()
	before := e.gateway.calls
	w := e.do(r)
	require.Equalf(e.t, status, w.Code, "body: %s", w.Body)
	require.Contains(e.t, w.Body.String(), text)
	require.Equal(e.t, before, e.gateway.calls, "something was delivered")
}

// ciphertext is a valid one: 1404 characters.
func ciphertext() string { return strings.Repeat("QUJD", 351) }

// Bodies that every operation accepts, with one device each.
func validBody(path string) string {
	switch path {
	case pathBatch:
		return `{"notifications":[` + plainItem("a") + `]}`
	case pathEncrypted:
		return `{"notifications":[` + sealedItem("a") + `]}`
	default:
		return `{"notification":{"event_id":"$e","devices":[{"app_id":"app","pushkey":"key"}]}}`
	}
}

func plainItem(id string) string {
	return `{"id":` + quote(id) + `,"notification":{"event_id":"$` + id + `","devices":[{"app_id":"app","pushkey":"key-` + id + `"}]}}`
}

func sealedItem(id string) string {
	return `{"id":` + quote(id) + `,"notification":{"ciphertext":"` + ciphertext() + `","time_message_encrypted":"2026-07","key_identifier":"kid","device":{"app_id":"app","pushkey":"key-` + id + `"}}}`
}

func quote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// batchOf returns a batch of the operation's items with these ids.
func batchOf(path string, ids ...string) string {
	items := make([]string, len(ids))
	for i, id := range ids {
		items[i] = plainItem(id)
		if path == pathEncrypted {
			items[i] = sealedItem(id)
		}
	}
	return `{"notifications":[` + strings.Join(items, ",") + `]}`
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = "item-" + quote(string(rune('0' + i%10)))[1:2] + strings.Repeat("x", i/10)
	}
	return ids
}

// jsonRequest returns a valid request.
func jsonRequest(path string) *http.Request { return apitest.Post(path, validBody(path)) }
