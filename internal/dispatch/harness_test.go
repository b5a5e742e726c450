package dispatch_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/dispatch/dispatchtest"
	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

const (
	urlA    = "https://a.example.com/push/v1/"
	urlB    = "https://b.example.com/push/v1/"
	urlM    = "https://m.example.com/_matrix/push/v1/notify"
	theISS  = "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2"
	channel = "erp.task.activate"
	keyID   = "5EBB1486-7430-42C0-B9AA-B57CA6C90EA4"
)

// hasher is a Hasher without a key.
type hasher struct{}

func (hasher) Hash(purpose string, parts ...string) push.Hash {
	var h push.Hash
	text := fmt.Sprintf("%q %q", purpose, parts)
	for i := range len(text) {
		h[i%16] = h[i%16]*31 + text[i]
	}
	return h
}

// sent is one notification as a gateway got it.
type sent struct {
	url, op, id string
	at          time.Time
	n           push.Notification
}

// gateway is a Caller: all gateways of the world. It takes everything unless told otherwise.
type gateway struct {
	mu    sync.Mutex
	calls int
	got   []sent // what was taken
	tried []sent
	// behave answers a call; nil, or a nil result, takes everything.
	behave func(url, op string, items []dispatch.Item) ([]dispatch.Result, error)
	// matrix answers a Matrix call; nil takes it.
	matrix func(url string, n push.Notification) ([]push.Pushkey, error)
	// delay is how long a call takes.
	delay func(url string) time.Duration
	// inFlight counts, per pushkey, to prove that a device has one at a time.
	inFlight map[push.Pushkey]int
	crowded  int
	largest  int
}

func (g *gateway) enter(items []dispatch.Item) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	g.largest = max(g.largest, len(items))
	if g.inFlight == nil {
		g.inFlight = map[push.Pushkey]int{}
	}
	for _, it := range items {
		if g.inFlight[it.Device.Pushkey]++; g.inFlight[it.Device.Pushkey] > 1 {
			g.crowded++
		}
	}
}

func (g *gateway) leave(items []dispatch.Item) {
	for _, it := range items {
		g.inFlight[it.Device.Pushkey]--
	}
}

func (g *gateway) wait(ctx context.Context, url string) error {
	g.mu.Lock()
	delay := g.delay
	g.mu.Unlock()
	if delay == nil {
		return nil
	}
	select {
	case <-time.After(delay(url)):
		return nil
	case <-ctx.Done():
		return &dispatch.CallError{Reason: "canceled"}
	}
}

func (g *gateway) batch(ctx context.Context, url, op string, items []dispatch.Item) ([]dispatch.Result, error) {
	g.enter(items)
	err := g.wait(ctx, url)
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.leave(items)
	for _, it := range items {
		g.tried = append(g.tried, sent{url, op, it.ID, time.Now(), it.Notification})
	}
	if err != nil {
		return nil, err
	}
	var results []dispatch.Result
	if g.behave != nil {
		if results, err = g.behave(url, op, items); err != nil {
			return nil, err
		}
	}
	if results == nil {
		for _, it := range items {
			results = append(results, dispatch.Result{ID: it.ID, Status: dispatch.ResultSuccess})
		}
	}
	for _, it := range items {
		for _, r := range results {
			if r.ID == it.ID && r.Status != dispatch.ResultFailed {
				g.got = append(g.got, sent{url, op, it.ID, time.Now(), it.Notification})
			}
		}
	}
	return results, nil
}

func (g *gateway) Sealed(ctx context.Context, url string, items []dispatch.Item) ([]dispatch.Result, error) {
	return g.batch(ctx, url, "sealed", items)
}

func (g *gateway) Plain(ctx context.Context, url string, items []dispatch.Item) ([]dispatch.Result, error) {
	return g.batch(ctx, url, "plain", items)
}

func (g *gateway) Matrix(ctx context.Context, url string, n push.Notification) ([]push.Pushkey, error) {
	one := []dispatch.Item{{Notification: n}}
	g.enter(one)
	err := g.wait(ctx, url)
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.leave(one)
	g.tried = append(g.tried, sent{url: url, op: "matrix", at: time.Now(), n: n})
	if err != nil {
		return nil, err
	}
	var rejected []push.Pushkey
	if g.matrix != nil {
		if rejected, err = g.matrix(url, n); err != nil {
			return nil, err
		}
	}
	g.got = append(g.got, sent{url: url, op: "matrix", at: time.Now(), n: n})
	return rejected, nil
}

func (g *gateway) set(change func(g *gateway)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

func (g *gateway) taken() []sent {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]sent(nil), g.got...)
}

func (g *gateway) asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls
}

func (g *gateway) attempts() []sent {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]sent(nil), g.tried...)
}

// rig is a dispatcher on a fake store and a fake world.
type rig struct {
	*dispatch.Dispatcher
	t       testing.TB
	store   *dispatchtest.Store
	gateway *gateway
	log     *safeBuffer
	options dispatch.Options
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func berlin() *time.Location { return time.FixedZone("CET", 3600) }

func newRig(t testing.TB, change func(*dispatch.Options)) *rig {
	t.Helper()
	r := &rig{t: t, store: dispatchtest.New(nil), gateway: &gateway{}, log: &safeBuffer{}}
	fd := pusher.DefaultFachdienstConfig()
	fd.Channels = []pusher.ChannelConfig{{ID: channel}, {ID: "erp.on", Default: pusher.ChannelEnabled}, {ID: "epa.documents.new"}}
	r.options = dispatch.Options{
		Store: r.store, Remover: r.store, Hasher: hasher{}, Caller: r.gateway, Fachdienst: fd, Location: berlin(),
		Logger: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&r.options)
	}
	r.boot()
	return r
}

// boot starts a process on what is stored.
func (r *rig) boot() {
	r.t.Helper()
	d, err := dispatch.New(r.options)
	require.NoError(r.t, err)
	require.NoError(r.t, d.Start())
	r.Dispatcher = d
}

func (r *rig) stop() {
	r.t.Helper()
	require.NoError(r.t, r.Stop(context.Background()))
	require.True(r.t, r.Account().Balanced(), "%+v", r.Account())
	require.Zero(r.t, r.Account().Pending)
	require.Zero(r.t, r.gateway.crowded, "a device had two notifications in flight")
}

// inBubble runs a test on a clock of its own, which starts at midnight of 2000-01-01 UTC.
func inBubble(t *testing.T, change func(*dispatch.Options), f func(t *testing.T, r *rig)) {
	t.Helper()
	t.Parallel()
	bubble(t, change, f)
}

// inBubbleNow is inBubble for one turn of a loop.
func inBubbleNow(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	bubble(t, nil, f)
}

func bubble(t *testing.T, change func(*dispatch.Options), f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, change)
		f(t, r)
		r.stop()
	})
}

func alice() push.Owner { return push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400001"} }
func bob() push.Owner   { return push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400002"} }
func anyone() dispatch.Sender {
	return dispatch.Sender{Name: "fd.example.de", Channels: []string{"*"}}
}

// register registers an app with a key chain that began this month, and switches the channel on.
func (r *rig) register(owner push.Owner, key push.Pushkey, url string) *phone {
	r.t.Helper()
	created := time.Now().In(berlin()).Format("2006-01")
	return r.registerAt(owner, key, url, created)
}

func (r *rig) registerAt(owner push.Owner, key push.Pushkey, url, created string) *phone {
	r.t.Helper()
	month, err := monthkey.ParseMonth(created)
	require.NoError(r.t, err)
	iss, err := monthkey.ParseISS(theISS)
	require.NoError(r.t, err)
	g, err := monthkey.Derive(iss, month)
	require.NoError(r.t, err)
	r.set(owner, key, url, `{"url":"`+url+`","n":9007199254740993}`, &pusher.Encryption{KeyID: push.NewText(keyID), Generation: g})
	r.choose(owner, key, channel, pusher.ChannelEnabled)
	return newPhone(theISS, created)
}

func (r *rig) set(owner push.Owner, key push.Pushkey, url, data string, e *pusher.Encryption) {
	r.t.Helper()
	require.NoError(r.t, r.store.SetPusher(context.Background(), pusher.Registration{Pusher: pusher.Pusher{
		Key: pusher.Key{Owner: owner, AppID: "app", Pushkey: key}, Kind: pusher.KindHTTP, Data: push.Object(data), URL: url, Encryption: e,
	}}))
}

func (r *rig) choose(owner push.Owner, key push.Pushkey, ch string, s pusher.ChannelStatus) {
	r.t.Helper()
	require.NoError(r.t, r.store.ChooseChannels(context.Background(), owner, key, map[string]pusher.ChannelStatus{ch: s}))
}

func (r *rig) pushers(owner push.Owner) int {
	list, err := r.store.ListPushers(context.Background(), owner)
	require.NoError(r.t, err)
	return len(list)
}

func notice(owner push.Owner, text string) dispatch.Notice {
	return dispatch.Notice{Owner: owner, Channel: channel, Priority: push.Low, Payload: push.Object(`{"Message":"` + text + `"}`), Reference: push.NewText("ref")}
}

func (r *rig) submit(owner push.Owner, text string) dispatch.Receipt {
	r.t.Helper()
	receipt, err := r.Submit(context.Background(), anyone(), notice(owner, text))
	require.NoError(r.t, err)
	return receipt
}

// settle lets everything happen that happens without time passing much.
func settleDown() {
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}

// opened decrypts everything that was taken.
func opened(t *testing.T, p *phone, got []sent) []string {
	t.Helper()
	out := []string{}
	for _, s := range got {
		require.NotNil(t, s.n.Sealed)
		text, err := p.open(s.n.Sealed.Ciphertext.Reveal(), s.n.Sealed.Month)
		require.NoError(t, err)
		out = append(out, text)
	}
	return out
}
