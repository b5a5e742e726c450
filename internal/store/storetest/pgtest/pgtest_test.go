package pgtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

func TestURL_EveryTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	first, second := pgtest.URL(t), pgtest.URL(t)
	require.NotEqual(t, first, second)
	for _, u := range []string{first, second} {
		conn, err := pgx.Connect(context.Background(), u)
		require.NoError(t, err)
		_, err = conn.Exec(context.Background(), "CREATE TABLE mine (x int)")
		require.NoError(t, err)
		require.NoError(t, conn.Close(context.Background()))
	}
}
