package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func settleCases() []testCase {
	return []testCase{
		{"ending deletes the row and its payload", settleEnds},
		{"a rescheduled row waits with its counters", settleMoves},
		{"a rescheduled row may be due at once", settleMovesToNow},
		{"twice under one lease counts once", settleTwice},
		{"a row that is not held is not settled", settleNotHeld},
		{"the ledger entry is written with it", settleWithDead},
		{"a mixed batch answers in order", settleMixed},
		{"many rows", settleMany},
	}
}

func settleEnds(t *testing.T, h *Harness) {
	r := h.row(1)
	r.Payload = []byte("a payload that must leave the table")
	enqueue(t, h.Store, r)
	end(t, h.Store, claimOne(t, h.Store))
	require.Empty(t, waiting(t, h.Store))
	require.Empty(t, claim(t, h.Store, 10))
	require.Zero(t, backlog(t, h.Store))
}

func settleMoves(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	r := claimOne(t, h.Store)
	done := push.Settlement{Held: heldOf(r), Due: h.Now().Add(10 * time.Minute), Attempts: 4, StaleDead: 2}
	require.Equal(t, []bool{true}, settle(t, h.Store, done))
	require.Empty(t, claim(t, h.Store, 10))
	h.Advance(t, 10*time.Minute+time.Second)
	again := claimOne(t, h.Store)
	require.Equal(t, r.ID, again.ID)
	require.Equal(t, 4, again.Attempts)
	require.Equal(t, 2, again.StaleDead)
	require.Equal(t, r.Payload, again.Payload)
	require.True(t, r.Accepted.Equal(again.Accepted))
}

func settleMovesToNow(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	r := claimOne(t, h.Store)
	settle(t, h.Store, retryAt(r, h.Now().Add(-time.Minute)))
	require.Equal(t, r.ID, claimOne(t, h.Store).ID)
}

func settleTwice(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	r := claimOne(t, h.Store)
	final := push.Settlement{Held: heldOf(r)}
	require.Equal(t, []bool{true, false}, settle(t, h.Store, final, final))
	require.Equal(t, []bool{false}, settle(t, h.Store, final))
}

func settleNotHeld(t *testing.T, h *Harness) {
	out := enqueue(t, h.Store, h.row(1))
	require.Equal(t, []bool{false, false}, settle(t, h.Store,
		push.Settlement{Held: push.Held{ID: out[0].ID}},
		push.Settlement{Held: push.Held{ID: 424242, Lease: 1}}))
	require.Len(t, claim(t, h.Store, 10), 1)
}

func settleWithDead(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	r := claimOne(t, h.Store)
	since := h.Now().Add(-time.Hour).Truncate(time.Second)
	dead := push.DeadKey{AppID: appA, Device: r.Device, Since: since, Guarded: true}
	require.Equal(t, []bool{true}, settle(t, h.Store, push.Settlement{Held: heldOf(r), Dead: &dead}))
	changes, err := h.Store.Changes(ctxOf(t), 0, 10)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	require.Equal(t, r.Device, changes[0].Device)
	require.True(t, since.Equal(changes[0].Since))
	require.True(t, changes[0].Guarded)
	require.Empty(t, waiting(t, h.Store))
}

func settleMixed(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.rows(1, 2, 3)...)
	rows := claim(t, h.Store, 10)
	require.Equal(t, []bool{true, false, true, true}, settle(t, h.Store,
		push.Settlement{Held: heldOf(rows[2])},
		push.Settlement{Held: push.Held{ID: rows[0].ID, Lease: rows[0].Lease + 1}},
		retryAt(rows[1], h.Now().Add(time.Hour)),
		push.Settlement{Held: heldOf(rows[0])}))
	left := waiting(t, h.Store)
	require.Len(t, left, 1)
	require.Contains(t, left, rows[1].ID)
}

func settleMany(t *testing.T, h *Harness) {
	const n = 2500
	rows := make([]push.Queued, n)
	for i := range rows {
		rows[i] = h.row(i)
	}
	enqueue(t, h.Store, rows...)
	got := claim(t, h.Store, n+1)
	require.Len(t, got, n)
	end(t, h.Store, got...)
	require.Empty(t, waiting(t, h.Store))
}
