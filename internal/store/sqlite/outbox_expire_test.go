package sqlite

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Keys of submissions go a share at a time: a day with very many must not hold up the rows that expire with them.
func TestOutboxExpire_ForgetsKeysAShareAtATime(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	require.NoError(t, s.write.do(context.Background(), func(tx *tx) error {
		return tx.exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)
			INSERT INTO outbox_once (key, body, at, until, receipt, accepted, status) SELECT CAST(i AS BLOB), x'00', 0, i, '', 0, 0 FROM n`)
	}, nil))
	for _, left := range []int{15, 5, 0, 0} {
		_, err := s.Outbox().Expire(context.Background(), 1)
		require.NoError(t, err)
		var n int
		require.NoError(t, s.read.QueryRowContext(context.Background(), "SELECT count(*) FROM outbox_once").Scan(&n))
		require.Equal(t, left, n)
	}
}
