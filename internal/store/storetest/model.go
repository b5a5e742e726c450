package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// seeds of the model test. A failure names its seed.
const seeds = 6

func modelCases() []testCase {
	var cases []testCase
	for seed := range uint64(seeds) {
		cases = append(cases, testCase{fmt.Sprintf("seed %d", seed), func(t *testing.T, h *Harness) { runModel(t, h, seed) }})
	}
	return cases
}

// model is the queue in its simplest form, to compare the store with.
type model struct {
	h     *Harness
	rand  *rand.Rand
	rows  map[int64]*modelRow
	stale []push.Held // leases that must not work any more
	step  int
}

type modelRow struct {
	push.Queued
	until time.Time // of the lease; zero when it waits
}

func (r *modelRow) held() bool { return !r.until.IsZero() }

func runModel(t *testing.T, h *Harness, seed uint64) {
	m := &model{h: h, rand: rand.New(rand.NewPCG(seed, 7)), rows: map[int64]*modelRow{}}
	steps := []func(t *testing.T){m.enqueue, m.enqueue, m.claim, m.claim, m.claim, m.settle, m.settle, m.settle, m.release, m.advance, m.expire, m.stales, m.wake, m.restart}
	for m.step = range 250 {
		steps[m.rand.IntN(len(steps))](t)
		m.compare(t)
	}
	m.drain(t)
}

func (m *model) enqueue(t *testing.T) {
	m.lapse()
	var rows []push.Queued
	for range 1 + m.rand.IntN(6) {
		r := m.h.another(m.rand.IntN(12), m.rand.IntN(8))
		if m.rand.IntN(5) == 0 {
			r.AppID = appB
			r.Device[1], r.Dedup[1] = 1, 1
		}
		r.UnderWay = m.rand.IntN(5) == 0
		r.Due = r.Due.Add(time.Duration(m.rand.IntN(40)-20) * time.Second)
		r.Deadline = r.Accepted.Add(time.Duration(1+m.rand.IntN(20)) * time.Minute)
		rows = append(rows, r)
	}
	for i, out := range enqueue(t, m.h.Store, rows...) {
		r := rows[i]
		if m.waits(r) {
			require.Equal(t, push.EnqueueDuplicate, out.State, "step %d", m.step)
			continue
		}
		require.Equal(t, push.EnqueueStored, out.State, "step %d", m.step)
		row := &modelRow{Queued: r}
		row.ID, row.Lease = out.ID, out.Lease
		if r.UnderWay {
			require.NotZero(t, out.Lease)
			row.until = m.h.Now().Add(lease)
		}
		m.rows[out.ID] = row
	}
}

// waits reports whether a duplicate of r keeps it out.
func (m *model) waits(r push.Queued) bool {
	for _, other := range m.rows {
		if other.Dedup == r.Dedup && (other.held() || other.Deadline.After(m.h.Now())) {
			return true
		}
	}
	return false
}

// lapse ends the leases that have run out.
func (m *model) lapse() {
	for _, r := range m.rows {
		if r.held() && !r.until.After(m.h.Now()) {
			m.stale = append(m.stale, heldOf(r.Queued))
			r.until = time.Time{}
		}
	}
}

func (m *model) claim(t *testing.T) {
	m.lapse()
	app := []push.AppID{appA, appB}[m.rand.IntN(2)]
	limit := 1 + m.rand.IntN(6)
	want := m.claimable(app)
	got, err := m.h.Store.Claim(ctxOf(t), app, limit, lease)
	require.NoError(t, err)
	require.Len(t, got, min(limit, len(want)), "step %d: %s has %d devices to offer", m.step, app, len(want))
	for _, r := range got {
		known := m.rows[r.ID]
		require.Contains(t, want, r.Device, "step %d: row %d is not to be claimed", m.step, r.ID)
		delete(want, r.Device) // so a second row of the device fails
		require.Equal(t, known.Payload, r.Payload)
		require.Equal(t, known.Attempts, r.Attempts)
		known.Lease, known.until = r.Lease, m.h.Now().Add(lease)
	}
}

// claimable returns the devices of which a row can be claimed.
func (m *model) claimable(app push.AppID) map[push.Hash]bool {
	free := map[push.Hash]bool{}
	for _, r := range m.rows {
		if r.AppID == app && !r.held() && !r.Due.After(m.h.Now()) && r.Deadline.After(m.h.Now()) {
			free[r.Device] = true
		}
	}
	for _, r := range m.rows {
		if r.held() {
			delete(free, r.Device)
		}
	}
	return free
}

// held returns some of the rows in flight whose leases have not run out.
func (m *model) held() []*modelRow {
	m.lapse()
	var rows []*modelRow
	for _, r := range m.rows {
		if r.held() {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *modelRow) int { return int(a.ID - b.ID) })
	m.rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows[:m.rand.IntN(len(rows)+1)]
}

func (m *model) settle(t *testing.T) {
	rows := m.held()
	var done []push.Settlement
	for _, r := range rows {
		m.stale = append(m.stale, heldOf(r.Queued))
		if m.rand.IntN(2) == 0 {
			done = append(done, push.Settlement{Held: heldOf(r.Queued)})
			delete(m.rows, r.ID)
			continue
		}
		due := m.h.Now().Add(time.Duration(m.rand.IntN(30)-10) * time.Second)
		done = append(done, retryAt(r.Queued, due))
		r.Due, r.Attempts, r.until = due, r.Attempts+1, time.Time{}
	}
	require.NotContains(t, settle(t, m.h.Store, done...), false, "step %d", m.step)
}

func (m *model) release(t *testing.T) {
	var held []push.Held
	for _, r := range m.held() {
		held = append(held, heldOf(r.Queued))
		m.stale = append(m.stale, heldOf(r.Queued))
		r.until = time.Time{}
	}
	require.NoError(t, m.h.Store.Release(ctxOf(t), held))
}

func (m *model) advance(t *testing.T) {
	m.h.Advance(t, time.Duration(1+m.rand.IntN(40))*time.Second)
	m.lapse()
}

func (m *model) expire(t *testing.T) {
	m.lapse()
	want := map[push.AppID]int{}
	for id, r := range m.rows {
		if !r.held() && !r.Deadline.After(m.h.Now()) {
			want[r.AppID]++
			delete(m.rows, id)
		}
	}
	got, err := m.h.Store.Expire(ctxOf(t), 1000)
	require.NoError(t, err)
	require.Equal(t, want, got, "step %d", m.step)
}

func (m *model) stales(t *testing.T) {
	if len(m.stale) == 0 {
		return
	}
	h := m.stale[m.rand.IntN(len(m.stale))]
	if r, ok := m.rows[h.ID]; ok && r.Lease == h.Lease && !r.held() {
		return // lapsed, and perhaps nobody has noticed yet: then it still counts
	}
	require.Equal(t, []bool{false}, settle(t, m.h.Store, push.Settlement{Held: h}), "step %d: row %d", m.step, h.ID)
}

func (m *model) wake(t *testing.T) {
	require.NoError(t, m.h.Store.WakeOn(ctxOf(t), appA))
	for _, r := range m.rows {
		if r.AppID == appA && r.Due.After(m.h.Now()) {
			r.Due = m.h.Now()
		}
	}
}

func (m *model) restart(t *testing.T) {
	if m.rand.IntN(4) != 0 {
		return
	}
	m.h.Store = m.h.Restart(t)
	if m.h.Peer != nil {
		return // leases outlive a node
	}
	for _, r := range m.rows {
		if r.held() {
			m.stale = append(m.stale, heldOf(r.Queued))
			r.until = time.Time{}
		}
	}
}

// compare checks the whole state.
func (m *model) compare(t *testing.T) {
	t.Helper()
	left := waiting(t, m.h.Store)
	require.Len(t, left, len(m.rows), "step %d", m.step)
	counts := map[push.AppID]int{}
	for id, r := range m.rows {
		require.Contains(t, left, id, "step %d", m.step)
		counts[r.AppID]++
	}
	all, err := m.h.Store.Backlog(ctxOf(t))
	require.NoError(t, err)
	require.Len(t, all, len(counts))
	for _, b := range all {
		require.Equal(t, counts[b.AppID], b.Rows, "step %d: %s", m.step, b.AppID)
		if len(m.claimable(b.AppID)) > 0 {
			require.False(t, b.Next.IsZero() || b.Next.After(m.h.Now()), "step %d: %s has something to claim and Next says %s", m.step, b.AppID, b.Next)
		}
	}
}

// drain takes everything out: nothing may be left that no claim finds.
func (m *model) drain(t *testing.T) {
	m.h.Advance(t, lease+time.Second)
	for _, app := range []push.AppID{appA, appB} {
		require.NoError(t, m.h.Store.WakeOn(ctxOf(t), app))
		for {
			rows, err := m.h.Store.Claim(ctxOf(t), app, 5, lease)
			require.NoError(t, err)
			if len(rows) == 0 {
				break
			}
			end(t, m.h.Store, rows...)
		}
	}
	_, err := m.h.Store.Expire(ctxOf(t), 1000)
	require.NoError(t, err)
	require.Empty(t, waiting(t, m.h.Store))
}
