package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store"
)

func enqueueCases() []testCase {
	return []testCase{
		{"a row comes back whole", enqueueWhole},
		{"ids rise and are never given twice", enqueueIDs},
		{"survives a restart", func(t *testing.T, h *Harness) { enqueueSurvives(t, h, h.Restart) }},
		{"survives a crash", func(t *testing.T, h *Harness) { enqueueSurvives(t, h, h.Crash) }},
		{"a waiting duplicate is not stored again", enqueueDuplicate},
		{"a duplicate of a row in flight is not stored again", enqueueDuplicateInFlight},
		{"two copies in one call are one row", enqueueTwins},
		{"a settled row is no duplicate any more", enqueueAfterSettle},
		{"a row past its deadline swallows nothing", enqueueAfterDeadline},
		{"all rows or none", enqueueAtomic},
		{"an ended context stores nothing", enqueueCancelled},
		{"nothing to store", enqueueNothing},
		{"rows under way are held", enqueueUnderWay},
		{"several rows of one device under way", enqueueUnderWaySameDevice},
		{"payloads of any size and content", enqueuePayloads},
	}
}

func enqueueWhole(t *testing.T, h *Harness) {
	r := h.row(1)
	r.HasCounts, r.Attempts, r.StaleDead = true, 3, 2
	r.Accepted = r.Accepted.Add(-time.Hour)
	out := enqueue(t, h.Store, r)
	require.Equal(t, push.EnqueueStored, out[0].State)
	require.Zero(t, out[0].Lease, "a waiting row is not held")

	got := claimOne(t, h.Store)
	closeTo(t, r.Due, got.Due, "due")
	closeTo(t, r.Deadline, got.Deadline, "deadline")
	require.True(t, r.Accepted.Equal(got.Accepted), "the time of acceptance is a fact and stays as it was")
	r.ID, r.Lease, r.Accepted, r.Due, r.Deadline = out[0].ID, got.Lease, got.Accepted, got.Due, got.Deadline
	require.Equal(t, r, got)
}

func enqueueIDs(t *testing.T, h *Harness) {
	first := enqueue(t, h.Store, h.rows(1, 2, 3)...)
	require.Less(t, first[0].ID, first[1].ID)
	require.Less(t, first[1].ID, first[2].ID)
	end(t, h.Store, claim(t, h.Store, 3)...)
	s := h.Restart(t)
	require.Greater(t, enqueue(t, s, h.row(4))[0].ID, first[2].ID, "an id that was given once names one row for ever")
}

func enqueueSurvives(t *testing.T, h *Harness, again func(t *testing.T) store.Store) {
	enqueue(t, h.Store, h.rows(1, 2, 3)...)
	s := again(t)
	require.Equal(t, 3, backlog(t, s).Rows)
	require.Len(t, waiting(t, s), 3)
	got := claim(t, s, 10)
	require.ElementsMatch(t, []int{1, 2, 3}, devicesOf(got))
	require.Equal(t, []byte{'p', 1}, got[0].Payload)
	require.Equal(t, push.EnqueueDuplicate, enqueue(t, s, h.row(1))[0].State, "the duplicate hash survives too")
}

func enqueueDuplicate(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.rows(1, 2)...)
	again := h.row(1)
	again.Payload = []byte("something else")
	out := enqueue(t, h.Store, again, h.row(3))
	require.Equal(t, push.EnqueueDuplicate, out[0].State)
	require.Equal(t, push.EnqueueStored, out[1].State)
	require.Equal(t, 3, backlog(t, h.Store).Rows)
	got := claim(t, h.Store, 10)
	require.Equal(t, []int{1, 2, 3}, devicesOf(got))
	require.Equal(t, []byte{'p', 1}, got[0].Payload, "the first copy stays")
}

func enqueueDuplicateInFlight(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	held := claimOne(t, h.Store)
	underWay := h.row(1)
	underWay.UnderWay = true
	out := enqueue(t, h.Store, h.row(1), underWay)
	require.Equal(t, []push.Enqueued{{State: push.EnqueueDuplicate}, {State: push.EnqueueDuplicate}}, out, "no lease for a row that is not stored")
	end(t, h.Store, held)
	require.Empty(t, waiting(t, h.Store))
}

func enqueueTwins(t *testing.T, h *Harness) {
	out := enqueue(t, h.Store, h.row(1), h.row(1))
	require.Equal(t, push.EnqueueStored, out[0].State)
	require.Equal(t, push.EnqueueDuplicate, out[1].State)
	require.Equal(t, 1, backlog(t, h.Store).Rows)
}

func enqueueAfterSettle(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	end(t, h.Store, claimOne(t, h.Store))
	require.Equal(t, push.EnqueueStored, enqueue(t, h.Store, h.row(1))[0].State)
}

func enqueueAfterDeadline(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	h.Advance(t, life+time.Minute)
	fresh := h.row(1)
	require.Equal(t, push.EnqueueStored, enqueue(t, h.Store, fresh)[0].State, "an expired row that nobody has counted yet must not swallow a new one")
	expired, err := h.Store.Expire(ctxOf(t), 10)
	require.NoError(t, err)
	require.Equal(t, map[push.AppID]int{appA: 1}, expired, "the old row is still counted")
	require.Equal(t, []int{1}, devicesOf(claim(t, h.Store, 10)))
}

func enqueueAtomic(t *testing.T, h *Harness) {
	bad := h.row(3)
	bad.Deadline = time.Time{}
	_, err := h.Store.Enqueue(ctxOf(t), []push.Queued{h.row(1), h.row(2), bad}, lease)
	require.Error(t, err, "a row that would never end is refused")
	require.Empty(t, waiting(t, h.Store))
	require.Empty(t, claim(t, h.Store, 10))
}

func enqueueCancelled(t *testing.T, h *Harness) {
	ctx, cancel := context.WithCancel(ctxOf(t))
	cancel()
	_, err := h.Store.Enqueue(ctx, h.rows(1), lease)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, waiting(t, h.Store))
}

func enqueueNothing(t *testing.T, h *Harness) {
	require.Empty(t, enqueue(t, h.Store))
	require.Empty(t, settle(t, h.Store))
	require.NoError(t, h.Store.Release(ctxOf(t), nil))
	require.NoError(t, h.Store.Record(ctxOf(t), nil))
	dropped, err := h.Store.DropBadges(ctxOf(t), nil)
	require.NoError(t, err)
	require.Empty(t, dropped)
	renewed, err := h.Store.Renew(ctxOf(t), nil, lease)
	require.NoError(t, err)
	require.Empty(t, renewed)
}

func enqueueUnderWay(t *testing.T, h *Harness) {
	running := h.row(1)
	running.UnderWay = true
	out := enqueue(t, h.Store, running, h.row(2))
	require.NotZero(t, out[0].Lease)
	require.Zero(t, out[1].Lease)
	require.Equal(t, []int{2}, devicesOf(claim(t, h.Store, 10)), "the row under way is settled by its own request")
	require.Equal(t, []bool{true}, settle(t, h.Store, push.Settlement{Held: push.Held{ID: out[0].ID, Lease: out[0].Lease}}))
	require.Equal(t, 1, backlog(t, h.Store).Rows)
}

func enqueueUnderWaySameDevice(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	claimed := claimOne(t, h.Store)
	first, second := h.another(1, 1), h.another(1, 2)
	first.UnderWay, second.UnderWay = true, true
	out := enqueue(t, h.Store, first, second, h.another(1, 3))
	held := func(i int) push.Settlement {
		return push.Settlement{Held: push.Held{ID: out[i].ID, Lease: out[i].Lease}}
	}

	end(t, h.Store, claimed)
	require.Empty(t, claim(t, h.Store, 10), "two rows of the device are still under way")
	require.Equal(t, []bool{true}, settle(t, h.Store, held(0)))
	require.Empty(t, claim(t, h.Store, 10), "one row of the device is still under way")
	require.Equal(t, []bool{true}, settle(t, h.Store, held(1)))
	require.Equal(t, []byte{'p', 1, 3}, claimOne(t, h.Store).Payload)
}

func enqueuePayloads(t *testing.T, h *Harness) {
	payloads := [][]byte{{}, {0}, []byte("\x00\xff'\"\\\n"), make([]byte, 65_536), make([]byte, 1<<20)}
	rows := make([]push.Queued, len(payloads))
	for i, p := range payloads {
		rows[i] = h.row(i)
		rows[i].Payload = p
	}
	enqueue(t, h.Store, rows...)
	got := claim(t, h.Store, 10)
	require.Len(t, got, len(payloads))
	for i, r := range got {
		require.Truef(t, string(payloads[i]) == string(r.Payload), "payload %d of %d bytes", i, len(payloads[i]))
	}
}
