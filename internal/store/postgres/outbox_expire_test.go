package postgres_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Keys of submissions go a share at a time: a day with very many must not hold up the rows that expire with them.
func TestOutboxExpire_ForgetsKeysAShareAtATime(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), context.Background()
	b.exec(`INSERT INTO outbox_once (key, body, at, until, receipt, accepted, status)
		SELECT int4send(i), '\x00', 0, i, '11111111-1111-1111-1111-111111111111', 0, 0 FROM generate_series(1, 25) AS s (i)`)
	for _, left := range []int{15, 5, 0, 0} {
		_, err := b.open.Outbox().Expire(ctx, 1)
		require.NoError(t, err)
		var n int
		require.NoError(t, b.admin.QueryRow(ctx, "SELECT count(*) FROM outbox_once").Scan(&n))
		require.Equal(t, left, n)
	}
}
