package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store"
)

// raceEverything runs all methods against each other: none may fail, hang or lose count. They take locks in one order, so
// that they never wait in a circle either, which the database ends after a second.
func raceEverything(t *testing.T, h *Harness) {
	const rounds = 60
	nodes := h.nodes(t)
	g, ctx := errgroup.WithContext(ctxOf(t))
	jobs := everything(ctx, h)
	for j, job := range jobs {
		for k, s := range nodes {
			g.Go(func() error {
				for i := range rounds {
					if err := job(s, i*2+k); err != nil {
						return fmt.Errorf("job %d on node %d: %w", j, k, err)
					}
				}
				return nil
			})
		}
	}
	require.NoError(t, g.Wait())
	require.Len(t, waiting(t, h.Store), backlog(t, h.Store).Rows, "the counts agree with the table")
	raceNothingIsStuck(t, h)
	if h.Deadlocks != nil {
		require.Zero(t, h.Deadlocks(t))
	}
}

func raceNothingIsStuck(t *testing.T, h *Harness) {
	t.Helper()
	h.Advance(t, lease+time.Second)
	require.NoError(t, h.Store.WakeOn(ctxOf(t), appA))
	for left := len(waiting(t, h.Store)); left > 0; {
		got := claim(t, h.Store, 100)
		if len(got) == 0 {
			_, err := h.Store.Expire(ctxOf(t), 1000)
			require.NoError(t, err)
			require.Empty(t, waiting(t, h.Store), "every row that is left can be claimed or expires")
			return
		}
		end(t, h.Store, got...)
	}
}

// everything is one job for each method, more or less; i is a round's number.
func everything(ctx context.Context, h *Harness) []func(s store.Store, i int) error {
	return []func(s store.Store, i int) error{
		func(s store.Store, i int) error {
			_, err := s.Enqueue(ctx, []push.Queued{h.another(i%9, i), h.badge(i%9, i), h.another((i+4)%9, i)}, lease)
			return err
		},
		func(s store.Store, _ int) error { return claimAndSettle(ctx, h, s) },
		func(s store.Store, i int) error {
			_, err := s.DropBadges(ctx, before(h.Now().Add(time.Hour), i%9, (i+3)%9, (i+6)%9))
			return err
		},
		func(s store.Store, _ int) error { _, err := s.Expire(ctx, 10); return err },
		func(s store.Store, _ int) error { return s.WakeOn(ctx, appA) },
		func(s store.Store, _ int) error { _, err := s.Backlog(ctx); return err },
		func(s store.Store, i int) error {
			return s.Settings(ctx, appA, hashOf(i%3))
		},
		func(s store.Store, i int) error {
			if err := s.Record(ctx, []push.DeadKey{h.dead(i, 0), h.dead(i/2, 0)}); err != nil {
				return err
			}
			return s.Prune(ctx, h.Now().Add(time.Hour))
		},
		func(s store.Store, i int) error {
			if i%10 != 0 {
				return s.Clear(ctx, appA, hashOf(i))
			}
			_, err := s.PurgeQueued(ctx, appA, []int64{int64(i), int64(i + 1)})
			return err
		},
	}
}

// claimAndSettle ends a third of what it claims by death, lets a third wait and gives a third back.
func claimAndSettle(ctx context.Context, h *Harness, s store.Store) error {
	rows, err := s.Claim(ctx, appA, 7, lease)
	if err != nil {
		return err
	}
	var done []push.Settlement
	var back []push.Held
	for j, r := range rows {
		switch j % 3 {
		case 0:
			d := h.dead(int(r.ID), 0)
			done = append(done, push.Settlement{Held: heldOf(r), Dead: &d})
		case 1:
			done = append(done, retryAt(r, h.Now().Add(-time.Second)))
		default:
			back = append(back, heldOf(r))
		}
	}
	if _, err = s.Renew(ctx, back, lease); err != nil {
		return err
	}
	if _, err = s.Settle(ctx, done); err != nil {
		return err
	}
	return s.Release(ctx, back)
}
