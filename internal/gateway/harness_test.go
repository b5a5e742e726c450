package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// The answers that tests script.
var (
	ok          = answer{outcome: push.Outcome{Verdict: push.Delivered, Reason: "ok"}}
	throttled   = answer{outcome: push.Outcome{Reason: "throttled"}}
	unreachable = answer{outcome: push.Outcome{Reason: "reset", Transport: true}}
	certain     = answer{outcome: push.Outcome{Verdict: push.Rejected, Reason: "unregistered", Certain: true}}
	guarded     = answer{outcome: push.Outcome{Verdict: push.Rejected, Reason: "bad_device_token"}}
	badConfig   = answer{err: &push.Fault{Kind: push.FaultConfig, Reason: "invalid_provider_token", Err: errors.New("403")}}
	tooLarge    = answer{err: &push.Fault{Kind: push.FaultMessage, Reason: "payload_too_large"}}
)

// answer is one scripted answer of the fake provider.
type answer struct {
	outcome push.Outcome
	err     error
	takes   time.Duration
	panics  bool
}

func (a answer) after(d time.Duration) answer   { a.takes = d; return a }
func (a answer) delayed(d time.Duration) answer { a.outcome.Delay = d; return a }
func (a answer) scoped(s push.Scope) answer     { a.outcome.Scope = s; return a }
func (a answer) diedAt(t time.Time) answer      { a.outcome.Since = t; return a }

// fakeProvider answers by script: per pushkey in order, the last one for ever; otherwise by the rule, otherwise ok.
type fakeProvider struct {
	mu       sync.Mutex
	scripts  map[push.Pushkey][]answer
	rule     func(n push.Notification, sent int) answer
	sent     []sentPush
	flying   int
	most     int
	closed   int
	deadline []time.Duration
}

type sentPush struct {
	note     push.Notification
	collapse push.Hash
	at       time.Time
	result   answer
}

var _ provider.Provider = (*fakeProvider)(nil)

func (p *fakeProvider) script(key push.Pushkey, answers ...answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.scripts == nil {
		p.scripts = map[push.Pushkey][]answer{}
	}
	p.scripts[key] = answers
}

func (p *fakeProvider) all(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = func(push.Notification, int) answer { return a }
}

func (p *fakeProvider) Send(ctx context.Context, n push.Notification, collapse push.Hash) (push.Outcome, error) {
	p.mu.Lock()
	a := ok
	if s := p.scripts[n.Device.Pushkey]; len(s) > 0 {
		a = s[0]
		if len(s) > 1 {
			p.scripts[n.Device.Pushkey] = s[1:]
		}
	} else if p.rule != nil {
		a = p.rule(n, len(p.sent))
	}
	p.flying++
	p.most = max(p.most, p.flying)
	p.sent = append(p.sent, sentPush{n, collapse, time.Now(), a})
	if until, has := ctx.Deadline(); has {
		p.deadline = append(p.deadline, time.Until(until))
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.flying--
		p.mu.Unlock()
	}()
	if a.takes > 0 {
		select {
		case <-time.After(a.takes):
		case <-ctx.Done():
			return push.Outcome{Reason: "timeout", Transport: true, Scope: push.ScopeConnection}, nil
		}
	}
	if a.panics {
		panic(fmt.Sprintf("canary in a panic %s", n.Device.Pushkey.Reveal()))
	}
	return a.outcome, a.err
}

func (p *fakeProvider) Warm(context.Context) error      { return nil }
func (p *fakeProvider) Credential() provider.Credential { return provider.Credential{} }
func (p *fakeProvider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed++
	return nil
}

func (p *fakeProvider) sends() []sentPush {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]sentPush(nil), p.sent...)
}

// peak returns how many requests were under way at once since the last call, and how many are now.
func (p *fakeProvider) peak() (most, now int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	most, p.most = p.most, p.flying
	return most, p.flying
}

func (p *fakeProvider) closes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *fakeProvider) count() int { return len(p.sends()) }

// delivered counts the answers that let a phone ring.
func (p *fakeProvider) delivered() int {
	n := 0
	for _, s := range p.sends() {
		if s.result.outcome.Verdict == push.Delivered && s.result.err == nil {
			n++
		}
	}
	return n
}

// recorder is an Observer that counts.
type recorder struct {
	mu       sync.Mutex
	attempts map[string]int
	finals   map[string]int
	alerts   map[string]bool
}

func newRecorder() *recorder {
	return &recorder{attempts: map[string]int{}, finals: map[string]int{}, alerts: map[string]bool{}}
}

func (r *recorder) Attempt(app, kind, result, reason string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts[app+" "+kind+" "+result+" "+reason]++
}

func (r *recorder) Final(app, kind, state, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finals[app+" "+kind+" "+state+" "+reason]++
}

func (r *recorder) Alert(app, what string, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alerts[app+" "+what] = on
}

func (r *recorder) alert(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alerts[name]
}

func (r *recorder) final(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.finals[name]
}

const theApp = "com.example.app"

// harness is a gateway with fakes all around.
type harness struct {
	*Gateway
	t        *testing.T
	store    *fakeStore
	node     *node
	provider *fakeProvider
	observer *recorder
	log      *logBuffer
	cfg      Config
	apps     []App
	senders  []Sender
	stopped  bool
}

// inBubble runs a test with fake time that begins in 2026, as synctest's own begin lies before every real pushkey.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)))
		test(t)
	})
}

type tweak func(h *harness)

func withConfig(change func(c *Config)) tweak { return func(h *harness) { change(&h.cfg) } }
func withStore(n *node) tweak                 { return func(h *harness) { h.store, h.node = n.fakeStore, n } }
func withSenders(s ...Sender) tweak           { return func(h *harness) { h.senders = s } }
func withApp(change func(a *App)) tweak       { return func(h *harness) { change(&h.apps[0]) } }
func withProvider(p *fakeProvider) tweak {
	return func(h *harness) { h.provider, h.apps[0].Provider = p, p }
}

// newHarness starts a gateway with one app. Its end checks the account.
func newHarness(t *testing.T, tweaks ...tweak) *harness {
	t.Helper()
	h := &harness{t: t, store: newFakeStore(), provider: &fakeProvider{}, observer: newRecorder(), log: &logBuffer{}, cfg: DefaultConfig()}
	h.node = h.store.own()
	h.apps = []App{{Pattern: theApp, Provider: h.provider, Kind: "apns", Fingerprint: "one"}}
	for _, change := range tweaks {
		change(h)
	}
	h.boot()
	t.Cleanup(h.finish)
	return h
}

func (h *harness) boot() {
	h.t.Helper()
	g, err := New(Options{
		Config: h.cfg, Apps: h.apps, Senders: h.senders, Queue: h.node, Ledger: h.node, Hasher: fakeHasher{},
		Observer: h.observer, Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(h.t, err)
	require.NoError(h.t, g.Start(h.t.Context()))
	h.Gateway, h.stopped = g, false
}

// restart stops the process cleanly and starts another one on the same store.
func (h *harness) restart() {
	h.t.Helper()
	h.stop()
	if !h.shared {
		h.store.endLeases()
	}
	h.boot()
}

func (h *harness) stop() {
	h.t.Helper()
	if h.stopped {
		return
	}
	h.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(h.t, h.Stop(ctx))
}

// finish ends every test: nothing may be missing in the account, and the store must agree with it.
func (h *harness) finish() {
	h.stop()
	h.checkAccount()
}

func (h *harness) checkAccount() {
	h.t.Helper()
	s := h.Stats()
	require.True(h.t, s.Account.Balanced(), "account: %+v", s.Account)
	if !h.shared {
		require.EqualValues(h.t, len(h.store.all()), s.Account.Pending, "pending rows: %+v", s.Account)
		require.Equal(h.t, len(h.store.all()), s.Queued, "counted rows")
		require.Zero(h.t, s.Account.HandedOver)
	}
	require.NotContains(h.t, h.log.String(), "canary")
}

func (h *harness) deliver(ns ...push.Notification) ([]push.Delivery, error) {
	return h.Deliver(context.Background(), push.Caller{Path: push.PathMatrix}, ns)
}

// states delivers and returns the states, failing on an error.
func (h *harness) states(ns ...push.Notification) []push.State {
	h.t.Helper()
	out, err := h.deliver(ns...)
	require.NoError(h.t, err)
	states := make([]push.State, len(out))
	for i, d := range out {
		states[i] = d.State
	}
	return states
}

func (h *harness) state(n push.Notification) push.State {
	h.t.Helper()
	return h.states(n)[0]
}

// refused delivers and demands a 503.
func (h *harness) refused(ns ...push.Notification) *push.Error {
	h.t.Helper()
	_, err := h.deliver(ns...)
	refusal, isRefusal := errors.AsType[*push.Error](err)
	require.True(h.t, isRefusal, "error is %v", err)
	require.Equal(h.t, push.Unavailable, refusal.Kind)
	require.GreaterOrEqual(h.t, refusal.RetryAfter, time.Second)
	return refusal
}

// event is a notification about an event for a device of the app.
func event(key push.Pushkey, id string) push.Notification {
	return push.Notification{
		Device: push.Device{AppID: theApp, Pushkey: key},
		Event:  &push.Event{ID: push.NewText(id), Type: push.NewText("m.room.message"), RoomID: push.NewText("!canary:room")},
	}
}

func (h *harness) badge(key push.Pushkey, unread int64) push.Notification {
	return push.Notification{Device: push.Device{AppID: theApp, Pushkey: key}, Counts: push.Counts{Unread: &unread}, Event: &push.Event{}}
}

// registered sets pushkey_ts.
func registered(n push.Notification, at time.Time) push.Notification {
	n.Device.PushkeyTS = at.Unix()
	return n
}

// logBuffer collects what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
