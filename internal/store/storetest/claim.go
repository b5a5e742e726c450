package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func claimCases() []testCase {
	return []testCase{
		{"an unknown app has nothing", claimUnknownApp},
		{"oldest due first, up to the limit", claimOrder},
		{"not before it is due", claimDue},
		{"only rows of the app", claimApp},
		{"not after the deadline", claimDeadline},
		{"one row per device", claimOnePerDevice},
		{"a hot device does not hide others", claimHotDevice},
		{"a row given back is found although those behind it have gone", claimBackAloneBehind},
		{"a row given back comes before those behind it", claimBackFirst},
		{"a new row is found among others that have gone", claimNewAmongGone},
		{"a row that waits for its retry holds nothing back", claimRetryHoldsNothing},
		{"a new row older than what was claimed is found", claimOlderArrives},
		{"rows of one instant are all found", claimOneInstant},
		{"an ended context takes nothing", claimCancelled},
		{"a device known under two app names is in flight once", claimTwoApps},
	}
}

func claimUnknownApp(t *testing.T, h *Harness) {
	require.Empty(t, claim(t, h.Store, 10))
	enqueue(t, h.Store, h.row(1))
	rows, err := h.Store.Claim(ctxOf(t), "com.example.unknown", 10, lease)
	require.NoError(t, err)
	require.Empty(t, rows)
}

func claimOrder(t *testing.T, h *Harness) {
	for i, ago := range []time.Duration{3, 1, 5, 2, 4} {
		r := h.row(int(ago))
		r.Due = r.Due.Add(-ago * time.Minute)
		enqueue(t, h.Store, r)
		require.Equal(t, i+1, backlog(t, h.Store).Rows)
	}
	require.Equal(t, []int{5, 4}, devicesOf(claim(t, h.Store, 2)))
	require.Equal(t, []int{3, 2, 1}, devicesOf(claim(t, h.Store, 10)))
	require.Empty(t, claim(t, h.Store, 10))
}

func claimDue(t *testing.T, h *Harness) {
	later := h.row(1)
	later.Due = later.Due.Add(time.Hour)
	enqueue(t, h.Store, later, h.row(2))
	require.Equal(t, []int{2}, devicesOf(claim(t, h.Store, 10)))
	h.Advance(t, 59*time.Minute)
	require.NotContains(t, devicesOf(claim(t, h.Store, 10)), 1)
	h.Advance(t, 2*time.Minute)
	require.Contains(t, devicesOf(claim(t, h.Store, 10)), 1)
}

func claimApp(t *testing.T, h *Harness) {
	other := h.row(2)
	other.AppID = appB
	enqueue(t, h.Store, h.row(1), other)
	require.Equal(t, []int{1}, devicesOf(claim(t, h.Store, 10)))
	rows, err := h.Store.Claim(ctxOf(t), appB, 10, lease)
	require.NoError(t, err)
	require.Equal(t, []int{2}, devicesOf(rows))
	require.Equal(t, appB, rows[0].AppID)
}

func claimDeadline(t *testing.T, h *Harness) {
	short := h.row(1)
	short.Deadline = short.Accepted.Add(30 * time.Second)
	enqueue(t, h.Store, short, h.row(2))
	h.Advance(t, time.Minute)
	require.Equal(t, []int{2}, devicesOf(claim(t, h.Store, 10)))
}

func claimOnePerDevice(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1), h.another(1, 1), h.another(1, 2), h.row(2))
	first := claim(t, h.Store, 10)
	require.Equal(t, []int{1, 2}, devicesOf(first), "one batch holds one row of a device")
	require.Empty(t, claim(t, h.Store, 10), "nor does the next while it is in flight")
	end(t, h.Store, first[0])
	second := claimOne(t, h.Store)
	require.Equal(t, []byte{'p', 1, 1}, second.Payload, "then the next in line")
	require.Equal(t, []bool{true}, settle(t, h.Store, retryAt(second, h.Now().Add(time.Hour))))
	require.Equal(t, []byte{'p', 1, 2}, claimOne(t, h.Store).Payload)
}

// Hundreds of rows of one device must neither hide the rows behind them nor be forgotten themselves.
func claimHotDevice(t *testing.T, h *Harness) {
	const hot = 300 // rows, more than a claim reads ahead
	rows := make([]push.Queued, hot)
	for i := range rows {
		rows[i] = h.another(1, i)
		rows[i].Due = rows[i].Due.Add(-time.Hour)
	}
	enqueue(t, h.Store, rows...)
	enqueue(t, h.Store, h.rows(2, 3)...)

	got := claim(t, h.Store, 10)
	require.Equal(t, []int{1, 2, 3}, devicesOf(got))
	end(t, h.Store, got...)
	seen := map[string]bool{string(got[0].Payload): true}
	for i := 1; i < hot; i++ {
		r := claimOne(t, h.Store)
		require.False(t, seen[fmt.Sprint(r.ID)])
		seen[fmt.Sprint(r.ID)] = true
		end(t, h.Store, r)
	}
	require.Empty(t, claim(t, h.Store, 10))
	require.Zero(t, backlog(t, h.Store).Rows)
}

// secondOf stores three rows of one device, ends the first and claims the second: whoever reads a device's rows in
// batches now knows the third already.
func secondOf(t *testing.T, h *Harness, third push.Queued) push.Queued {
	t.Helper()
	enqueue(t, h.Store, h.row(1), h.another(1, 1), third)
	end(t, h.Store, claimOne(t, h.Store))
	second := claimOne(t, h.Store)
	require.Equal(t, []byte{'p', 1, 1}, second.Payload)
	return second
}

// What was known of a device may be out of date when its turn comes.
func claimBackAloneBehind(t *testing.T, h *Harness) {
	second := secondOf(t, h, h.badge(1, 2))
	dropped, err := h.Store.DropBadges(ctxOf(t), before(h.Now().Add(time.Hour), 1))
	require.NoError(t, err)
	require.Equal(t, map[push.AppID]int{appA: 1}, dropped)
	require.NoError(t, h.Store.Release(ctxOf(t), []push.Held{heldOf(second)}))
	require.Equal(t, second.ID, claimOne(t, h.Store).ID)
}

func claimBackFirst(t *testing.T, h *Harness) {
	second := secondOf(t, h, h.another(1, 2))
	require.NoError(t, h.Store.Release(ctxOf(t), []push.Held{heldOf(second)}))
	again := claimOne(t, h.Store)
	require.Equal(t, second.ID, again.ID, "oldest due first")
	end(t, h.Store, again)
	require.Equal(t, []byte{'p', 1, 2}, claimOne(t, h.Store).Payload)
}

func claimNewAmongGone(t *testing.T, h *Harness) {
	var rows []push.Queued
	for i, ago := range []time.Duration{8, 6, 4, 1} {
		r := h.another(1, i)
		r.Due = r.Due.Add(-ago * time.Second)
		if i >= 2 {
			r.Deadline = r.Accepted.Add(lease / 2)
		}
		rows = append(rows, r)
	}
	between := h.another(1, 4)
	between.Due = between.Due.Add(-2 * time.Second)
	enqueue(t, h.Store, rows...)
	end(t, h.Store, claimOne(t, h.Store))
	second := claimOne(t, h.Store) // the third and fourth are known from here on
	h.Advance(t, lease/2+time.Second)
	enqueue(t, h.Store, between)
	end(t, h.Store, second)
	require.Equal(t, between.Payload, claimOne(t, h.Store).Payload)
}

func claimRetryHoldsNothing(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	r := claimOne(t, h.Store)
	settle(t, h.Store, retryAt(r, h.Now().Add(time.Hour)))
	enqueue(t, h.Store, h.another(1, 1))
	second := claimOne(t, h.Store)
	require.Equal(t, []byte{'p', 1, 1}, second.Payload)
	end(t, h.Store, second)
	h.Advance(t, time.Hour+time.Second)
	require.Equal(t, r.ID, claimOne(t, h.Store).ID)
}

func claimOlderArrives(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.rows(1, 2)...)
	require.Len(t, claim(t, h.Store, 10), 2)
	old := h.row(3)
	old.Due = old.Due.Add(-time.Hour)
	enqueue(t, h.Store, old)
	require.Equal(t, []int{3}, devicesOf(claim(t, h.Store, 10)))
	blocked := h.another(1, 1)
	blocked.Due = blocked.Due.Add(-time.Hour)
	enqueue(t, h.Store, blocked)
	require.Empty(t, claim(t, h.Store, 10))
	h.Advance(t, lease+time.Second)
	require.ElementsMatch(t, []int{1, 2, 3}, devicesOf(claim(t, h.Store, 10)))
}

func claimOneInstant(t *testing.T, h *Harness) {
	due := h.Now()
	var rows []push.Queued
	for n := range 50 {
		r := h.row(n)
		r.Due = due
		rows = append(rows, r)
	}
	enqueue(t, h.Store, rows...)
	var got []int
	for range 10 {
		got = append(got, devicesOf(claim(t, h.Store, 5))...)
	}
	require.Len(t, got, 50)
	require.IsIncreasing(t, got, "rows of one instant come in order of their id")
}

func claimCancelled(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	ctx, cancel := context.WithCancel(ctxOf(t))
	cancel()
	_, err := h.Store.Claim(ctx, appA, 10, lease)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []int{1}, devicesOf(claim(t, h.Store, 10)))
}

// After a reload the same device may have rows under a pattern and under its exact name.
func claimTwoApps(t *testing.T, h *Harness) {
	renamed := h.another(1, 1)
	renamed.AppID = appB
	enqueue(t, h.Store, h.row(1), renamed)
	held := claimOne(t, h.Store)
	rows, err := h.Store.Claim(ctxOf(t), appB, 10, lease)
	require.NoError(t, err)
	require.Empty(t, rows)
	end(t, h.Store, held)
	rows, err = h.Store.Claim(ctxOf(t), appB, 10, lease)
	require.NoError(t, err)
	require.Equal(t, []int{1}, devicesOf(rows))
}
