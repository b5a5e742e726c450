package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// Somebody at a console may take the locks of the queue in another order. The work that the database gives up is done
// all the same, and once.
func TestQueue_BeginsAnewAfterADeadlock(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		work func(ctx context.Context, b *base) error
	}{
		{"wake", func(ctx context.Context, b *base) error { return b.open.WakeOn(ctx, app) }},
		{"enqueue", func(ctx context.Context, b *base) error {
			_, err := b.open.Enqueue(ctx, []push.Queued{row(1, b.clock.Now()), row(2, b.clock.Now())}, 0)
			return err
		}},
		{"drop badges", func(ctx context.Context, b *base) error {
			_, err := b.open.DropBadges(ctx, map[push.Hash]time.Time{row(1, b.clock.Now()).Device: b.clock.Now(), row(2, b.clock.Now()).Device: b.clock.Now()})
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, ctx := newBase(t), context.Background()
			_, err := b.open.Enqueue(ctx, []push.Queued{row(1, b.clock.Now()), row(2, b.clock.Now())}, 0)
			require.NoError(t, err)
			console := b.console()
			console.run("BEGIN")
			console.run("SET LOCAL deadlock_timeout = '60s'") // so that the store is the one that is given up
			console.run("SELECT FROM queue_device WHERE device = (SELECT device FROM queue_device ORDER BY device DESC LIMIT 1) FOR UPDATE")
			done := make(chan error, 1)
			go func() { done <- tt.work(ctx, b) }()
			b.someoneWaits()
			console.run("SELECT FROM queue_device WHERE device = (SELECT device FROM queue_device ORDER BY device LIMIT 1) FOR UPDATE")
			console.run("COMMIT")
			require.NoError(t, <-done)
			rows, err := b.open.Claim(ctx, app, 10, time.Minute)
			require.NoError(t, err)
			require.Len(t, rows, 2)
			require.Positive(t, b.deadlocks(t), "more where the store was back before the console had noticed")
		})
	}
}
