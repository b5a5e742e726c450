package powerloss

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// TestReadOnly_WritesFailAndGoOn: a disk that takes no writes under an open database makes every commit fail, loses
// nothing that was committed before, and needs no restart when it takes them again.
func TestReadOnly_WritesFailAndGoOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	ctx := t.Context()
	there := func() map[push.Hash]bool {
		found := map[push.Hash]bool{}
		require.NoError(t, s.Waiting(ctx, func(r push.Queued) { found[r.Dedup] = true }))
		return found
	}
	want := map[push.Hash]bool{}
	for round := range 3 {
		kept, refused := rows(round*1000, 10), rows(round*1000+500, 10)
		_, err := s.Enqueue(ctx, kept, time.Minute)
		require.NoError(t, err)
		for _, r := range kept {
			want[r.Dedup] = true
		}
		held, err := s.Claim(ctx, app, 5, time.Minute)
		require.NoError(t, err)
		require.Len(t, held, 5)
		var done []push.Settlement
		for _, r := range held {
			done = append(done, push.Settlement{Held: push.Held{ID: r.ID, Lease: r.Lease}})
		}

		theDisk.refuse(dir, true)
		for range 3 {
			_, err = s.Enqueue(ctx, refused, time.Minute)
			require.Error(t, err)
			_, err = s.Settle(ctx, done)
			require.Error(t, err)
			require.Error(t, s.Ping(ctx))
		}
		require.Equal(t, want, there(), "read as before")

		theDisk.refuse(dir, false)
		require.NoError(t, s.Ping(ctx))
		mine, err := s.Settle(ctx, done)
		require.NoError(t, err)
		require.NotContains(t, mine, false, "the leases are as they were")
		for _, r := range held {
			delete(want, r.Dedup)
		}
		require.Equal(t, want, there())
	}
	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Equal(t, want, there())
}
