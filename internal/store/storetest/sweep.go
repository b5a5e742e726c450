package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func sweepCases() []testCase {
	return []testCase{
		{"expiring deletes and counts by app, up to the limit", sweepExpire},
		{"expiring spares rows in flight", sweepExpireHeld},
		{"expiring takes rows whose lease has lapsed", sweepExpireLapsed},
		{"waking an app makes its rows due", sweepWake},
		{"waking leaves rows in flight with their holder", sweepWakeHeld},
		{"waking many rows", sweepWakeMany},
	}
}

func sweepExpire(t *testing.T, h *Harness) {
	other := h.row(4)
	other.AppID = appB
	other.Deadline = other.Accepted.Add(time.Minute)
	rows := h.rows(1, 2, 3)
	for i := range 2 {
		rows[i].Deadline = rows[i].Accepted.Add(time.Minute)
	}
	enqueue(t, h.Store, append(rows, other)...)
	expire := func(limit int) map[push.AppID]int {
		counts, err := h.Store.Expire(ctxOf(t), limit)
		require.NoError(t, err)
		return counts
	}
	require.Empty(t, expire(10), "none is past its deadline yet")
	h.Advance(t, time.Minute+time.Second)
	require.Len(t, expireAll(expire(2), expire(10)), 2)
	require.Empty(t, expire(10))
	require.Equal(t, 1, backlog(t, h.Store).Rows)
	require.Equal(t, []int{3}, devicesOf(claim(t, h.Store, 10)))
}

// expireAll adds counts up; three rows of two apps had to go.
func expireAll(parts ...map[push.AppID]int) map[push.AppID]int {
	sum := map[push.AppID]int{}
	for _, p := range parts {
		for app, n := range p {
			sum[app] += n
		}
	}
	if sum[appA] != 2 || sum[appB] != 1 {
		return nil
	}
	return sum
}

func sweepExpireHeld(t *testing.T, h *Harness) {
	short := h.row(1)
	short.Deadline = short.Accepted.Add(10 * time.Second)
	enqueue(t, h.Store, short)
	r := claimOne(t, h.Store)
	h.Advance(t, 20*time.Second)
	counts, err := h.Store.Expire(ctxOf(t), 10)
	require.NoError(t, err)
	require.Empty(t, counts, "its last attempt still runs")
	require.Equal(t, []bool{true}, settle(t, h.Store, retryAt(r, h.Now())))
	counts, err = h.Store.Expire(ctxOf(t), 10)
	require.NoError(t, err)
	require.Equal(t, map[push.AppID]int{appA: 1}, counts)
}

func sweepExpireLapsed(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	r := claimOne(t, h.Store)
	h.Advance(t, life+time.Minute)
	counts, err := h.Store.Expire(ctxOf(t), 10)
	require.NoError(t, err)
	require.Equal(t, map[push.AppID]int{appA: 1}, counts)
	require.Equal(t, []bool{false}, settle(t, h.Store, push.Settlement{Held: heldOf(r)}))
}

func sweepWake(t *testing.T, h *Harness) {
	rows := h.rows(1, 2)
	rows[0].Due = rows[0].Due.Add(time.Hour)
	other := h.row(3)
	other.AppID, other.Due = appB, other.Due.Add(time.Hour)
	enqueue(t, h.Store, append(rows, other)...)
	require.Equal(t, []int{2}, devicesOf(claim(t, h.Store, 10)))
	require.NoError(t, h.Store.WakeOn(ctxOf(t), appA))
	require.Equal(t, []int{1}, devicesOf(claim(t, h.Store, 10)))
	got, err := h.Store.Claim(ctxOf(t), appB, 10, lease)
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoError(t, h.Store.WakeOn(ctxOf(t), "com.example.unknown"))
}

func sweepWakeHeld(t *testing.T, h *Harness) {
	running := h.row(1)
	running.UnderWay, running.Due = true, running.Due.Add(time.Hour)
	out := enqueue(t, h.Store, running)
	require.NoError(t, h.Store.WakeOn(ctxOf(t), appA))
	require.Empty(t, claim(t, h.Store, 10))
	require.NoError(t, h.Store.Release(ctxOf(t), []push.Held{{ID: out[0].ID, Lease: out[0].Lease}}))
	require.Equal(t, []int{1}, devicesOf(claim(t, h.Store, 10)), "and due once it is free")
}

func sweepWakeMany(t *testing.T, h *Harness) {
	const n = 12_000 // more than one transaction's share
	rows := make([]push.Queued, n)
	for i := range rows {
		rows[i] = h.row(i)
		rows[i].Due = rows[i].Due.Add(time.Duration(i) * time.Second).Add(time.Hour)
	}
	enqueue(t, h.Store, rows...)
	require.Empty(t, claim(t, h.Store, 10))
	require.NoError(t, h.Store.WakeOn(ctxOf(t), appA))
	woken, err := h.Store.Claim(ctxOf(t), appA, n, lease) // takes as long as it takes
	require.NoError(t, err)
	require.Len(t, woken, n)
}
