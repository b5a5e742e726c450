package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store"
)

func raceCases() []testCase {
	return []testCase{
		{"many workers: every row once, one per device in flight", raceWorkers},
		{"many callers store the same rows: each is stored once", raceDuplicates},
		{"many callers replace one badge: the newest is left", raceBadges},
		{"followers of the ledger miss nothing", raceFollowers},
		{"everything at once", raceEverything},
		{"nodes that open an empty database together", raceOpen},
	}
}

// nodes returns the stores that share the database.
func (h *Harness) nodes(t *testing.T) []store.Store {
	t.Helper()
	if h.Peer == nil {
		return []store.Store{h.Store}
	}
	return []store.Store{h.Store, h.Peer(t)}
}

// flight watches rows in flight.
type flight struct {
	mu      sync.Mutex
	devices map[push.Hash]int64
	done    map[int64]int
}

func (f *flight) begin(r push.Queued) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other, ok := f.devices[r.Device]; ok {
		return fmt.Errorf("rows %d and %d of one device are in flight", other, r.ID)
	}
	f.devices[r.Device] = r.ID
	return nil
}

func (f *flight) end(r push.Queued, final bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.devices, r.Device)
	if final {
		f.done[r.ID]++
	}
}

func raceWorkers(t *testing.T, h *Harness) {
	const devices, copies, workers = 40, 10, 4
	nodes := h.nodes(t)
	var rows []push.Queued
	for c := range copies {
		for n := range devices {
			rows = append(rows, h.another(n, c))
		}
	}
	for i, r := range rows {
		enqueue(t, nodes[i%len(nodes)], r)
	}
	f := &flight{devices: map[push.Hash]int64{}, done: map[int64]int{}}
	var left atomic.Int64
	left.Store(int64(len(rows)))
	bounded, cancel := context.WithTimeout(ctxOf(t), 2*time.Minute) // a row that nobody finds must not hang the test
	defer cancel()
	g, ctx := errgroup.WithContext(bounded)
	for w := range workers * len(nodes) {
		s := nodes[w%len(nodes)]
		g.Go(func() error {
			for left.Load() > 0 && ctx.Err() == nil {
				if err := workOnce(ctx, s, f, &left); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	require.Len(t, f.done, len(rows), "rows that were never claimed")
	for id, times := range f.done {
		require.Equalf(t, 1, times, "row %d", id)
	}
	require.Empty(t, waiting(t, h.Store))
	require.Zero(t, backlog(t, h.Store))
}

// workOnce claims a few rows and ends most of them; some wait again.
func workOnce(ctx context.Context, s store.Store, f *flight, left *atomic.Int64) error {
	got, err := s.Claim(ctx, appA, 1+rand.IntN(15), time.Minute)
	if err != nil {
		return err
	}
	for _, r := range got {
		if err := f.begin(r); err != nil {
			return err
		}
	}
	for _, r := range got {
		done, final := push.Settlement{Held: heldOf(r)}, true
		if r.Attempts == 0 && rand.IntN(4) == 0 {
			done.Due, done.Attempts, final = r.Due, 1, false
		}
		f.end(r, final) // before the store is told, as another worker may have the device a moment later
		ok, err := s.Settle(ctx, []push.Settlement{done})
		if err != nil {
			return err
		}
		if !ok[0] {
			return fmt.Errorf("row %d was fenced off though its lease was fresh", r.ID)
		}
		if final {
			left.Add(-1)
		}
	}
	return nil
}

func raceDuplicates(t *testing.T, h *Harness) {
	const callers, distinct = 8, 50
	nodes := h.nodes(t)
	var stored atomic.Int64
	g, ctx := errgroup.WithContext(ctxOf(t))
	for c := range callers {
		rows := make([]push.Queued, distinct)
		for i, n := range rand.Perm(distinct) { // another order each: lock orders must not matter
			rows[i] = h.row(n)
			rows[i].UnderWay = c%2 == 0
		}
		s := nodes[c%len(nodes)]
		g.Go(func() error {
			out, err := s.Enqueue(ctx, rows, lease)
			for _, o := range out {
				if o.State == push.EnqueueStored {
					stored.Add(1)
				}
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	require.EqualValues(t, distinct, stored.Load())
	require.Len(t, waiting(t, h.Store), distinct)
	require.Equal(t, distinct, backlog(t, h.Store).Rows)
	h.Advance(t, lease+time.Second)
	require.Len(t, claim(t, h.Store, 2*distinct), distinct)
}

func raceBadges(t *testing.T, h *Harness) {
	const callers, each, devices = 6, 20, 3
	nodes := h.nodes(t)
	var stored, replaced atomic.Int64
	g, ctx := errgroup.WithContext(ctxOf(t))
	for c := range callers {
		s := nodes[c%len(nodes)]
		g.Go(func() error {
			for i := range each {
				var rows []push.Queued
				for _, n := range rand.Perm(devices) {
					rows = append(rows, h.badge(n, i))
				}
				out, err := s.Enqueue(ctx, rows, 0)
				if err != nil {
					return err
				}
				for _, o := range out {
					if o.State == push.EnqueueReplaced {
						replaced.Add(1)
					} else {
						stored.Add(1)
					}
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	left := waiting(t, h.Store)
	require.EqualValues(t, len(left), stored.Load(), "what was stored and not replaced is there")
	require.EqualValues(t, callers*each*devices, stored.Load()+replaced.Load())
	newest := map[push.Hash]int64{}
	for id, r := range left {
		newest[r.Device] = max(newest[r.Device], id)
	}
	got := claim(t, h.Store, 100)
	require.Len(t, got, devices)
	for _, r := range got {
		require.Equal(t, newest[r.Device], r.ID)
	}
	end(t, h.Store, got...)
	require.Empty(t, claim(t, h.Store, 100))
}

// A follower that reads by sequence number must never pass over a change that is committed later.
func raceFollowers(t *testing.T, h *Harness) {
	const writers, each = 6, 40
	nodes := h.nodes(t)
	stop := make(chan struct{})
	var seen sync.Map
	follow, fctx := errgroup.WithContext(ctxOf(t))
	for _, s := range nodes {
		follow.Go(func() error {
			after := int64(0)
			mine := map[push.Hash]bool{}
			for last := false; ; {
				page, err := s.Changes(fctx, after, 7)
				if err != nil {
					return err
				}
				for _, d := range page {
					mine[d.Device], after = true, d.Seq
				}
				if len(page) == 0 && last {
					seen.Store(s, mine)
					return nil
				}
				select {
				case <-stop:
					last = true
				default:
				}
			}
		})
	}
	write, wctx := errgroup.WithContext(ctxOf(t))
	for w := range writers {
		s := nodes[w%len(nodes)]
		write.Go(func() error {
			for i := range each {
				if err := s.Record(wctx, []push.DeadKey{h.dead(w*1000+i, time.Hour), h.dead(w*1000+500+i, time.Hour)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, write.Wait())
	close(stop)
	require.NoError(t, follow.Wait())
	for _, s := range nodes {
		mine, ok := seen.Load(s)
		require.True(t, ok)
		require.Len(t, mine, writers*each*2)
	}
}

func raceOpen(t *testing.T, h *Harness) {
	if h.Together == nil {
		t.Skip("one process has the file alone")
	}
	stores := h.Together(t, 4)
	want := stores[0].Hash("device", "x")
	for _, s := range stores {
		require.NoError(t, s.Ping(ctxOf(t)))
		require.Equal(t, want, s.Hash("device", "x"), "one look-up key, whoever was first")
	}
}
