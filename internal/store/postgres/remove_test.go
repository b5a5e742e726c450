package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// A device may have lines under two names of one app. Whoever locked one of them when there was no other leaves the
// other, and its rows, alone.
func TestDropBadges_LeavesALineThatAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), context.Background()
	badge := func(app push.AppID) push.Queued {
		r := row(1, b.clock.Now())
		r.AppID, r.Dedup, r.BadgeOnly, r.HasCounts = app, push.Hash{}, true, true
		return r
	}
	_, err := b.open.Enqueue(ctx, []push.Queued{badge(app)}, 0)
	require.NoError(t, err)
	first, second := b.console(), b.console()
	first.run("BEGIN")
	first.run("SELECT FROM queue_device FOR UPDATE")
	done := make(chan error, 1)
	go func() {
		_, err := b.open.DropBadges(ctx, map[push.Hash]time.Time{{1}: b.clock.Now().Add(time.Hour)})
		done <- err
	}()
	b.someoneWaits()
	event := row(1, b.clock.Now())
	event.AppID = "com.example.*"
	_, err = b.open.Enqueue(ctx, []push.Queued{event}, 0)
	require.NoError(t, err)
	second.run("BEGIN")
	second.run("SELECT FROM queue_device d JOIN app a ON a.no = d.app WHERE a.app_id = 'com.example.*' FOR UPDATE OF d NOWAIT")
	first.run("COMMIT")
	require.NoError(t, <-done, "it waits for nobody any more")
	second.run("COMMIT")
	require.Equal(t, 1, b.count("SELECT count(*) FROM queue"))
	require.Equal(t, 1, b.count("SELECT count(*) FROM queue_device"))
}
