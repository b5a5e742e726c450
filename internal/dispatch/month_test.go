package dispatch_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/pusher"
)

// The clock of a bubble starts at 2000-01-01 00:00 UTC. Months begin in Germany, an hour earlier.
func TestMonth_StepsAtTheBoundaryAndOverNewYear(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		p := r.register(alice(), "one", urlA)
		months := map[string]bool{}
		const rounds = 40
		for i := range rounds {
			r.submit(alice(), fmt.Sprint(i))
			settleDown()
			r.stop() // the keys survive a restart, too
			time.Sleep(10 * 24 * time.Hour)
			r.store.Reopen()
			r.boot()
		}
		got := r.gateway.taken()
		require.Len(t, opened(t, p, got), rounds)
		for _, s := range got {
			require.Equal(t, s.at.In(berlin()).Format("2006-01"), s.n.Sealed.Month)
			months[s.n.Sealed.Month] = true
		}
		require.Len(t, months, 13)
	})
}

func TestMonth_BeginsInGermany(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		p := r.register(alice(), "one", urlA)
		r.stop()
		time.Sleep(31*24*time.Hour - time.Hour - time.Minute)
		r.boot()
		r.submit(alice(), "before")
		time.Sleep(2 * time.Minute) // 2000-01-31 23:01 UTC
		r.submit(alice(), "after")
		settleDown()
		got := r.gateway.taken()
		require.Equal(t, []string{"2000-01", "2000-02"}, []string{got[0].n.Sealed.Month, got[1].n.Sealed.Month})
		require.Len(t, opened(t, p, got), 2)
	})
}

// The app's clock may be ahead of ours: a sender never goes backwards and uses the newest generation it has.
func TestMonth_NeverBackwards(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		p := r.registerAt(alice(), "one", urlA, "2000-02")
		old := r.registerAt(bob(), "one", urlA, "1999-06")
		r.submit(alice(), "x")
		settleDown()
		require.Equal(t, "2000-02", r.gateway.taken()[0].n.Sealed.Month)
		require.Len(t, opened(t, p, r.gateway.taken()), 1)
		r.submit(bob(), "x")
		settleDown()
		require.Equal(t, "2000-01", r.gateway.taken()[1].n.Sealed.Month)
		require.Len(t, opened(t, old, r.gateway.taken()[1:]), 1)
	})
}

// stepWatch proves that a step is durable before anything is sent with its key.
type stepWatch struct {
	dispatch.Store
	mu    sync.Mutex
	fail  error
	steps int
	lose  bool // another process was first
}

func (s *stepWatch) StepKeys(ctx context.Context, steps []dispatch.KeyStep) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps += len(steps)
	if s.fail != nil {
		return nil, s.fail
	}
	done, err := s.Store.StepKeys(ctx, steps)
	if s.lose {
		s.lose = false
		clear(done)
	}
	return done, err
}

func (s *stepWatch) set(fail error, lose bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.lose = fail, lose
}

func (s *stepWatch) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steps
}

func TestMonth_StepIsCommittedFirst(t *testing.T) {
	var watch *stepWatch
	inBubble(t, func(o *dispatch.Options) {
		watch = &stepWatch{Store: o.Store}
		o.Store = watch
	}, func(t *testing.T, r *rig) {
		p := r.registerAt(alice(), "one", urlA, "1999-11")
		watch.set(context.DeadlineExceeded, false)
		r.submit(alice(), "x")
		time.Sleep(time.Minute)
		require.Empty(t, r.gateway.attempts(), "nothing is sealed with a key that may be lost")
		watch.set(nil, true)
		time.Sleep(time.Minute)
		require.Len(t, opened(t, p, r.gateway.taken()), 1)
		require.Equal(t, "2000-01", r.store.Encryption(pusher.Key{Owner: alice(), AppID: "app", Pushkey: "one"}).Generation.Month().String())
		before := watch.count()
		r.submit(alice(), "y")
		settleDown()
		require.Equal(t, before, watch.count(), "one step a month")
	})
}
