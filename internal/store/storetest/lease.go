package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func leaseCases() []testCase {
	return []testCase{
		{"a lapsed lease frees the row", leaseLapses},
		{"a stale verdict is fenced off", leaseFences},
		{"a lapsed lease still counts until somebody takes over", leaseLateVerdict},
		{"renewing keeps the row", leaseRenew},
		{"a lost lease cannot be renewed", leaseRenewLost},
		{"released rows are free at once, unchanged", leaseRelease},
		{"a stale release changes nothing", leaseReleaseStale},
		{"a row under way lapses too", leaseUnderWay},
		{"a restart frees or keeps, but never loses", leaseRestart},
		{"a crash frees the rows after the lease", leaseCrash},
	}
}

func leaseLapses(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	first := claimOne(t, h.Store)
	h.Advance(t, lease-time.Second)
	require.Empty(t, claim(t, h.Store, 10))
	h.Advance(t, 2*time.Second)
	second := claimOne(t, h.Store)
	require.Equal(t, first.ID, second.ID)
	require.NotEqual(t, first.Lease, second.Lease)
}

func leaseFences(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	stale := claimOne(t, h.Store)
	h.Advance(t, lease+time.Second)
	current := claimOne(t, h.Store)
	dead := &push.DeadKey{AppID: appA, Device: stale.Device, Since: h.Now()}
	require.Equal(t, []bool{false, false}, settle(t, h.Store,
		push.Settlement{Held: heldOf(stale), Dead: dead},
		retryAt(stale, h.Now().Add(time.Hour))))
	changes, err := h.Store.Changes(ctxOf(t), 0, 10)
	require.NoError(t, err)
	require.Empty(t, changes, "a fenced verdict leaves no entry in the ledger")
	end(t, h.Store, current)
}

func leaseLateVerdict(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	r := claimOne(t, h.Store)
	h.Advance(t, lease+time.Second)
	end(t, h.Store, r)
	require.Empty(t, waiting(t, h.Store))
}

func leaseRenew(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.rows(1, 2)...)
	rows := claim(t, h.Store, 10)
	h.Advance(t, lease-time.Second)
	ok, err := h.Store.Renew(ctxOf(t), []push.Held{heldOf(rows[0]), heldOf(rows[1])}, lease)
	require.NoError(t, err)
	require.Equal(t, []bool{true, true}, ok)
	h.Advance(t, lease-time.Second)
	require.Empty(t, claim(t, h.Store, 10))
	end(t, h.Store, rows...)
}

func leaseRenewLost(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.rows(1, 2)...)
	old := claim(t, h.Store, 10)
	h.Advance(t, lease+time.Second)
	require.Len(t, claim(t, h.Store, 1), 1)
	ok, err := h.Store.Renew(ctxOf(t), []push.Held{{ID: 424242, Lease: 1}, heldOf(old[0])}, lease)
	require.NoError(t, err)
	require.Equal(t, []bool{false, false}, ok)
}

func leaseRelease(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1), h.another(1, 1))
	r := claimOne(t, h.Store)
	require.NoError(t, h.Store.Release(ctxOf(t), []push.Held{heldOf(r)}))
	again := claimOne(t, h.Store)
	require.NotEqual(t, r.Lease, again.Lease)
	closeTo(t, r.Due, again.Due, "due")
	again.Lease, again.Due, again.Deadline = r.Lease, r.Due, r.Deadline
	require.Equal(t, r, again)
}

func leaseReleaseStale(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	stale := claimOne(t, h.Store)
	h.Advance(t, lease+time.Second)
	current := claimOne(t, h.Store)
	require.NoError(t, h.Store.Release(ctxOf(t), []push.Held{heldOf(stale), {ID: 424242, Lease: 7}}))
	require.Empty(t, claim(t, h.Store, 10))
	end(t, h.Store, current)
}

func leaseUnderWay(t *testing.T, h *Harness) {
	r := h.row(1)
	r.UnderWay, r.Due = true, r.Due.Add(10*time.Second)
	out := enqueue(t, h.Store, r, h.row(2))
	require.Equal(t, []int{2}, devicesOf(claim(t, h.Store, 10)))
	h.Advance(t, lease+time.Second)
	got := claim(t, h.Store, 10)
	require.ElementsMatch(t, []int{1, 2}, devicesOf(got), "the request that held it is gone")
	require.Equal(t, []bool{false}, settle(t, h.Store, push.Settlement{Held: push.Held{ID: out[0].ID, Lease: out[0].Lease}}))
}

func leaseRestart(t *testing.T, h *Harness) {
	enqueue(t, h.Store, h.row(1))
	old := claimOne(t, h.Store)
	s := h.Restart(t)
	got := claim(t, s, 10)
	if h.Peer == nil {
		require.Len(t, got, 1, "the file lock says that nobody can hold a row")
		require.Equal(t, []bool{false}, settle(t, s, push.Settlement{Held: heldOf(old)}))
		return
	}
	require.Empty(t, got, "another node may still hold the row")
	require.Equal(t, []bool{true}, settle(t, s, push.Settlement{Held: heldOf(old)}))
}

func leaseCrash(t *testing.T, h *Harness) {
	underWay := h.row(3)
	underWay.UnderWay = true
	enqueue(t, h.Store, h.row(1), h.row(2), underWay)
	require.Len(t, claim(t, h.Store, 1), 1)
	s := h.Crash(t)
	h.Advance(t, lease+time.Second)
	require.ElementsMatch(t, []int{1, 2, 3}, devicesOf(claim(t, s, 10)))
}
