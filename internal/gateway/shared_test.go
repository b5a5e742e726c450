package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// deaf is a node whose network sometimes swallows the database's answer: what was committed is committed.
type deaf struct {
	*node
	mu      sync.Mutex
	dice    *rand.Rand
	percent int
}

func heard[T any](d *deaf, answer T, err error) (T, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dice.IntN(100) < d.percent {
		var nothing T
		return nothing, errStoreDown
	}
	return answer, err
}

func (d *deaf) Enqueue(ctx context.Context, rows []push.Queued, lease time.Duration) ([]push.Enqueued, error) {
	out, err := d.node.Enqueue(ctx, rows, lease)
	return heard(d, out, err)
}

func (d *deaf) Claim(ctx context.Context, app push.AppID, limit int, lease time.Duration) ([]push.Queued, error) {
	out, err := d.node.Claim(ctx, app, limit, lease)
	return heard(d, out, err)
}

func (d *deaf) Settle(ctx context.Context, done []push.Settlement) ([]bool, error) {
	out, err := d.node.Settle(ctx, done)
	return heard(d, out, err)
}

func (d *deaf) Release(ctx context.Context, held []push.Held) error {
	_, err := heard(d, true, d.node.Release(ctx, held))
	return err
}

// TestShared_AnswersOfTheDatabaseGetLost lets two nodes share a database that does what it is told and does not always
// say so, and providers that are slow, throttle and break. Every notification that a caller was promised arrives, every
// book balances, and nothing is left behind.
func TestShared_AnswersOfTheDatabaseGetLost(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) { loseAnswers(t, seed) })
		})
	}
}

func loseAnswers(t *testing.T, seed uint64) {
	store, phones := newFakeStore(), &fakeProvider{}
	rng, dice := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2)) // the provider's lock guards dice
	phones.rule = func(push.Notification, int) answer {
		all := []answer{ok, ok.after(12 * time.Second), throttled, throttled.delayed(time.Minute), unreachable}
		return all[dice.IntN(len(all))].after(time.Duration(dice.IntN(12_000)) * time.Millisecond)
	}
	var nodes []*Gateway
	var networks []*deaf
	for i := range uint64(2) {
		d := &deaf{node: store.shared(), dice: rand.New(rand.NewPCG(seed, 3+i)), percent: 10}
		g, err := New(Options{
			Config: DefaultConfig(), Apps: []App{{Pattern: theApp, Provider: phones, Kind: "apns"}}, Queue: d, Ledger: d, Hasher: fakeHasher{},
		})
		require.NoError(t, err)
		require.NoError(t, g.Start(t.Context()))
		nodes, networks = append(nodes, g), append(networks, d)
	}
	promised := map[string]push.Pushkey{}
	var mu sync.Mutex
	var callers sync.WaitGroup
	for i := range 200 {
		g, key, id := nodes[rng.IntN(2)], push.Pushkey(fmt.Sprintf("k%d", rng.IntN(15))), fmt.Sprintf("$%d", i)
		n := event(key, id)
		if rng.IntN(4) == 0 {
			n = push.Notification{Device: n.Device, Counts: push.Counts{Unread: new(int64(i))}, Event: &push.Event{}}
		}
		callers.Go(func() {
			for {
				if _, err := g.Deliver(t.Context(), push.Caller{Path: push.PathMatrix}, []push.Notification{n}); err == nil {
					break
				}
				time.Sleep(10 * time.Second)
			}
			if !n.BadgeOnly() {
				mu.Lock()
				defer mu.Unlock()
				promised[id] = key
			}
		})
		time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
	}
	callers.Wait()
	phones.all(ok)
	for _, d := range networks {
		d.mu.Lock()
		d.percent = 0
		d.mu.Unlock()
	}
	time.Sleep(2 * time.Hour)
	require.Empty(t, store.all())
	for _, g := range nodes {
		require.NoError(t, g.Stop(t.Context()))
		books := g.Stats().Account
		require.True(t, books.Balanced(), "%+v", books)
		require.Zero(t, books.Pending, "%+v", books)
	}
	arrived := map[string]bool{}
	for _, s := range phones.sends() {
		if s.result.outcome.Verdict == push.Delivered && !s.note.BadgeOnly() {
			arrived[s.note.Event.ID.Reveal()] = true
		}
	}
	for id := range promised {
		require.True(t, arrived[id], "lost: %s", id)
	}
}
