package sqlite

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store/storetest"
)

func open(t testing.TB) (*Store, *storetest.Clock) {
	t.Helper()
	clock := storetest.NewClock()
	s, err := Open(context.Background(), Options{DataDir: t.TempDir(), Now: clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, clock
}

// pile lets calls pile up behind one that holds the writer, and runs them as one group.
func pile(t *testing.T, w *writer, calls ...func(t *tx) error) []error {
	t.Helper()
	holding, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- w.do(context.Background(), func(*tx) error { close(holding); <-release; return nil }, nil)
	}()
	<-holding
	results := make([]chan error, len(calls))
	for i, call := range calls {
		results[i] = make(chan error, 1)
		go func() { results[i] <- w.do(context.Background(), call, nil) }()
		require.Eventually(t, func() bool { return len(w.ops) == i+1 }, time.Minute, time.Millisecond)
	}
	close(release)
	require.NoError(t, <-first)
	errs := make([]error, len(calls))
	for i := range calls {
		errs[i] = <-results[i]
	}
	return errs
}

func note(name string) func(t *tx) error {
	return func(t *tx) error { return meta{t}.Put(t.ctx, name, []byte("x")) }
}

func noted(t *testing.T, s *Store, name string) bool {
	t.Helper()
	var ok bool
	require.NoError(t, s.write.do(context.Background(), func(tx *tx) (err error) {
		_, ok, err = meta{tx}.Get(tx.ctx, name)
		return err
	}, nil))
	return ok
}

func TestWriter_CallsThatWaitShareACommit(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	var seen []*tx
	same := func(t *tx) error { seen = append(seen, t); return nil }
	for _, err := range pile(t, s.write, same, same, same, same) {
		require.NoError(t, err)
	}
	require.Len(t, seen, 4)
	for _, other := range seen {
		require.Same(t, seen[0], other)
	}
}

func TestWriter_AFailingCallTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	boom := errors.New("boom")
	errs := pile(t, s.write, note("before"), func(t *tx) error {
		if err := note("inside")(t); err != nil {
			return err
		}
		return boom
	}, note("after"))
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], boom)
	require.NoError(t, errs[2])
	require.True(t, noted(t, s, "before"))
	require.False(t, noted(t, s, "inside"), "what it did is undone")
	require.True(t, noted(t, s, "after"))
}

func TestWriter_ACallerWhoLeftIsNotServed(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	holding, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.write.do(context.Background(), func(*tx) error { close(holding); <-release; return nil }, nil)
	}()
	<-holding
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.write.do(ctx, note("late"), nil) }()
	require.Eventually(t, func() bool { return len(s.write.ops) == 1 }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled, "the caller does not wait for the database")
	close(release)
	require.False(t, noted(t, s, "late"))
}

func TestWriter_WhoHasGivenUpBeforeIsNotServed(t *testing.T) {
	t.Parallel()
	idle := &writer{ops: make(chan *operation, maxGroup), leave: make(chan struct{}), gone: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range maxGroup {
		require.ErrorIs(t, idle.do(ctx, note("never"), nil), context.Canceled)
	}
	require.Empty(t, idle.ops, "a loop would carry some of them out")
}

// A caller who is told that a call failed repeats it, and nobody looks for what it did all the same.
func TestWriter_ACallThatHasBegunIsWaitedFor(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	holding, release := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.write.do(ctx, func(tx *tx) error {
			close(holding)
			<-release
			return note("begun")(tx)
		}, nil)
	}()
	<-holding
	cancel()
	asked, giveUp := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer giveUp()
	require.ErrorIs(t, s.Ping(asked), context.DeadlineExceeded, "a question is not")
	select {
	case err := <-done:
		require.FailNow(t, "answered before the end is known", "%v", err)
	default:
	}
	close(release)
	require.NoError(t, <-done)
	require.True(t, noted(t, s, "begun"))
}

func TestWriter_AfterClose(t *testing.T) {
	t.Parallel()
	s, err := Open(context.Background(), Options{DataDir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.write.do(context.Background(), note("x"), nil), errClosed)
	require.Error(t, s.Ping(context.Background()))
	require.NoError(t, s.Close(), "closing twice is fine")
}

// A full disk fails commits, loses nothing that was promised, and needs no restart.
func TestStore_DiskFull(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	ctx := context.Background()
	rows := func(from, n int) []push.Queued {
		out := make([]push.Queued, n)
		for i := range out {
			now := clock.Now()
			out[i] = push.Queued{
				AppID: "app", Device: push.Hash{1, byte(from), byte(i)}, Dedup: push.Hash{2, byte(from), byte(i)}, Payload: make([]byte, 3000),
				Accepted: now, Due: now, Deadline: now.Add(time.Hour),
			}
		}
		return out
	}
	_, err := s.Enqueue(ctx, rows(0, 5), 0)
	require.NoError(t, err)
	held, err := s.Claim(ctx, "app", 2, time.Minute)
	require.NoError(t, err)
	require.Len(t, held, 2)

	full := func(on bool) {
		pages := "PRAGMA max_page_count = 1073741823"
		if on {
			pages = "PRAGMA max_page_count = 1" // no smaller than what is in use: not one page more
		}
		require.NoError(t, s.write.do(ctx, func(t *tx) error { return t.exec(pages) }, nil))
	}
	full(true)
	_, err = s.Enqueue(ctx, rows(1, 50), 0)
	require.ErrorContains(t, err, "full")
	backlog, err := s.Backlog(ctx)
	require.NoError(t, err)
	require.Equal(t, 5, backlog[0].Rows, "all or none, also in the counts")

	// The failed commit cost the writer its connection, and the limit went with it: the disk has room again.
	out, err := s.Enqueue(ctx, rows(1, 50), 0)
	require.NoError(t, err)
	require.Equal(t, push.EnqueueStored, out[0].State)
	ok, err := s.Settle(ctx, []push.Settlement{{Held: push.Held{ID: held[0].ID, Lease: held[0].Lease}}})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, ok)
	require.Equal(t, "ok", integrity(t, s))
}

func integrity(t *testing.T, s *Store) (verdict string) {
	t.Helper()
	require.NoError(t, s.read.QueryRow("PRAGMA integrity_check").Scan(&verdict))
	return verdict
}

// A commit that fails leaves rows in flight with their holder, and rows that wait where they were.
func TestStore_FailedCommitChangesNothing(t *testing.T) {
	t.Parallel()
	s, clock := open(t)
	ctx := context.Background()
	now := clock.Now()
	row := func(n byte, badge bool) push.Queued {
		r := push.Queued{AppID: "app", Device: push.Hash{n}, Dedup: push.Hash{9, n}, BadgeOnly: badge, Accepted: now, Due: now, Deadline: now.Add(time.Hour)}
		if badge {
			r.Dedup = push.Hash{}
		}
		return r
	}
	_, err := s.Enqueue(ctx, []push.Queued{row(1, false), row(2, true)}, 0)
	require.NoError(t, err)
	held, err := s.Claim(ctx, "app", 1, time.Minute)
	require.NoError(t, err)

	boom := errors.New("boom")
	refuse := func(run func(t *tx) error, done func(bool)) {
		t.Helper()
		err := s.write.do(ctx, func(t *tx) error { return errors.Join(run(t), boom) }, done)
		require.ErrorIs(t, err, boom)
	}
	settlement := &settle{store: s, rows: []push.Settlement{{Held: push.Held{ID: held[0].ID, Lease: held[0].Lease}}}, gone: make([]bool, 1)}
	refuse(settlement.run, settlement.done)
	replacing := &enqueue{store: s, rows: []push.Queued{row(2, true), row(3, false)}, sealed: make([][]byte, 2), until: s.clock.now() + 1e9}
	replacing.sealed[0], replacing.sealed[1], replacing.rows[1].UnderWay = []byte("x"), []byte("x"), true
	refuse(replacing.run, replacing.done)

	require.Len(t, s.schedule.leases, 1, "only the claimed row is in flight")
	waiting, err := s.Claim(ctx, "app", 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.True(t, waiting[0].BadgeOnly, "the badge that was to be replaced waits as before")
	ok, err := s.Settle(ctx, []push.Settlement{{Held: push.Held{ID: held[0].ID, Lease: held[0].Lease}}})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, ok, "its holder can still settle it")
}
