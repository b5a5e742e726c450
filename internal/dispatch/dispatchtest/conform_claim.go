package dispatchtest

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

func onePerPusher(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.register(t, bob(), "one", urlA)
	r.submit(t, alice(), "a1", nil)
	r.submit(t, alice(), "a2", nil)
	r.submit(t, bob(), "b1", nil)
	first := r.claim(t, gatewayA, 10)
	require.Equal(t, []string{"a1", "b1"}, payloads(first))
	require.Empty(t, r.claim(t, gatewayA, 10), "both have one in flight")
	require.True(t, r.settle(t, dispatch.Settlement{Held: first[0].Held}))
	require.Equal(t, []string{"a2"}, payloads(r.claim(t, gatewayA, 10)))
}

func claimLimit(t *testing.T, r *rig) {
	for _, key := range []push.Pushkey{"1", "2", "3", "4", "5"} {
		r.register(t, alice(), key, urlA)
	}
	r.submit(t, alice(), "x", nil)
	seen := map[int64]bool{}
	for _, want := range []int{2, 2, 1, 0} {
		claimed, err := r.Store.Claim(t.Context(), gatewayA, 2, time.Minute)
		require.NoError(t, err)
		require.Len(t, claimed.Rows, want)
		require.Equal(t, len(seen)+want < 5, !claimed.Next.IsZero())
		for _, row := range claimed.Rows {
			require.False(t, seen[row.ID])
			seen[row.ID] = true
		}
	}
}

func gatewaysApart(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.register(t, alice(), "two", urlB)
	matrix := push.Owner{Realm: push.RealmMatrix, User: alice().User}
	r.register(t, matrix, "one", urlA)
	r.submit(t, alice(), "fd", nil)
	r.submit(t, matrix, "mx", nil)
	all, err := r.Store.Gateways(t.Context())
	require.NoError(t, err)
	got := map[dispatch.Gateway]int{}
	for _, w := range all {
		got[w.Gateway] = w.Rows
		require.False(t, w.Next.IsZero())
		require.False(t, w.Next.After(r.Now()))
		require.WithinDuration(t, r.Now(), w.Oldest, time.Minute)
	}
	mx := dispatch.Gateway{Realm: push.RealmMatrix, URL: urlA}
	require.Equal(t, map[dispatch.Gateway]int{gatewayA: 1, gatewayB: 1, mx: 1}, got)
	require.Equal(t, []string{"mx"}, payloads(r.claim(t, mx, 10)))
	a := r.claim(t, gatewayA, 10)
	require.Equal(t, []string{"fd"}, payloads(a))
	require.Equal(t, push.Pushkey("one"), a[0].Pusher.Pushkey)
	require.Equal(t, []string{"fd"}, payloads(r.claim(t, gatewayB, 10)))
	require.Empty(t, r.claim(t, dispatch.Gateway{Realm: push.RealmFachdienst, URL: urlA + "x"}, 10))
}

func follow(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "x", nil)
	p := r.register(t, alice(), "one", urlB)
	require.Empty(t, r.claim(t, gatewayA, 10), "the old gateway gets nothing any more")
	rows := r.claim(t, gatewayB, 10)
	require.Len(t, rows, 1)
	require.Equal(t, p.Updated, rows[0].Pusher.Updated)
	require.Equal(t, urlB, rows[0].Pusher.URL)
}

func waitsAlone(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "first", nil)
	row := r.claim(t, gatewayA, 1)[0]
	require.True(t, r.settle(t, dispatch.Settlement{Held: row.Held, Due: r.Now().Add(10 * time.Minute), Attempts: 1}))
	r.submit(t, alice(), "second", nil)
	next := r.claim(t, gatewayA, 10)
	require.Equal(t, []string{"second"}, payloads(next))
	require.True(t, r.settle(t, dispatch.Settlement{Held: next[0].Held}))
	require.Empty(t, r.claim(t, gatewayA, 10))
	r.Advance(10*time.Minute + time.Second)
	require.Equal(t, []string{"first"}, payloads(r.claim(t, gatewayA, 10)))
}

func nextTimes(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "first", nil)
	row := r.claim(t, gatewayA, 1)[0]
	all, err := r.Store.Gateways(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	due := r.Now().Add(10 * time.Minute)
	require.True(t, r.settle(t, dispatch.Settlement{Held: row.Held, Due: due}))
	claimed, err := r.Store.Claim(t.Context(), gatewayA, 1, time.Minute)
	require.NoError(t, err)
	require.Empty(t, claimed.Rows)
	require.WithinDuration(t, due, claimed.Next, time.Second)
	all, err = r.Store.Gateways(t.Context())
	require.NoError(t, err)
	require.False(t, all[0].Next.IsZero())
	require.False(t, all[0].Next.After(due.Add(time.Second)), "never late")

	r.submit(t, alice(), "second", nil)
	r.submit(t, alice(), "third", nil)
	claimed, err = r.Store.Claim(t.Context(), gatewayA, 10, time.Minute)
	require.NoError(t, err)
	require.Equal(t, []string{"second"}, payloads(claimed.Rows))
	require.False(t, claimed.Next.IsZero())
	require.False(t, claimed.Next.After(r.Now()), "the third is due, and held back by the second")
}

func leaseEnds(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "x", nil)
	old := r.claim(t, gatewayA, 1)[0]
	r.Advance(61 * time.Second)
	now := r.claim(t, gatewayA, 1)
	require.Len(t, now, 1)
	require.NotEqual(t, old.Lease, now[0].Lease)
	require.False(t, r.settle(t, dispatch.Settlement{Held: old.Held}), "fenced off")
	ours, err := r.Store.Renew(t.Context(), []push.Held{old.Held, now[0].Held}, time.Minute)
	require.NoError(t, err)
	require.Equal(t, []bool{false, true}, ours)
	require.NoError(t, r.Store.Release(t.Context(), []push.Held{old.Held}))
	require.Empty(t, r.claim(t, gatewayA, 1), "a stale holder gives nothing back")
	require.True(t, r.settle(t, dispatch.Settlement{Held: now[0].Held}))
}

func renew(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "x", nil)
	row := r.claim(t, gatewayA, 1)[0]
	for range 3 {
		r.Advance(40 * time.Second)
		ours, err := r.Store.Renew(t.Context(), []push.Held{row.Held}, time.Minute)
		require.NoError(t, err)
		require.Equal(t, []bool{true}, ours)
		require.Empty(t, r.claim(t, gatewayA, 1))
	}
}

func release(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "x", nil)
	row := r.claim(t, gatewayA, 1)[0]
	require.NoError(t, r.Store.Release(t.Context(), []push.Held{row.Held}))
	again := r.claim(t, gatewayA, 1)
	require.Len(t, again, 1)
	require.Zero(t, again[0].Attempts)
	require.Equal(t, row.ID, again[0].ID)
	require.False(t, r.settle(t, dispatch.Settlement{Held: row.Held}), "that lease was given back")
}

func attempts(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "x", nil)
	for n := range 3 {
		rows := r.claim(t, gatewayA, 1)
		require.Len(t, rows, 1)
		require.Equal(t, n, rows[0].Attempts)
		require.Equal(t, 2*n, rows[0].Refusals)
		require.True(t, r.settle(t, dispatch.Settlement{Held: rows[0].Held, Due: r.Now().Add(time.Second), Attempts: n + 1, Refusals: 2 * (n + 1)}))
		r.Advance(2 * time.Second)
	}
}

func badge(n *dispatch.NewRow)  { n.BadgeOnly, n.HasCounts = true, true }
func counts(n *dispatch.NewRow) { n.HasCounts = true }

func badgeReplaced(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.register(t, bob(), "one", urlA)
	require.Zero(t, r.submit(t, bob(), "bob", badge).Replaced)
	require.Zero(t, r.submit(t, alice(), "1", badge).Replaced)
	require.Equal(t, 1, r.submit(t, alice(), "2", badge).Replaced)
	require.Zero(t, r.submit(t, alice(), "no counts", nil).Replaced)
	require.Equal(t, 1, r.submit(t, alice(), "event", counts).Replaced)
	require.Zero(t, r.submit(t, alice(), "3", badge).Replaced, "an event is not replaced")
	var got []string
	for {
		rows := r.claim(t, gatewayA, 10)
		if len(rows) == 0 {
			break
		}
		got = append(got, payloads(rows)...)
		for _, row := range rows {
			require.True(t, r.settle(t, dispatch.Settlement{Held: row.Held}))
		}
	}
	require.Equal(t, []string{"bob", "no counts", "event", "3"}, got)
}

func badgeInFlight(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "old", badge)
	old := r.claim(t, gatewayA, 1)[0]
	require.Zero(t, r.submit(t, alice(), "new", badge).Replaced, "what is leased stays")
	require.True(t, r.settle(t, dispatch.Settlement{Held: old.Held, Due: r.Now().Add(time.Second)}))
	require.Equal(t, 1, r.rows(t))
	require.Equal(t, []string{"new"}, payloads(r.claim(t, gatewayA, 10)))
}

func cascade(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	p := r.register(t, alice(), "two", urlA)
	r.register(t, bob(), "one", urlA)
	r.submit(t, alice(), "a", nil)
	r.submit(t, bob(), "b", nil)
	rows := r.claim(t, gatewayA, 2)
	r.Advance(time.Second)
	n, err := r.Store.DeleteRejected(t.Context(), pusher.Rejected{
		Realm: p.Owner.Realm, Pushkey: "one", URL: urlA, AppID: "app", User: alice().User, Since: rows[0].Pusher.Updated,
	})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.False(t, r.settle(t, dispatch.Settlement{Held: rows[0].Held}), "gone with its pusher")
	ours, err := r.Store.Renew(t.Context(), []push.Held{rows[0].Held, rows[1].Held}, time.Minute)
	require.NoError(t, err)
	require.Equal(t, []bool{false, true}, ours)
	require.Equal(t, 2, r.rows(t))
	_, err = r.Store.DeleteOwner(t.Context(), alice(), "")
	require.NoError(t, err)
	require.Equal(t, 1, r.rows(t))
	r.Advance(time.Second)
	r.register(t, alice(), "one", urlA)
	require.Equal(t, 1, r.rows(t), "another registration gets nothing of the old one")
}

func expire(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.register(t, bob(), "one", urlA)
	short := func(n *dispatch.NewRow) { n.Deadline = r.Now().Add(time.Minute) }
	r.submit(t, alice(), "short", short)
	r.submit(t, alice(), "long", nil)
	r.submit(t, bob(), "held", short)
	held := r.claim(t, gatewayA, 2)
	require.Equal(t, []string{"short", "held"}, payloads(held))
	require.NoError(t, r.Store.Release(t.Context(), []push.Held{held[0].Held}))
	r.Advance(50 * time.Second)
	_, err := r.Store.Renew(t.Context(), []push.Held{held[1].Held}, time.Minute)
	require.NoError(t, err)
	r.Advance(20 * time.Second)
	require.Equal(t, []string{"long"}, payloads(r.claim(t, gatewayA, 10)))
	n, err := r.Store.Expire(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.True(t, r.settle(t, dispatch.Settlement{Held: held[1].Held}), "what is in flight may end")
	n, err = r.Store.Expire(t.Context(), 10)
	require.NoError(t, err)
	require.Zero(t, n)
}

func stepKeys(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "x", nil)
	row := r.claim(t, gatewayA, 1)[0]
	g := row.Pusher.Encryption.Generation
	next, err := g.Step()
	require.NoError(t, err)
	later, err := next.Step()
	require.NoError(t, err)
	step := dispatch.KeyStep{Key: row.Pusher.Key, Updated: row.Pusher.Updated, From: g.Month(), To: next}
	stale, gone := step, step
	stale.Updated = stale.Updated.Add(-time.Millisecond)
	gone.Key.Pushkey = "unknown"
	for i, tt := range []struct {
		step dispatch.KeyStep
		want bool
	}{
		{stale, false},
		{gone, false},
		{step, true},
		{step, false}, // somebody else was first
		{dispatch.KeyStep{Key: step.Key, Updated: step.Updated, From: next.Month(), To: later}, true},
		{dispatch.KeyStep{Key: step.Key, Updated: step.Updated, From: g.Month(), To: next}, false}, // never backwards
	} {
		ok, err := r.Store.StepKeys(t.Context(), []dispatch.KeyStep{tt.step})
		require.NoError(t, err)
		require.Equalf(t, []bool{tt.want}, ok, "step %d", i)
	}
	require.NoError(t, r.Store.Release(t.Context(), []push.Held{row.Held}))
	again := r.claim(t, gatewayA, 1)[0]
	require.True(t, again.Pusher.Encryption.Generation.Equal(later))
	require.Equal(t, row.Pusher.Updated, again.Pusher.Updated, "a step is no registration")
	require.Equal(t, row.Pusher.Encryption.KeyID, again.Pusher.Encryption.KeyID)
}

func renewed(t *testing.T, r *rig) {
	first := r.register(t, alice(), "one", urlA)
	r.submit(t, alice(), "x", nil)
	row := r.claim(t, gatewayA, 1)[0]
	next, err := row.Pusher.Encryption.Generation.Step()
	require.NoError(t, err)
	p := pushertest.Sample(alice(), "app", "one")
	p.URL, p.Encryption = urlA, pushertest.SampleEncryption(t, 7)
	r.Advance(time.Second)
	require.NoError(t, r.Store.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
	ok, err := r.Store.StepKeys(t.Context(), []dispatch.KeyStep{{Key: p.Key, Updated: first.Updated, From: row.Pusher.Encryption.Generation.Month(), To: next}})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, ok, "a new chain is not stepped by the old one")
	require.NoError(t, r.Store.Release(t.Context(), []push.Held{row.Held}))
	again := r.claim(t, gatewayA, 1)
	require.Len(t, again, 1)
	require.True(t, again[0].Pusher.Updated.After(first.Updated))
	require.True(t, again[0].Pusher.Encryption.Generation.Equal(p.Encryption.Generation))
}

func concurrentClaims(t *testing.T, r *rig) {
	const people, events, claimers = 10, 4, 6
	for i := range people {
		owner := push.Owner{Realm: push.RealmFachdienst, User: push.UserID(rune('a' + i))}
		r.register(t, owner, "one", urlA)
		for range events {
			r.submit(t, owner, "x", nil)
		}
	}
	var mu sync.Mutex
	inFlight, seen := map[pusher.Key]bool{}, map[int64]int{}
	problems := 0
	atOnce(claimers, func(int) {
		for idle := 0; idle < 50; {
			claimed, err := r.Store.Claim(t.Context(), gatewayA, 3, time.Minute)
			if err != nil || len(claimed.Rows) == 0 {
				idle++
				continue
			}
			mu.Lock()
			for _, row := range claimed.Rows {
				if inFlight[row.Pusher.Key] {
					problems++
				}
				inFlight[row.Pusher.Key] = true
				seen[row.ID]++
			}
			mu.Unlock()
			for _, row := range claimed.Rows {
				mu.Lock()
				delete(inFlight, row.Pusher.Key)
				mu.Unlock()
				_, _ = r.Store.Settle(t.Context(), []dispatch.Settlement{{Held: row.Held}})
			}
		}
	})
	require.Zero(t, problems, "two rows of one pusher in flight")
	require.Len(t, seen, people*events)
	for _, n := range seen {
		require.Equal(t, 1, n)
	}
	require.Zero(t, r.rows(t))
}

func concurrentDelete(t *testing.T, r *rig) {
	for range 10 {
		p := r.register(t, alice(), "one", urlA)
		atOnce(6, func(i int) {
			if i == 3 {
				_, _ = r.Store.DeletePusher(t.Context(), p.Key)
				return
			}
			_, _ = r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Plan: r.every("x", nil)})
		})
		require.Zero(t, r.rows(t))
	}
}
