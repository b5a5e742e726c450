package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// A claim that is passed by others on its way takes what is behind, oldest first.
func TestClaim_LooksPastWhatOthersHold(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), context.Background()
	for n := range byte(6) {
		r := row(9-n, b.clock.Now()) // the first are the last by hash
		r.Due = r.Due.Add(time.Duration(n)*time.Second - time.Minute)
		_, err := b.open.Enqueue(ctx, []push.Queued{r}, 0)
		require.NoError(t, err)
	}
	other := b.console()
	other.run("BEGIN")
	other.run("SELECT FROM queue_device ORDER BY due LIMIT 3 FOR UPDATE")
	got, err := b.open.Claim(ctx, app, 2, time.Minute)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, []push.Hash{{6}, {5}}, []push.Hash{got[0].Device, got[1].Device})
	other.run("COMMIT")
	got, err = b.open.Claim(ctx, app, 2, time.Minute)
	require.NoError(t, err)
	require.Equal(t, []push.Hash{{9}, {8}}, []push.Hash{got[0].Device, got[1].Device})
}
