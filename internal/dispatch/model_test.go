package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// TestModel throws everything at a dispatcher in random order: gateways that are down, slow, refuse, fail items, reject
// and lie; a store that is away; restarts and kills; registrations anew; over the turn of the year. The oracle knows
// what every caller was told and what every phone could open. lost = 0 and false removals = 0; a duplicate needs a kill, or
// an answer that was lost.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(16) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newModel(t, seed).run() })
		})
	}
}

// modelPhone is one device of the model.
type modelPhone struct {
	owner push.Owner
	key   push.Pushkey
	url   string
	phone *phone
	dead  bool // its provider says so; removed once that was reported
}

type model struct {
	*rig
	rng      *rand.Rand // of the caller
	fate     *rand.Rand // of the gateways, guarded by their lock like modes, doubts and dead
	phones   []*modelPhone
	modes    map[string]int
	promised map[string]bool // pushkey and text that somebody was told 202 for
	events   int
	doubts   bool // answers were lost or a process was killed, so duplicates may be
}

const (
	modeGood = iota
	modeDown
	modeTimeout
	modeBroken
	modeFails
	modeRefuses
	modeThrottles
	modeLosesAnswer
	modes
)

func newModel(t *testing.T, seed uint64) *model {
	m := &model{rng: rand.New(rand.NewPCG(seed, 2)), fate: rand.New(rand.NewPCG(seed, 3)), modes: map[string]int{}, promised: map[string]bool{}}
	time.Sleep(366*24*time.Hour - 4*time.Hour) // 2000-12-31 20:00 UTC: the year turns on the way
	m.rig = newRig(t, func(o *dispatch.Options) { o.Fachdienst.Retry.GiveUp = 30 * 24 * time.Hour })
	m.gateway.behave = m.behave
	m.gateway.delay = func(string) time.Duration { return 200 * time.Millisecond }
	for i := range 25 {
		p := &modelPhone{
			owner: push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:", i%10))},
			key:   push.Pushkey(fmt.Sprint("phone", i)), url: []string{urlA, urlB}[i%2],
		}
		p.phone = m.register(p.owner, p.key, p.url)
		m.phones = append(m.phones, p)
	}
	return m
}

// behave answers for a gateway; it is called with the gateway's lock held.
func (m *model) behave(url, _ string, items []dispatch.Item) ([]dispatch.Result, error) {
	switch m.modes[url] {
	case modeDown:
		return nil, &dispatch.CallError{Status: 503, Reason: "status"}
	case modeTimeout:
		return nil, &dispatch.CallError{Reason: "timeout"}
	case modeBroken:
		return nil, &dispatch.CallError{Status: 200, Reason: "broken answer"}
	case modeRefuses:
		return nil, &dispatch.CallError{Status: 400, Reason: "status"}
	case modeThrottles:
		return nil, &dispatch.CallError{Status: 503, Reason: "status", RetryAfter: 3 * time.Second}
	case modeLosesAnswer:
		for _, it := range items {
			m.gateway.got = append(m.gateway.got, sent{url: url, at: time.Now(), n: it.Notification})
		}
		m.doubts = true
		return nil, &dispatch.CallError{Reason: "timeout"}
	}
	var out []dispatch.Result
	for _, it := range items {
		r := dispatch.Result{ID: it.ID, Status: dispatch.ResultSuccess}
		switch p := m.find(it.Device.Pushkey); {
		case p.dead:
			r.Status, r.Rejected = dispatch.ResultFailed, []push.Pushkey{p.key}
		case m.modes[url] == modeFails && it.ID[0] < '8': // a random half
			r.Status = dispatch.ResultFailed
		}
		out = append(out, r)
	}
	m.fate.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out, nil
}

func (m *model) find(key push.Pushkey) *modelPhone {
	for _, p := range m.phones {
		if p.key == key {
			return p
		}
	}
	return nil
}

func (m *model) run() {
	for range 250 {
		m.step()
		time.Sleep(time.Duration(m.rng.IntN(120_000)) * time.Millisecond)
	}
	m.gateway.set(func(*gateway) { m.modes = map[string]int{} })
	m.store.Fail(nil)
	time.Sleep(10 * time.Hour)
	m.judge()
}

func (m *model) step() {
	switch n := m.rng.IntN(100); {
	case n < 60:
		m.event()
	case n < 78:
		url, mode := []string{urlA, urlB}[m.rng.IntN(2)], m.rng.IntN(modes)
		m.gateway.set(func(*gateway) { m.modes[url] = mode })
	case n < 84:
		m.store.Fail(errors.New("away"))
	case n < 90:
		m.store.Fail(nil)
	case n < 94:
		m.renew(m.phones[m.rng.IntN(len(m.phones))])
	case n < 96:
		p := m.phones[m.rng.IntN(len(m.phones))]
		m.gateway.set(func(*gateway) { p.dead = true })
	default:
		m.restart(n == 99)
	}
}

func (m *model) event() {
	owner := m.phones[m.rng.IntN(len(m.phones))].owner
	m.events++
	text := fmt.Sprint("event", m.events)
	if _, err := m.Submit(context.Background(), anyone(), notice(owner, text)); err != nil {
		require.Contains(m.t, []push.Kind{push.Unavailable, push.NotFound}, push.KindOf(err))
		return
	}
	list, err := m.store.ListPushers(context.Background(), owner)
	require.NoError(m.t, err)
	for _, p := range list {
		m.promised[string(p.Pushkey.Reveal())+text] = true
	}
}

// renew registers a device again with the chain that it has: what waits for it still arrives.
func (m *model) renew(p *modelPhone) {
	e := m.store.Encryption(pusher.Key{Owner: p.owner, AppID: "app", Pushkey: p.key})
	if e == nil {
		return
	}
	_ = m.store.SetPusher(context.Background(), pusher.Registration{Pusher: pusher.Pusher{
		Key: pusher.Key{Owner: p.owner, AppID: "app", Pushkey: p.key}, Kind: pusher.KindHTTP,
		Data: push.Object(`{"url":"` + p.url + `"}`), URL: p.url, Encryption: e,
	}})
}

// restart stops the process, or kills it: then nothing that it does later counts.
func (m *model) restart(kill bool) {
	if kill {
		m.gateway.set(func(*gateway) { m.doubts = true })
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = m.Stop(ctx)
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		_ = m.Stop(ctx)
		cancel()
	}
	require.True(m.t, m.Account().Balanced(), "%+v", m.Account())
	m.store.Fail(nil)
	m.store.Reopen()
	m.boot()
}

func (m *model) judge() {
	require.Zero(m.t, m.store.Len(), "everything has an end")
	m.stop()
	arrived := map[string]int{}
	for _, s := range m.gateway.taken() {
		p := m.find(s.n.Device.Pushkey)
		text, err := p.phone.open(s.n.Sealed.Ciphertext.Reveal(), s.n.Sealed.Month)
		require.NoError(m.t, err)
		var event string
		_, err = fmt.Sscanf(text, `{"Message":%q`, &event)
		require.NoError(m.t, err)
		arrived[p.key.Reveal()+event]++
	}
	lost, twice := 0, 0
	for what := range m.promised {
		var key, event int
		_, err := fmt.Sscanf(what, "phone%devent%d", &key, &event)
		require.NoError(m.t, err)
		if arrived[what] == 0 && !m.phones[key].dead {
			lost++
		}
	}
	for _, n := range arrived {
		twice += n - 1
	}
	require.Zero(m.t, lost, "lost")
	if !m.doubts {
		require.Zero(m.t, twice, "duplicates without a cause")
	}
	for _, p := range m.phones {
		there := m.store.Encryption(pusher.Key{Owner: p.owner, AppID: "app", Pushkey: p.key}) != nil
		require.True(m.t, there || p.dead, "a healthy device was removed")
	}
	require.NotContains(m.t, m.log.String(), "phone")
	require.NotContains(m.t, m.log.String(), "event1")
}
