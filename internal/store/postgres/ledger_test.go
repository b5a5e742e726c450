package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// Entries of the ledger have no order, so their lock comes first: who waits for it has touched none of them.
func TestPrune_WaitsForTheLedgerWithNothingInItsHands(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), context.Background()
	require.NoError(t, b.open.Record(ctx, []push.DeadKey{{AppID: app, Device: push.Hash{1}, Since: b.clock.Now()}}))
	require.NoError(t, b.open.Clear(ctx, app, push.Hash{1}))
	b.advance(t, 40*24*time.Hour)
	writer := b.console()
	writer.run("BEGIN")
	writer.run("SELECT pg_advisory_xact_lock($1)", int64(0x70757368_00000002))
	done := make(chan error, 1)
	go func() { done <- b.open.Prune(ctx, b.clock.Now().Add(-30*24*time.Hour)) }()
	b.someoneWaits()
	require.Equal(t, 1, b.count("SELECT count(*) FROM ledger"))
	writer.run("SELECT FROM ledger FOR UPDATE NOWAIT")
	writer.run("COMMIT")
	require.NoError(t, <-done)
	require.Zero(t, b.count("SELECT count(*) FROM ledger"))
}
