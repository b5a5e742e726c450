package apns

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeConn is a connection with a stream limit. A stream is taken by Reserve and freed by end.
type fakeConn struct {
	clientConn // an unexpected call panics

	mu     sync.Mutex
	limit  int
	busy   int
	err    error
	goaway bool
	closed bool
	hook   func(*http.ClientConn)
}

func (f *fakeConn) Reserve() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || f.goaway || f.busy >= f.limit {
		return errors.New("unavailable")
	}
	f.busy++
	return nil
}

func (f *fakeConn) Available() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || f.goaway {
		return 0
	}
	return max(0, f.limit-f.busy)
}

func (f *fakeConn) InFlight() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.busy
}

func (f *fakeConn) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *fakeConn) SetStateHook(hook func(*http.ClientConn)) { f.hook = hook }
func (f *fakeConn) Release()                                 { f.change(func() { f.busy-- }) }

func (f *fakeConn) Close() error {
	f.change(func() { f.closed, f.err = true, errors.New("closed") })
	return nil
}

// change changes the connection's state and calls the hook, as net/http does.
func (f *fakeConn) change(edit func()) {
	f.mu.Lock()
	edit()
	hook := f.hook
	f.mu.Unlock()
	if hook != nil {
		hook(nil)
	}
}

// network makes fake connections and remembers them.
type network struct {
	mu    sync.Mutex
	limit int
	delay time.Duration
	err   error
	conns []*fakeConn
	dials int
}

func (n *network) dial(ctx context.Context) (clientConn, error) {
	n.mu.Lock()
	delay := n.delay
	n.dials++
	n.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return nil, n.err
	}
	c := &fakeConn{limit: n.limit}
	n.conns = append(n.conns, c)
	return c, nil
}

// conn returns the i-th connection.
func (n *network) conn(i int) *fakeConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conns[i]
}

// fail makes dials fail with err, or work again.
func (n *network) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

func (n *network) count() (dials, open int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		if c.Err() == nil {
			open++
		}
	}
	return n.dials, open
}

// bubble runs a test of a pool on fake time and requires that nothing stays behind.
func bubble(t *testing.T, n *network, capacity int, single bool, test func(t *testing.T, p *pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(n.dial, capacity, single, slog.New(slog.DiscardHandler))
		test(t, p)
		p.close()
		time.Sleep(time.Minute)
		for _, c := range n.conns {
			require.Error(t, c.Err(), "a connection outlives its pool")
		}
	})
}

// request is one request that takes a stream for so long.
func request(ctx context.Context, p *pool, took time.Duration, how ending) error {
	c, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
	}
	f, _ := c.cc.(*fakeConn)
	f.change(func() { f.busy-- })
	p.release(c, how)
	return nil
}

// setLimit makes the pool believe in a stream limit.
func (p *pool) setLimit(limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
}

// expect is require.ErrorIs for goroutines that are not the test's own.
func expect(t *testing.T, want, got error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

func TestPool_ColdStartSharesOneConnection(t *testing.T) {
	t.Parallel()
	for name, single := range map[string]bool{"certificate": false, "token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := &network{limit: 1000, delay: 50 * time.Millisecond}
			bubble(t, n, 1000, single, func(t *testing.T, p *pool) {
				start := time.Now()
				var wg sync.WaitGroup
				for range 1000 {
					wg.Go(func() { expect(t, nil, request(t.Context(), p, 100*time.Millisecond, endWorked)) })
				}
				wg.Wait()
				dials, _ := n.count()
				require.Equal(t, 1, dials)
				want := 150 * time.Millisecond
				if single { // the first goes alone
					want += 100 * time.Millisecond
				}
				require.Equal(t, want, time.Since(start))
			})
		})
	}
}

func TestPool_GrowsToTheCapacityAndNoFurther(t *testing.T) {
	t.Parallel()
	n := &network{limit: 100, delay: 50 * time.Millisecond}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		for range 20 {
			var wg sync.WaitGroup
			for range 1000 {
				wg.Go(func() { expect(t, nil, request(t.Context(), p, 100*time.Millisecond, endWorked)) })
			}
			wg.Wait()
		}
		dials, open := n.count()
		require.Equal(t, 10, dials, "1000 requests at 100 streams each")
		require.Equal(t, 10, open)
		start := time.Now()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { expect(t, nil, request(t.Context(), p, 100*time.Millisecond, endWorked)) })
		}
		wg.Wait()
		require.Equal(t, 100*time.Millisecond, time.Since(start), "nobody waits any more")
	})
}

func TestPool_OneStreamForeverIsNoStorm(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1, delay: 50 * time.Millisecond}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { expect(t, nil, request(t.Context(), p, 100*time.Millisecond, endWorked)) })
		}
		wg.Wait()
		dials, _ := n.count()
		require.LessOrEqual(t, dials, maxConns)
	})
}

// TestPool_LimitRisesWithTheFirstToken: Apple allows one stream until it has seen a valid token.
func TestPool_LimitRisesWithTheFirstToken(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1, delay: 50 * time.Millisecond}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() { expect(t, nil, request(t.Context(), p, 100*time.Millisecond, endWorked)) })
		}
		time.Sleep(200 * time.Millisecond)
		first := n.conn(0)
		first.change(func() { first.limit = 1000 })
		wg.Wait()
		dials, _ := n.count()
		require.Equal(t, 1, dials)
	})
}

func TestPool_RefusedDialsBackOff(t *testing.T) {
	t.Parallel()
	refused := errors.New("connection refused")
	n := &network{limit: 1000, delay: time.Millisecond, err: refused}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		for range 60_000 { // a request every millisecond for a minute
			require.ErrorIs(t, request(t.Context(), p, 0, endWorked), refused)
			time.Sleep(time.Millisecond)
		}
		dials, _ := n.count()
		require.Less(t, dials, 30, "a minute of outage is no storm")

		n.fail(nil)
		time.Sleep(maxBackoff)
		require.NoError(t, request(t.Context(), p, 0, endWorked), "and it recovers within the longest pause")
	})
}

func TestPool_ConnectionsThatNeverWorkBackOff(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1000}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		for range 10_000 { // every new connection says Shutdown, or ExpiredProviderToken
			_ = request(t.Context(), p, time.Millisecond, endRefused)
			time.Sleep(time.Millisecond)
		}
		dials, open := n.count()
		require.Less(t, dials, 20)
		require.LessOrEqual(t, open, 1)
	})
}

func TestPool_WaitersShareTheErrorOfADial(t *testing.T) {
	t.Parallel()
	noRoute := errors.New("no route")
	n := &network{limit: 1000, delay: time.Second, err: noRoute}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { expect(t, noRoute, request(t.Context(), p, 0, endWorked)) })
		}
		wg.Wait()
		dials, _ := n.count()
		require.Equal(t, 1, dials)
	})
}

func TestPool_CallerLeavesTheDialGoesOn(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1000, delay: time.Second}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, request(ctx, p, 0, endWorked), context.DeadlineExceeded)
		require.Equal(t, 100*time.Millisecond, time.Since(start), "a dial must not hold a caller past its deadline")
		require.NoError(t, request(t.Context(), p, 0, endWorked))
		dials, _ := n.count()
		require.Equal(t, 1, dials)
	})
}

// TestPool_AbandonedStreamIsGivenBack: the caller's deadline and a stream arrive together.
func TestPool_AbandonedStreamIsGivenBack(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1}
	bubble(t, n, 1, true, func(t *testing.T, p *pool) {
		require.NoError(t, request(t.Context(), p, 0, endWorked))
		w := &waiter{ready: make(chan struct{})}
		p.mu.Lock()
		p.waiting = append(p.waiting, w)
		p.queued.Add(1)
		p.dispatchLocked()
		p.mu.Unlock()
		require.NotNil(t, w.conn)
		p.abandon(w)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, request(ctx, p, 0, endWorked), "the only stream must not be lost")
		require.Zero(t, p.queued.Load())
	})
}

func TestPool_GoAwayMovesToANewConnection(t *testing.T) {
	t.Parallel()
	n := &network{limit: 10, delay: 50 * time.Millisecond}
	bubble(t, n, 10, true, func(t *testing.T, p *pool) {
		require.NoError(t, request(t.Context(), p, 0, endWorked))
		time.Sleep(time.Minute)
		var wg sync.WaitGroup
		for range 5 { // still under way when the server says goodbye
			wg.Go(func() { expect(t, nil, request(t.Context(), p, time.Second, endWorked)) })
		}
		time.Sleep(time.Millisecond)
		first := n.conn(0)
		first.change(func() { first.goaway = true })
		start := time.Now()
		require.NoError(t, request(t.Context(), p, 0, endWorked))
		require.Equal(t, 50*time.Millisecond, time.Since(start))
		require.NoError(t, n.conn(0).Err(), "what is under way may finish")
		wg.Wait()
		time.Sleep(time.Millisecond)
		require.Error(t, n.conn(0).Err())
	})
}

func TestPool_LostConnectionIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	n := &network{limit: 10, delay: 50 * time.Millisecond}
	bubble(t, n, 10, true, func(t *testing.T, p *pool) {
		for i := range 10 {
			start := time.Now()
			require.NoError(t, request(t.Context(), p, 0, endWorked))
			require.Equal(t, 50*time.Millisecond, time.Since(start), "loss %d", i)
			first := n.conn(i)
			first.change(func() { first.err = errors.New("reset") })
		}
	})
}

func TestPool_SilenceReplacesTheConnection(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1000, delay: 50 * time.Millisecond}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		require.NoError(t, request(t.Context(), p, 0, endWorked))
		for range maxSilent - 1 {
			require.NoError(t, request(t.Context(), p, 0, endSilent))
		}
		require.NoError(t, request(t.Context(), p, 0, endWorked), "an answer clears the suspicion")
		for range maxSilent {
			require.NoError(t, request(t.Context(), p, 0, endSilent))
		}
		require.NoError(t, request(t.Context(), p, 0, endNeutral), "in use until the new one is there")
		time.Sleep(time.Second)
		dials, open := n.count()
		require.Equal(t, 2, dials)
		require.Equal(t, 1, open)
	})
}

func TestPool_SlowServiceSeesNoStorm(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1000, delay: 50 * time.Millisecond}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		require.NoError(t, request(t.Context(), p, 0, endWorked))
		for range 6000 { // ten minutes in which nothing is ever answered
			require.NoError(t, request(t.Context(), p, 100*time.Millisecond, endSilent))
		}
		dials, open := n.count()
		require.LessOrEqual(t, dials, 62)
		require.LessOrEqual(t, open, 2)
	})
}

func TestPool_SilentConnectionStaysWhileThereIsNoOther(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1000, delay: 50 * time.Millisecond}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		require.NoError(t, request(t.Context(), p, 0, endWorked))
		n.fail(errors.New("no route"))
		for range 10 * maxSilent {
			require.NoError(t, request(t.Context(), p, time.Second, endSilent))
		}
		require.NoError(t, request(t.Context(), p, 0, endWorked))
	})
}

// TestPool_FirstRequestHangs: the one request that goes first is never answered; others must not wait for its deadline.
func TestPool_FirstRequestHangs(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1000, delay: 50 * time.Millisecond}
	bubble(t, n, 1000, true, func(t *testing.T, p *pool) {
		var wg sync.WaitGroup
		wg.Go(func() { _ = request(t.Context(), p, 15*time.Second, endSilent) })
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		require.NoError(t, request(t.Context(), p, 0, endWorked))
		require.Less(t, time.Since(start), coldPatience)
		wg.Wait()
	})
}

func TestPool_FullIsNotGone(t *testing.T) {
	t.Parallel()
	n := &network{limit: 4, delay: 50 * time.Millisecond}
	bubble(t, n, 4, false, func(t *testing.T, p *pool) {
		require.NoError(t, request(t.Context(), p, 0, endWorked))
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { expect(t, nil, request(t.Context(), p, time.Millisecond, endWorked)) })
		}
		wg.Wait()
		dials, _ := n.count()
		require.LessOrEqual(t, dials, 2, "capacity 4 at 4 streams, and one to spare")
	})
}

func TestPool_WaitersAreServedInOrder(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1, delay: 50 * time.Millisecond}
	bubble(t, n, 1, true, func(t *testing.T, p *pool) {
		p.setLimit(1000) // no second connection
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			order []int
		)
		for i := range 20 {
			wg.Go(func() {
				expect(t, nil, request(t.Context(), p, time.Millisecond, endWorked))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
			synctest.Wait()
		}
		wg.Wait()
		require.IsIncreasing(t, order)
	})
}

func TestPool_Close(t *testing.T) {
	t.Parallel()
	n := &network{limit: 1, delay: 50 * time.Millisecond}
	bubble(t, n, 1, true, func(t *testing.T, p *pool) {
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, nil, request(t.Context(), p, 5*time.Second, endWorked)) })
		time.Sleep(100 * time.Millisecond)
		p.setLimit(1000)
		wg.Go(func() { expect(t, errClosed, request(t.Context(), p, 0, endWorked)) })
		time.Sleep(100 * time.Millisecond)
		p.close()
		p.close()
		require.ErrorIs(t, request(t.Context(), p, 0, endWorked), errClosed)
		require.NoError(t, n.conn(0).Err(), "the request under way goes on")
		wg.Wait()
	})
	n = &network{limit: 1, delay: time.Hour}
	bubble(t, n, 1, true, func(t *testing.T, p *pool) {
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, errClosed, request(t.Context(), p, 0, endWorked)) })
		time.Sleep(time.Second)
		start := time.Now()
		p.close()
		wg.Wait()
		require.Zero(t, time.Since(start), "a dial does not hold a close")
	})
}
