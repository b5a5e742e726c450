package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func badgeCases() []testCase {
	return []testCase{
		{"a newer one takes the place of a waiting one", badgeReplaced},
		{"one in flight is not replaced", badgeInFlight},
		{"two in one call leave the later", badgeTwoInOneCall},
		{"a moved one gives way to a newer one", badgeMovedGivesWay},
		{"a released one gives way to a newer one", badgeReleasedGivesWay},
		{"a lapsed one gives way to a newer one", badgeLapsedGivesWay},
		{"one that is due before the newer one gives way too", badgeDueBeforeTheNewer},
		{"what a third one replaces and what expires add up", badgeThree},
		{"another device's stays", badgeOtherDevice},
		{"dropping spares what is newer, in flight or no badge", badgeDrop},
	}
}

func badgeReplaced(t *testing.T, h *Harness) {
	first := enqueue(t, h.Store, h.badge(1, 1))
	require.Equal(t, push.EnqueueStored, first[0].State)
	second := enqueue(t, h.Store, h.badge(1, 2), h.row(1))
	require.Equal(t, push.EnqueueReplaced, second[0].State)
	require.Equal(t, push.EnqueueStored, second[1].State, "a notification is not replaced by a badge")
	require.Equal(t, 2, backlog(t, h.Store).Rows)
	got := claimOne(t, h.Store)
	require.Equal(t, []byte{'b', 2}, got.Payload)
	require.True(t, got.BadgeOnly)
	require.True(t, got.HasCounts)
}

func badgeInFlight(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.badge(1, 1))
	held := claimOne(t, h.Store)
	require.Equal(t, push.EnqueueStored, enqueue(t, h.Store, h.badge(1, 2))[0].State)
	require.Equal(t, 2, backlog(t, h.Store).Rows)
	end(t, h.Store, held)
	require.Equal(t, []byte{'b', 2}, claimOne(t, h.Store).Payload)
}

func badgeTwoInOneCall(t *testing.T, h *Harness) {
	out := enqueue(t, h.Store, h.badge(1, 1), h.badge(1, 2), h.badge(2, 1))
	require.Equal(t, push.EnqueueReplaced, out[1].State)
	require.Equal(t, 2, backlog(t, h.Store).Rows)
	got := claim(t, h.Store, 10)
	require.Equal(t, []int{1, 2}, devicesOf(got))
	require.Equal(t, []byte{'b', 2}, got[0].Payload)
}

func badgeMovedGivesWay(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.badge(1, 1))
	old := claimOne(t, h.Store)
	enqueue(t, h.Store, h.badge(1, 2))
	require.Equal(t, []bool{true}, settle(t, h.Store, retryAt(old, h.Now())))
	require.Equal(t, 2, backlog(t, h.Store).Rows, "who settles counts on it that a row which is to wait does wait")
	requireOnlyNewerBadge(t, h)
}

func badgeReleasedGivesWay(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.badge(1, 1))
	old := claimOne(t, h.Store)
	enqueue(t, h.Store, h.badge(1, 2))
	require.NoError(t, h.Store.Release(ctxOf(t), []push.Held{heldOf(old)}))
	requireOnlyNewerBadge(t, h)
}

func badgeLapsedGivesWay(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.badge(1, 1))
	claimOne(t, h.Store)
	enqueue(t, h.Store, h.badge(1, 2))
	h.Advance(t, lease+time.Second)
	requireOnlyNewerBadge(t, h)
}

func badgeDueBeforeTheNewer(t *testing.T, h *Harness) {
	for name, back := range map[string]func(held push.Queued){
		"released": func(held push.Queued) { require.NoError(t, h.Store.Release(ctxOf(t), []push.Held{heldOf(held)})) },
		"moved":    func(held push.Queued) { settle(t, h.Store, retryAt(held, h.Now())) },
	} {
		enqueue(t, h.Store, h.badge(1, 1))
		held := claimOne(t, h.Store)
		newer := h.badge(1, 2)
		newer.Due = h.Now().Add(time.Minute)
		enqueue(t, h.Store, newer)
		back(held)
		require.Empty(t, claim(t, h.Store, 10), name)
		counts, err := h.Store.Expire(ctxOf(t), 10)
		require.NoError(t, err)
		require.Equal(t, map[push.AppID]int{appA: 1}, counts, name)
		h.Advance(t, 2*time.Minute)
		end(t, h.Store, claimOne(t, h.Store))
		require.Empty(t, waiting(t, h.Store), name)
	}
}

// Whoever keeps the books hears of every row that goes: of this one as replaced, of the others from Expire.
func badgeThree(t *testing.T, h *Harness) {
	stored, gone := 0, 0
	put := func(count int) {
		stored++
		if enqueue(t, h.Store, h.badge(1, count))[0].State == push.EnqueueReplaced {
			gone++
		}
	}
	put(1)
	held := claimOne(t, h.Store)
	put(2)
	require.NoError(t, h.Store.Release(ctxOf(t), []push.Held{heldOf(held)}))
	put(3)
	require.Equal(t, stored-gone, backlog(t, h.Store).Rows)
	last := claimOne(t, h.Store)
	require.Equal(t, []byte{'b', 3}, last.Payload)
	end(t, h.Store, last)
	require.Empty(t, claim(t, h.Store, 10))
	counts, err := h.Store.Expire(ctxOf(t), 10)
	require.NoError(t, err)
	require.Equal(t, stored-gone-1, counts[appA])
	require.Empty(t, waiting(t, h.Store))
}

// requireOnlyNewerBadge claims badge 2, never badge 1, and finds badge 1 counted as expired.
func requireOnlyNewerBadge(t *testing.T, h *Harness) {
	t.Helper()
	newer := claimOne(t, h.Store)
	require.Equal(t, []byte{'b', 2}, newer.Payload)
	end(t, h.Store, newer)
	require.Empty(t, claim(t, h.Store, 10), "the older badge must not follow the newer one")
	counts, err := h.Store.Expire(ctxOf(t), 10)
	require.NoError(t, err)
	require.Equal(t, map[push.AppID]int{appA: 1}, counts)
	require.Empty(t, waiting(t, h.Store))
}

func badgeOtherDevice(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.badge(1, 1), h.badge(2, 1))
	require.Equal(t, push.EnqueueReplaced, enqueue(t, h.Store, h.badge(2, 2))[0].State)
	require.Equal(t, []int{1, 2}, devicesOf(claim(t, h.Store, 10)))
}

func badgeDrop(t *testing.T, h *Harness) {
	other := h.badge(5, 1)
	other.AppID = appB
	enqueue(t, h.Store, h.badge(1, 1))
	require.Len(t, claim(t, h.Store, 10), 1) // in flight
	sent := h.Now().Add(time.Minute)
	newer := h.badge(2, 1)
	newer.Accepted = sent.Add(time.Second)
	old := h.badge(6, 1)
	old.Accepted = newer.Accepted
	enqueue(t, h.Store, newer, h.badge(3, 1), h.row(3), h.badge(4, 1), other, old)

	times := before(sent, 1, 2, 3, 5, 77)
	times[hashOf(6)] = sent.Add(time.Minute) // every device has a time of its own
	dropped, err := h.Store.DropBadges(ctxOf(t), times)
	require.NoError(t, err)
	require.Equal(t, map[push.AppID]int{appA: 2, appB: 1}, dropped)
	require.ElementsMatch(t, []int{2, 3, 4}, devicesOf(claim(t, h.Store, 10)))
	require.Equal(t, 4, backlog(t, h.Store).Rows)
}

// before gives devices one time.
func before(at time.Time, devices ...int) map[push.Hash]time.Time {
	out := map[push.Hash]time.Time{}
	for _, n := range devices {
		out[hashOf(n)] = at
	}
	return out
}
