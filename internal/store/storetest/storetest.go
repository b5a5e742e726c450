package storetest

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store"
	"github.com/pushgate/pushgate/internal/store/keyring"
)

// Harness is one fresh database and what a test may do to it. The cleanup is the implementation's.
type Harness struct {
	// Store is open and empty.
	Store store.Store
	// Now is the clock that the store compares times with, Advance moves it forward.
	Now     func() time.Time
	Advance func(t *testing.T, d time.Duration)
	// Restart closes Store and opens the database again.
	Restart func(t *testing.T) store.Store
	// Crash goes on with what a killed process left behind. Store must not be used any more.
	Crash func(t *testing.T) store.Store
	// KeyFile is the key that Store was opened with.
	KeyFile string
	// Log is what the stores have logged.
	Log *Log
	// Reopen closes Store and opens the database with other keys.
	Reopen func(t *testing.T, keys keyring.Files) (store.Store, error)
	// Peer opens the database a second time beside Store; nil where one process has it alone.
	Peer func(t *testing.T) store.Store
	// Together opens a new empty database from n nodes at the same moment; nil as Peer.
	Together func(t *testing.T, n int) []store.Store
	// Raw returns the bytes of everything at rest.
	Raw func(t *testing.T) []byte
	// Deadlocks ends all work on Store and its peers and returns how many transactions the database gave up because they
	// waited for each other; nil where none wait.
	Deadlocks func(t *testing.T) int
	// Damage changes one byte of every stored payload.
	Damage func(t *testing.T)
}

type testCase struct {
	name string
	run  func(t *testing.T, h *Harness)
}

// Run runs the suite, each case with a harness of its own.
func Run(t *testing.T, open func(t *testing.T) *Harness) {
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"enqueue", enqueueCases()},
		{"claim", claimCases()},
		{"lease", leaseCases()},
		{"settle", settleCases()},
		{"badge", badgeCases()},
		{"sweep", sweepCases()},
		{"backlog", backlogCases()},
		{"ledger", ledgerCases()},
		{"admin", adminCases()},
		{"key", keyCases()},
		{"race", raceCases()},
		{"model", modelCases()},
		{"books", booksCases()},
	} {
		for _, c := range group.cases {
			t.Run(group.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, open(t))
			})
		}
	}
}

const (
	appA  = push.AppID("com.example.a")
	appB  = push.AppID("com.example.b.*")
	lease = 30 * time.Second
	life  = 24 * time.Hour

	// endless is longer than any claim takes: one that never ends must fail its test, not hang all of them.
	endless = 2 * time.Minute
)

// hashOf makes a hash that is easy to recognise.
func hashOf(n int) push.Hash {
	var h push.Hash
	h[0] = 0xd0
	binary.BigEndian.PutUint64(h[8:], uint64(n))
	return h
}

// row is a waiting row of appA for device n, due now.
func (h *Harness) row(n int) push.Queued {
	now := h.Now().Round(time.Microsecond)
	return push.Queued{
		AppID: appA, Device: hashOf(n), Dedup: hashOf(1_000_000 + n), Payload: []byte{'p', byte(n)},
		Accepted: now, Due: now, Deadline: now.Add(life),
	}
}

// another is a second row for the device of row(n).
func (h *Harness) another(n, copy int) push.Queued {
	r := h.row(n)
	r.Dedup = hashOf(1_000_000*(copy+1) + n)
	r.Payload = []byte{'p', byte(n), byte(copy)}
	return r
}

// badge is a badge-only update for device n.
func (h *Harness) badge(n, count int) push.Queued {
	r := h.row(n)
	r.Dedup, r.BadgeOnly, r.HasCounts = push.Hash{}, true, true
	r.Payload = []byte{'b', byte(count)}
	return r
}

func (h *Harness) rows(numbers ...int) []push.Queued {
	out := make([]push.Queued, len(numbers))
	for i, n := range numbers {
		out[i] = h.row(n)
	}
	return out
}

func enqueue(t *testing.T, s store.Store, rows ...push.Queued) []push.Enqueued {
	t.Helper()
	out, err := s.Enqueue(ctxOf(t), rows, lease)
	require.NoError(t, err)
	require.Len(t, out, len(rows))
	return out
}

func claim(t *testing.T, s store.Store, limit int) []push.Queued {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctxOf(t), endless)
	defer cancel()
	rows, err := s.Claim(ctx, appA, limit, lease)
	require.NoError(t, err)
	for _, r := range rows {
		require.NotZero(t, r.Lease, "a claimed row names its lease")
	}
	return rows
}

// claimOne claims and requires exactly one row.
func claimOne(t *testing.T, s store.Store) push.Queued {
	t.Helper()
	rows := claim(t, s, 10)
	require.Len(t, rows, 1)
	return rows[0]
}

func settle(t *testing.T, s store.Store, done ...push.Settlement) []bool {
	t.Helper()
	ok, err := s.Settle(ctxOf(t), done)
	require.NoError(t, err)
	require.Len(t, ok, len(done))
	return ok
}

// end settles rows finally and requires that all verdicts counted.
func end(t *testing.T, s store.Store, rows ...push.Queued) {
	t.Helper()
	var done []push.Settlement
	for _, r := range rows {
		done = append(done, push.Settlement{Held: heldOf(r)})
	}
	require.NotContains(t, settle(t, s, done...), false)
}

func heldOf(r push.Queued) push.Held { return push.Held{ID: r.ID, Lease: r.Lease} }

// retryAt moves a held row.
func retryAt(r push.Queued, due time.Time) push.Settlement {
	return push.Settlement{Held: heldOf(r), Due: due, Attempts: r.Attempts + 1, StaleDead: r.StaleDead}
}

// devicesOf returns the device numbers of rows, in their order.
func devicesOf(rows []push.Queued) []int {
	out := make([]int, len(rows))
	for i, r := range rows {
		out[i] = int(binary.BigEndian.Uint64(r.Device[8:]))
	}
	return out
}

// waiting returns what Waiting streams, by ID.
func waiting(t *testing.T, s store.Store) map[int64]push.Queued {
	t.Helper()
	out := map[int64]push.Queued{}
	require.NoError(t, s.Waiting(ctxOf(t), func(r push.Queued) { out[r.ID] = r }))
	return out
}

// backlog returns the backlog of appA, the zero Backlog when it has none.
func backlog(t *testing.T, s store.Store) push.Backlog {
	t.Helper()
	all, err := s.Backlog(ctxOf(t))
	require.NoError(t, err)
	for _, b := range all {
		if b.AppID == appA {
			return b
		}
	}
	return push.Backlog{}
}

func ctxOf(t *testing.T) context.Context { return t.Context() }

// closeTo compares a time that went through the database's clock.
func closeTo(t *testing.T, want, got time.Time, what string) {
	t.Helper()
	require.WithinDuration(t, want, got, 5*time.Second, what)
}
