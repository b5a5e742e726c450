package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// TestModel throws everything at a gateway in random order: outages, throttling, hanging providers, refused
// credentials, swapped environments, dying and reviving pushkeys, a store that is down, full or slow, reloads, restarts
// and kills. The oracle knows what every caller was told and what every phone got. lost = 0 and false rejects = 0; a
// duplicate needs a kill that something was in flight at.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) { newModel(t, seed).run() })
		})
	}
}

// phone is one device of the model.
type phone struct {
	key        push.Pushkey
	registered time.Time
	withTS     bool
	died       time.Time // zero while alive
	lives      []life    // the ones that have ended
}

type life struct{ registered, died, revived time.Time }

// mode is what the provider is like.
type mode int

const (
	modeGood mode = iota
	modeFlaky
	modeDown
	modeHangs
	modeThrottles
	modeRefuses
	modeSwapped
	modes
)

type model struct {
	t     *testing.T
	rng   *rand.Rand // of the driver
	dice  *rand.Rand // of the provider; mu guards it
	store *fakeStore
	obs   *recorder
	apps  []App
	cfg   Config

	mu       sync.Mutex
	mode     mode
	phones   []*phone
	receipts map[string]int       // device and event -> how often it arrived
	promised map[string]time.Time // device and event -> when a caller was told that it waits
	crashed  map[string]bool      // device and event -> it has crashed the provider once
	flying   int
	allowed  int // duplicates that kills explain
	dups     int

	process atomic.Pointer[process]
	prints  int // fingerprints so far
	callers sync.WaitGroup
	asking  atomic.Int64 // devices in requests under way
}

// process is one life of the gateway.
type process struct {
	*Gateway
	killed atomic.Bool
}

// mortal is a store as a process sees it until it is killed.
type mortal struct {
	*node
	p *process
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), dice: rand.New(rand.NewPCG(seed, 2)), store: newFakeStore(), obs: newRecorder(), cfg: DefaultConfig(),
		receipts: map[string]int{}, promised: map[string]time.Time{}, crashed: map[string]bool{},
	}
	m.apps = []App{{Pattern: theApp, Provider: &modelProvider{m: m}, Kind: "apns", Fingerprint: "0", MaxInFlight: 40}}
	for i := range 60 {
		m.phones = append(m.phones, &phone{key: push.Pushkey(fmt.Sprintf("phone%d", i)), registered: time.Now().Add(-time.Hour), withTS: i%3 != 0})
	}
	m.boot()
	return m
}

func (m *model) boot() {
	p := &process{}
	store := &mortal{m.store.own(), p}
	g, err := New(Options{Config: m.cfg, Apps: m.apps, Queue: store, Ledger: store, Hasher: fakeHasher{}, Observer: m.obs, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(m.t, err)
	require.NoError(m.t, g.Start(m.t.Context()))
	p.Gateway = g
	m.process.Store(p)
}

func (m *model) chance(percent int) bool { return m.rng.IntN(100) < percent }

func (m *model) run() {
	for step := range 400 {
		m.step(step)
		time.Sleep(time.Duration(m.rng.IntN(10_000)) * time.Millisecond)
	}
	m.calm()
	m.callers.Wait()
	time.Sleep(2 * time.Hour)
	m.judge()
}

func (m *model) step(step int) {
	switch {
	case m.chance(60):
		m.request(step)
	case m.chance(20):
		m.setMode(mode(m.rng.IntN(int(modes))))
	case m.chance(20):
		m.store.set(func(s *fakeStore) {
			s.down, s.full, s.slow = m.chance(20), m.chance(20), time.Duration(m.rng.IntN(2))*time.Duration(m.rng.IntN(1500))*time.Millisecond
			s.stuck = time.Duration(m.rng.IntN(2)) * time.Duration(m.rng.IntN(3000)) * time.Millisecond
		})
	case m.chance(30):
		m.fate(m.phones[m.rng.IntN(len(m.phones))])
	case m.chance(10):
		m.reload(false)
	case m.chance(8):
		m.restart()
	case m.chance(10):
		m.kill()
	}
}

// setMode changes what the provider is like. The environment is swapped by other settings: those requests, and only
// those, are for the wrong environment.
func (m *model) setMode(next mode) {
	m.mu.Lock()
	was := m.mode
	m.mode = next
	m.mu.Unlock()
	if swapped := next == modeSwapped; swapped != (was == modeSwapped) {
		m.apps[0].Provider = &modelProvider{m: m, swapped: swapped}
		m.reload(true)
	}
}

// fate kills a phone's pushkey, or revives it with a new registration.
func (m *model) fate(p *phone) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch {
	case p.died.IsZero():
		p.died = now
	case now.Sub(p.died) > 3*time.Second:
		p.lives = append(p.lives, life{p.registered, p.died, now})
		p.registered, p.died = now, time.Time{}
	}
}

func (m *model) reload(changed bool) {
	if changed {
		m.prints++
		m.apps[0].Fingerprint = fmt.Sprint(m.prints)
	}
	m.apps[0].MaxInFlight = 20 + m.rng.IntN(30)
	require.NoError(m.t, m.process.Load().Reload(m.cfg, m.apps, nil))
}

// restart stops the process as systemd does: callers first, then the gateway.
func (m *model) restart() {
	m.store.set(func(s *fakeStore) { s.down, s.full, s.slow, s.stuck = false, false, 0, 0 })
	m.callers.Wait()
	p := m.process.Load()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(m.t, p.Stop(ctx))
	m.checkBooks(p)
	m.store.set(func(s *fakeStore) {
		for _, r := range s.rows {
			require.False(m.t, r.leased(time.Now()), "left behind")
		}
	})
	m.boot()
}

// kill ends the process where it stands; what was on the wire may ring twice.
func (m *model) kill() {
	p := m.process.Load()
	p.killed.Store(true)
	m.mu.Lock()
	m.allowed += m.flying + int(m.asking.Load()) + len(p.leases.all())
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Stop(ctx)
	m.store.set(func(s *fakeStore) { s.down, s.full, s.slow, s.stuck = false, false, 0, 0 })
	m.store.endLeases()
	m.boot()
}

// request sends a notification to some phones, as a caller that repeats it until it gets a 2xx.
func (m *model) request(step int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var batch []push.Notification
	var to []*phone
	for range 1 + m.rng.IntN(5) {
		p := m.phones[m.rng.IntN(len(m.phones))]
		n := event(p.key, fmt.Sprintf("$%d", step))
		if p.withTS {
			n = registered(n, p.registered)
		}
		batch, to = append(batch, n), append(to, p)
	}
	pause := time.Duration(1+m.rng.IntN(20)) * time.Second
	copies := 1
	if m.chance(20) {
		copies = 2
	}
	for range copies {
		m.asking.Add(int64(len(batch)))
		m.callers.Go(func() {
			defer m.asking.Add(int64(-len(batch)))
			for {
				p := m.process.Load()
				began := time.Now()
				out, err := p.Deliver(m.t.Context(), push.Caller{Path: push.PathMatrix}, batch)
				require.LessOrEqual(m.t, time.Since(began), m.cfg.AttemptTimeout+saveTimeout)
				if err == nil && !p.killed.Load() {
					m.answered(batch, to, out, began)
					return
				}
				time.Sleep(pause)
			}
		})
	}
}

func name(n push.Notification) string {
	return n.Device.Pushkey.Reveal() + " " + n.Event.ID.Reveal()
}

func (m *model) answered(batch []push.Notification, to []*phone, out []push.Delivery, began time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, d := range out {
		switch d.State {
		case push.StateRejected:
			require.True(m.t, to[i].wasDead(batch[i].Device, began, time.Now()), "false reject of %s", name(batch[i]))
		case push.StateQueued, push.StateDelivered:
			m.promised[name(batch[i])] = time.Now()
		case push.StateUndeliverable:
			// A 410 about an earlier life, four times; the model's provider always tells the truth, so it cannot happen.
			require.Fail(m.t, "undeliverable", name(batch[i]))
		default:
			require.Fail(m.t, "2xx with a device that is neither", "%v", d.State)
		}
	}
}

// wasDead reports whether the pushkey was dead, in the life that the notification is for, at some time of the request.
func (p *phone) wasDead(d push.Device, from, to time.Time) bool {
	lives := append(append([]life(nil), p.lives...), life{p.registered, p.died, to.Add(time.Hour)})
	for _, l := range lives {
		sameLife := d.PushkeyTS == 0 || l.registered.Unix() == d.PushkeyTS
		if sameLife && !l.died.IsZero() && !l.died.After(to) && (d.PushkeyTS != 0 || !l.revived.Before(from)) {
			return true
		}
	}
	return false
}

// calm ends all faults.
func (m *model) calm() {
	m.store.set(func(s *fakeStore) { s.down, s.full, s.slow, s.stuck = false, false, 0, 0 })
	m.setMode(modeGood)
}

func (m *model) checkBooks(p *process) {
	books := p.Stats().Account
	require.True(m.t, books.Balanced(), "%+v", books)
	require.EqualValues(m.t, len(m.store.all()), books.Pending, "%+v", books)
	require.Equal(m.t, len(m.store.all()), p.Stats().Queued)
}

func (m *model) judge() {
	p := m.process.Load()
	require.NoError(m.t, p.Stop(m.t.Context()))
	m.checkBooks(p)
	require.Empty(m.t, m.store.all(), "everything is drained")
	require.LessOrEqual(m.t, m.dups, m.allowed, "duplicates")
	m.mu.Lock()
	defer m.mu.Unlock()
	for what := range m.promised {
		if m.receipts[what] > 0 {
			continue
		}
		var key, id string
		_, err := fmt.Sscanf(what, "%s %s", &key, &id)
		require.NoError(m.t, err)
		require.True(m.t, m.everDied(push.Pushkey(key)), "lost: %s; %v", what, m.obs.finals)
	}
}

func (m *model) everDied(key push.Pushkey) bool {
	for _, p := range m.phones {
		if p.key == key {
			return !p.died.IsZero() || len(p.lives) > 0
		}
	}
	return false
}

// modelProvider answers with the truth about phones, through the mode.
type modelProvider struct {
	m       *model
	swapped bool // its settings are for the wrong environment: every token is bad
}

func (p *modelProvider) Send(ctx context.Context, n push.Notification, _ push.Hash) (push.Outcome, error) {
	m := p.m
	m.mu.Lock()
	m.flying++
	now, luck := m.mode, m.dice.IntN(100)
	takes := time.Duration(m.dice.IntN(200)) * time.Millisecond
	if now == modeHangs || now == modeFlaky && luck < 10 {
		takes = time.Duration(m.dice.IntN(20_000)) * time.Millisecond
	}
	delay := time.Duration(m.dice.IntN(600)) * time.Second
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.flying--
		m.mu.Unlock()
	}()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return push.Outcome{Reason: "timeout", Transport: true, Scope: push.ScopeConnection}, nil
	}
	switch {
	case now == modeDown:
		return push.Outcome{Reason: "refused", Transport: true, Scope: push.ScopeConnection}, nil
	case now == modeThrottles:
		return push.Outcome{Reason: "throttled", Delay: delay, Scope: push.Scope(luck % 2)}, nil
	case now == modeRefuses:
		return push.Outcome{}, &push.Fault{Kind: push.FaultConfig, Reason: "forbidden"}
	case p.swapped:
		return push.Outcome{Verdict: push.Rejected, Reason: "bad_device_token"}, nil
	case now == modeFlaky && luck < 20:
		return push.Outcome{Reason: "unavailable", Transport: true}, nil
	case now == modeFlaky && luck < 25 && m.first(name(n)):
		panic("flaky")
	}
	return m.ring(n, luck), nil
}

// first reports whether a notification did not crash the provider yet: three times, and it is poison.
func (m *model) first(what string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.crashed[what]
	m.crashed[what] = true
	return !before
}

// ring is an honest provider.
func (m *model) ring(n push.Notification, luck int) push.Outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.phones {
		if p.key != n.Device.Pushkey {
			continue
		}
		if !p.died.IsZero() {
			o := push.Outcome{Verdict: push.Rejected, Reason: "unregistered", Certain: luck%4 != 0, Since: p.died}
			if luck%3 == 0 || !o.Certain {
				o.Since = time.Time{}
			}
			return o
		}
	}
	m.receipts[name(n)]++
	if m.receipts[name(n)] > 1 {
		m.dups++
	}
	return push.Outcome{Verdict: push.Delivered, Reason: "ok"}
}

func (p *modelProvider) Warm(context.Context) error { return nil }
func (p *modelProvider) Close() error               { return nil }

func (p *modelProvider) Credential() provider.Credential { return provider.Credential{} }

// processKey finds the process in the context of a call of the store.
type processKey struct{}

func (s *mortal) as(ctx context.Context) context.Context {
	return context.WithValue(ctx, processKey{}, s.p)
}

func (s *mortal) Enqueue(ctx context.Context, rows []push.Queued, lease time.Duration) ([]push.Enqueued, error) {
	return s.node.Enqueue(s.as(ctx), rows, lease)
}

func (s *mortal) Claim(ctx context.Context, app push.AppID, limit int, lease time.Duration) ([]push.Queued, error) {
	return s.node.Claim(s.as(ctx), app, limit, lease)
}

func (s *mortal) Renew(ctx context.Context, held []push.Held, lease time.Duration) ([]bool, error) {
	return s.node.Renew(s.as(ctx), held, lease)
}

func (s *mortal) Settle(ctx context.Context, done []push.Settlement) ([]bool, error) {
	return s.node.Settle(s.as(ctx), done)
}

func (s *mortal) Release(ctx context.Context, held []push.Held) error {
	return s.node.Release(s.as(ctx), held)
}

func (s *mortal) Expire(ctx context.Context, limit int) (map[push.AppID]int, error) {
	return s.node.Expire(s.as(ctx), limit)
}

func (s *mortal) Record(ctx context.Context, dead []push.DeadKey) error {
	return s.node.Record(s.as(ctx), dead)
}

func (s *mortal) Clear(ctx context.Context, app push.AppID, device push.Hash) error {
	return s.node.Clear(s.as(ctx), app, device)
}

func (s *mortal) Settings(ctx context.Context, app push.AppID, fingerprint push.Hash) error {
	return s.node.Settings(s.as(ctx), app, fingerprint)
}

func (s *mortal) WakeOn(ctx context.Context, app push.AppID) error {
	return s.node.WakeOn(s.as(ctx), app)
}
