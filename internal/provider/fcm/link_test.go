package fcm

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestLinks_SilentConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &links{now: time.Now, dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }}
		first := s.acquire()
		for range silentLimit {
			s.heard(first, true)
		}
		require.Same(t, first, s.acquire(), "too young to be given up: a slow provider must not cause a storm")

		time.Sleep(minLinkAge)
		s.heard(first, false)
		for range silentLimit - 1 {
			s.heard(first, true)
		}
		require.Same(t, first, s.acquire(), "an answer in between is a sign of life")
		s.heard(first, true)
		second := s.acquire()
		require.NotSame(t, first, second)
		require.True(t, first.retired)
		require.False(t, second.retired)

		for range 2 * silentLimit {
			s.heard(first, true)
		}
		require.Same(t, second, s.acquire(), "old news")
	})
}

func TestLink_AFailedDialAnswersForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		refused := errors.New("connection refused")
		l := newLink(nil, func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			time.Sleep(10 * time.Millisecond)
			return nil, refused
		}, time.Now)
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				if err := l.open(t.Context(), "fcm.example:443"); !errors.Is(err, refused) {
					t.Error("the dial's own error")
				}
			})
		}
		wg.Wait()
		for range 500 {
			require.ErrorIs(t, l.open(t.Context(), "fcm.example:443"), refused)
		}
		require.EqualValues(t, 1, dials.Load(), "no storm")
		time.Sleep(dialHold)
		require.ErrorIs(t, l.open(t.Context(), "fcm.example:443"), refused)
		require.EqualValues(t, 2, dials.Load())
	})
}

func TestLink_ADialOutlivesTheRequestThatAskedForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		end := errors.New("end of the test")
		l := newLink(nil, func(ctx context.Context, _, _ string) (net.Conn, error) {
			dials.Add(1)
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(5 * time.Second):
				return nil, end
			}
		}, time.Now)
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, l.open(hasty, "fcm.example:443"), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, l.open(t.Context(), "fcm.example:443"), end)
		require.EqualValues(t, 1, dials.Load())
	})
}

// trackedConn tells when it is closed.
type trackedConn struct {
	net.Conn
	closed func()
}

func (c trackedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

func TestLink_AConnectionThatComesTooLateIsClosed(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	dialling, goOn, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	roots, err := f.config(t).authorities()
	require.NoError(t, err)
	s := &links{roots: roots, now: time.Now, dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		close(dialling)
		<-goOn
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return trackedConn{conn, sync.OnceFunc(func() { close(closed) })}, err
	}}
	ctx, cancel := context.WithCancel(t.Context())
	l := s.acquire()
	go func() {
		<-dialling
		cancel()
	}()
	require.ErrorIs(t, l.open(ctx, f.server.Listener.Addr().String()), context.Canceled)
	l.release()
	s.close()
	close(goOn)
	<-closed
}

func TestLink_AColdThousandKnowsTheStreamLimitFirst(t *testing.T) {
	t.Parallel()
	f := newFake(t, 1000)
	c := f.client(t, nil)
	arrived, goOn := make(chan struct{}, 1000), make(chan struct{})
	replies := make([]reply, 1000)
	for i := range replies {
		replies[i].before = func() { arrived <- struct{}{}; <-goOn }
	}
	f.script("token", replies...)
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if out, err := c.Send(t.Context(), message("token"), push.Hash{}); err != nil || out.Verdict != push.Delivered {
				t.Errorf("not delivered: %s %v", out.Reason, err)
			}
		})
	}
	for range 900 {
		<-arrived
	}
	f.mu.Lock()
	opened := f.opened
	f.mu.Unlock()
	close(goOn)
	wg.Wait()
	require.LessOrEqual(t, opened, 1+2, "the token's connection, one for a thousand streams, one to spare")
}
