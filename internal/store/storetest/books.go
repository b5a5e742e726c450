package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func booksCases() []testCase {
	var cases []testCase
	for seed := range uint64(seeds) {
		cases = append(cases, testCase{fmt.Sprintf("seed %d", seed), func(t *testing.T, h *Harness) { runBooks(t, h, seed) }})
	}
	return cases
}

// books is whoever has the database alone and counts its rows by nothing but the store's answers. Few devices have many
// rows, most of them badge-only updates, which replace and outlive each other in every order. Which of them the store
// deletes and when is its own affair: the answers have to add up.
type books struct {
	h    *Harness
	rand *rand.Rand
	rows int // stored, less what the store has told of as gone
	held []push.Queued
	copy int
	step int
}

func runBooks(t *testing.T, h *Harness, seed uint64) {
	b := &books{h: h, rand: rand.New(rand.NewPCG(seed, 11))}
	steps := []func(t *testing.T){b.enqueue, b.enqueue, b.enqueue, b.claim, b.claim, b.claim, b.settle, b.settle, b.release, b.release, b.drop, b.expire, b.advance, b.restart}
	for b.step = range 250 {
		steps[b.rand.IntN(len(steps))](t)
		b.compare(t)
	}
	b.drain(t)
}

func (b *books) enqueue(t *testing.T) {
	var rows []push.Queued
	for range 1 + b.rand.IntN(3) {
		b.copy++
		r := b.h.badge(b.rand.IntN(4), b.copy)
		if b.rand.IntN(3) == 0 {
			r = b.h.another(b.rand.IntN(4), b.copy)
		}
		r.UnderWay = b.rand.IntN(6) == 0
		r.Due = r.Due.Add(time.Duration(b.rand.IntN(30)-20) * time.Second)
		rows = append(rows, r)
	}
	for i, e := range enqueue(t, b.h.Store, rows...) {
		switch e.State {
		case push.EnqueueStored:
			b.rows++
		case push.EnqueueReplaced: // one came, one went
		default:
			require.Failf(t, "neither stored nor replaced", "step %d: %v", b.step, e)
		}
		if e.Lease != 0 {
			rows[i].ID, rows[i].Lease = e.ID, e.Lease
			b.held = append(b.held, rows[i])
		}
	}
}

// claim requires that no badge is handed out of which the store has a newer one.
func (b *books) claim(t *testing.T) {
	newest := map[push.Hash]int64{}
	for id, r := range waiting(t, b.h.Store) {
		if r.BadgeOnly {
			newest[r.Device] = max(newest[r.Device], id)
		}
	}
	for _, r := range claim(t, b.h.Store, 1+b.rand.IntN(4)) {
		if r.BadgeOnly {
			require.Equal(t, newest[r.Device], r.ID, "step %d: a newer badge waits", b.step)
		}
		b.held = append(b.held, r)
	}
}

// hand takes one of the rows in hand, perhaps one whose lease was lost long ago.
func (b *books) hand() (r push.Queued, ok bool) {
	if len(b.held) == 0 {
		return r, false
	}
	i := b.rand.IntN(len(b.held))
	r = b.held[i]
	b.held = append(b.held[:i], b.held[i+1:]...)
	return r, true
}

func (b *books) settle(t *testing.T) {
	r, ok := b.hand()
	if !ok {
		return
	}
	if b.rand.IntN(2) == 0 {
		settle(t, b.h.Store, retryAt(r, b.h.Now().Add(time.Duration(b.rand.IntN(30)-15)*time.Second)))
	} else if settle(t, b.h.Store, push.Settlement{Held: heldOf(r)})[0] {
		b.rows--
	}
}

func (b *books) release(t *testing.T) {
	if r, ok := b.hand(); ok {
		require.NoError(t, b.h.Store.Release(ctxOf(t), []push.Held{heldOf(r)}))
	}
}

func (b *books) drop(t *testing.T) {
	gone, err := b.h.Store.DropBadges(ctxOf(t), before(b.h.Now(), b.rand.IntN(4)))
	require.NoError(t, err)
	b.rows -= gone[appA]
}

func (b *books) expire(t *testing.T) {
	gone, err := b.h.Store.Expire(ctxOf(t), 1+b.rand.IntN(10))
	require.NoError(t, err)
	b.rows -= gone[appA]
}

func (b *books) advance(t *testing.T) {
	b.h.Advance(t, time.Duration(1+b.rand.IntN(20))*time.Second)
}

func (b *books) restart(t *testing.T) {
	if b.rand.IntN(4) == 0 {
		b.h.Store = b.h.Restart(t)
	}
}

func (b *books) compare(t *testing.T) {
	t.Helper()
	require.Equal(t, b.rows, backlog(t, b.h.Store).Rows, "step %d: the count", b.step)
	require.Len(t, waiting(t, b.h.Store), b.rows, "step %d: the rows", b.step)
}

// drain takes everything out without waking anything: every row that is left can be claimed, or is a badge that a
// newer one stood for.
func (b *books) drain(t *testing.T) {
	b.h.Advance(t, time.Minute) // later than any lease and any retry, long before any deadline
	for {
		rows := claim(t, b.h.Store, 3)
		if len(rows) == 0 {
			break
		}
		end(t, b.h.Store, rows...)
		b.rows -= len(rows)
		b.compare(t)
	}
	gone, err := b.h.Store.Expire(ctxOf(t), 1000)
	require.NoError(t, err)
	require.Equal(t, b.rows, gone[appA])
	require.Empty(t, waiting(t, b.h.Store))
}
