package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func backlogCases() []testCase {
	return []testCase{
		{"an empty queue has none", backlogEmpty},
		{"rows, oldest and next of each app", backlogCounts},
		{"next leaves out rows in flight and rows behind them", backlogNext},
		{"next comes back when a lease lapses", backlogNextLapses},
		{"counts stay right through every way out", backlogWaysOut},
		{"waiting streams every row without payload", backlogWaiting},
	}
}

func backlogEmpty(t *testing.T, h *Harness) {
	all, err := h.Store.Backlog(ctxOf(t))
	require.NoError(t, err)
	require.Empty(t, all)
	require.Empty(t, waiting(t, h.Store))
}

func backlogCounts(t *testing.T, h *Harness) {
	oldest := h.row(1)
	oldest.Accepted = oldest.Accepted.Add(-time.Hour)
	oldest.Due = oldest.Due.Add(time.Hour)
	next := h.row(2)
	next.Due = next.Due.Add(time.Minute)
	other := h.row(3)
	other.AppID = appB
	enqueue(t, h.Store, oldest, next, other)
	all, err := h.Store.Backlog(ctxOf(t))
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, appA, all[0].AppID)
	require.Equal(t, 2, all[0].Rows)
	require.True(t, oldest.Accepted.Equal(all[0].Oldest))
	closeTo(t, next.Due, all[0].Next, "next")
	require.Equal(t, appB, all[1].AppID)
	require.Equal(t, 1, all[1].Rows)
}

func backlogNext(t *testing.T, h *Harness) {
	later := h.another(1, 1)
	later.Due = later.Due.Add(time.Minute)
	enqueue(t, h.Store, h.row(1), later)
	r := claimOne(t, h.Store)
	require.True(t, backlog(t, h.Store).Next.IsZero(), "nothing to claim while the device is in flight")
	far := h.row(2)
	far.Due = far.Due.Add(time.Hour)
	enqueue(t, h.Store, far)
	closeTo(t, far.Due, backlog(t, h.Store).Next, "next of the free device")
	end(t, h.Store, r)
	require.False(t, backlog(t, h.Store).Next.After(later.Due.Add(time.Second)), "the device is free: its next row counts again")
	require.Equal(t, 2, backlog(t, h.Store).Rows)
}

func backlogNextLapses(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	claimOne(t, h.Store)
	require.True(t, backlog(t, h.Store).Next.IsZero())
	h.Advance(t, lease+time.Second)
	next := backlog(t, h.Store).Next
	require.False(t, next.IsZero())
	require.False(t, next.After(h.Now()))
}

func backlogWaysOut(t *testing.T, h *Harness) {
	rowsNow := func() int { return backlog(t, h.Store).Rows }
	short := h.row(5)
	short.Deadline = short.Accepted.Add(time.Minute)
	enqueue(t, h.Store, h.row(1), h.row(2), h.badge(3, 1), h.badge(4, 1), short, h.row(6))
	require.Equal(t, 6, rowsNow())
	enqueue(t, h.Store, h.row(1), h.badge(3, 2)) // a duplicate and a replacement
	require.Equal(t, 6, rowsNow())
	end(t, h.Store, claim(t, h.Store, 1)...)
	require.Equal(t, 5, rowsNow())
	_, err := h.Store.DropBadges(ctxOf(t), before(h.Now().Add(time.Minute), 3))
	require.NoError(t, err)
	require.Equal(t, 4, rowsNow())
	h.Advance(t, 2*time.Minute)
	_, err = h.Store.Expire(ctxOf(t), 10)
	require.NoError(t, err)
	require.Equal(t, 3, rowsNow())
	_, err = h.Store.PurgeQueued(ctxOf(t), appA, nil)
	require.NoError(t, err)
	require.Zero(t, backlog(t, h.Store))
	require.Empty(t, waiting(t, h.Store))
}

func backlogWaiting(t *testing.T, h *Harness) {
	b := h.badge(2, 1)
	b.AppID = appB
	out := enqueue(t, h.Store, h.row(1), b)
	require.Len(t, claim(t, h.Store, 10), 1, "a row in flight is remembered too")
	got := waiting(t, h.Store)
	require.Len(t, got, 2)
	first, second := got[out[0].ID], got[out[1].ID]
	require.Equal(t, appA, first.AppID)
	require.Equal(t, hashOf(1), first.Device)
	require.Equal(t, hashOf(1_000_001), first.Dedup)
	require.False(t, first.BadgeOnly)
	closeTo(t, h.row(1).Deadline, first.Deadline, "deadline")
	require.Empty(t, first.Payload)
	require.Equal(t, appB, second.AppID)
	require.True(t, second.BadgeOnly)
	require.True(t, second.Dedup.IsZero())
}
