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

// A crash forgets a commit that nobody flushed, and keeps one that was. Without this a test that crashes a server
// proves nothing.
func TestServer_CrashForgetsWhatWasNotFlushed(t *testing.T) {
	t.Parallel()
	s := pgtest.NewServer(t, pgtest.Durable, "synchronous_commit = off", "wal_writer_delay = 10s", "wal_writer_flush_after = 1GB")
	url := s.URL()
	pgtest.Exec(t, url, "CREATE TABLE durable AS SELECT set_config('synchronous_commit', 'on', true)")
	pgtest.Exec(t, url, "CREATE TABLE forgotten (x int)")
	s.Crash()
	s.Start()
	require.Equal(t, "durable", pgtest.Text(t, url, "SELECT string_agg(relname, ' ') FROM pg_class WHERE relname IN ('durable', 'forgotten')"))
}
