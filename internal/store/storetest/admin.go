package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func adminCases() []testCase {
	return []testCase{
		{"list shows rows without payloads, in pages", adminList},
		{"show one row", adminShow},
		{"retry makes rows due", adminRetry},
		{"purge by app takes rows in flight along", adminPurgeApp},
		{"purge by id", adminPurgeIDs},
		{"nothing chosen is nothing done", adminNothing},
		{"list and forget dead pushkeys", adminDead},
	}
}

func adminList(t *testing.T, h *Harness) {
	other := h.row(4)
	other.AppID = appB
	out := enqueue(t, h.Store, h.row(1), h.badge(2, 1), h.row(3), other)
	held := claim(t, h.Store, 1)[0]

	list := func(app push.AppID, after int64, limit int) []push.Queued {
		rows, err := h.Store.ListQueued(ctxOf(t), app, after, limit)
		require.NoError(t, err)
		for _, r := range rows {
			require.Empty(t, r.Payload)
		}
		return rows
	}
	all := list("", 0, 10)
	require.Equal(t, []int{1, 2, 3, 4}, devicesOf(all))
	require.Equal(t, held.Lease, all[0].Lease)
	require.Zero(t, all[1].Lease)
	require.True(t, all[1].BadgeOnly)
	require.Equal(t, appB, all[3].AppID)
	require.Equal(t, []int{1, 2}, devicesOf(list(appA, 0, 2)))
	require.Equal(t, []int{3}, devicesOf(list(appA, out[1].ID, 2)))
	require.Empty(t, list("com.example.unknown", 0, 10))
}

func adminShow(t *testing.T, h *Harness) {
	r := h.row(1)
	r.Attempts, r.StaleDead = 2, 1
	out := enqueue(t, h.Store, r)
	got, ok, err := h.Store.ShowQueued(ctxOf(t), out[0].ID)
	require.NoError(t, err)
	require.True(t, ok)
	require.Empty(t, got.Payload)
	require.Equal(t, r.Device, got.Device)
	require.Equal(t, r.Dedup, got.Dedup)
	require.Equal(t, 2, got.Attempts)
	require.Equal(t, 1, got.StaleDead)
	closeTo(t, r.Due, got.Due, "due")
	_, ok, err = h.Store.ShowQueued(ctxOf(t), out[0].ID+1)
	require.NoError(t, err)
	require.False(t, ok)
}

func adminRetry(t *testing.T, h *Harness) {
	rows := h.rows(1, 2, 3, 4)
	rows[3].AppID = appB
	for i := range rows {
		rows[i].Due = rows[i].Due.Add(time.Hour)
	}
	out := enqueue(t, h.Store, rows...)
	retry := func(app push.AppID, ids ...int64) int {
		n, err := h.Store.RetryQueued(ctxOf(t), app, ids)
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 1, retry("", out[1].ID, 424242))
	require.Equal(t, []int{2}, devicesOf(claim(t, h.Store, 10)))
	require.Zero(t, retry(appA, out[3].ID), "a row of another app is not meant")
	require.Zero(t, retry("", out[1].ID), "a row in flight stays as it is")
	require.Equal(t, 2, retry(appA))
	require.Equal(t, []int{1, 3}, devicesOf(claim(t, h.Store, 10)))
}

func adminPurgeApp(t *testing.T, h *Harness) {
	other := h.row(3)
	other.AppID = appB
	enqueue(t, h.Store, h.row(1), h.row(2), h.another(1, 1), other)
	held := claim(t, h.Store, 1)[0]
	counts, err := h.Store.PurgeQueued(ctxOf(t), appA, nil)
	require.NoError(t, err)
	require.Equal(t, map[push.AppID]int{appA: 3}, counts)
	require.Equal(t, []bool{false}, settle(t, h.Store, push.Settlement{Held: heldOf(held)}), "fenced off: it was counted once already")
	require.Len(t, waiting(t, h.Store), 1)
	enqueue(t, h.Store, h.row(1))
	require.Len(t, claim(t, h.Store, 10), 1, "the device is free again")
}

func adminPurgeIDs(t *testing.T, h *Harness) {
	out := enqueue(t, h.Store, h.rows(1, 2, 3)...)
	counts, err := h.Store.PurgeQueued(ctxOf(t), "", []int64{out[0].ID, out[2].ID, out[2].ID, 424242})
	require.NoError(t, err)
	require.Equal(t, map[push.AppID]int{appA: 2}, counts)
	counts, err = h.Store.PurgeQueued(ctxOf(t), appB, []int64{out[1].ID})
	require.NoError(t, err)
	require.Empty(t, counts)
	require.Equal(t, []int{2}, devicesOf(claim(t, h.Store, 10)))
}

func adminNothing(t *testing.T, h *Harness) {
	r := h.row(1)
	r.Due = r.Due.Add(time.Hour)
	enqueue(t, h.Store, r)
	record(t, h.Store, h.dead(1, time.Hour))
	n, err := h.Store.RetryQueued(ctxOf(t), "", nil)
	require.NoError(t, err)
	require.Zero(t, n)
	counts, err := h.Store.PurgeQueued(ctxOf(t), "", nil)
	require.NoError(t, err)
	require.Empty(t, counts)
	n, err = h.Store.ForgetDead(ctxOf(t), "", nil)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Len(t, waiting(t, h.Store), 1)
}

func adminDead(t *testing.T, h *Harness) {
	other := h.dead(4, time.Hour)
	other.AppID = appB
	record(t, h.Store, h.dead(1, time.Hour), h.dead(2, time.Hour), h.dead(3, time.Hour), other)
	list := func(app push.AppID, after int64, limit int) []push.DeadKey {
		out, err := h.Store.ListDead(ctxOf(t), app, after, limit)
		require.NoError(t, err)
		return out
	}
	forget := func(app push.AppID, devices ...push.Hash) int {
		n, err := h.Store.ForgetDead(ctxOf(t), app, devices)
		require.NoError(t, err)
		return n
	}
	first := list(appA, 0, 2)
	require.Len(t, first, 2)
	require.Equal(t, hashOf(3), list(appA, first[1].Seq, 2)[0].Device)
	require.Len(t, list("", 0, 10), 4)
	require.Equal(t, 1, forget("", hashOf(1), hashOf(99)))
	require.Zero(t, forget(appB, hashOf(2)), "an entry of another app is not meant")
	require.Len(t, list("", 0, 10), 3)
	known := changes(t, h.Store, 0)
	require.Equal(t, 2, forget(appA))
	require.Len(t, changes(t, h.Store, known[len(known)-1].Seq), 2, "other nodes learn of it")
	require.Len(t, list("", 0, 10), 1)
	require.Zero(t, forget(appA))
}
