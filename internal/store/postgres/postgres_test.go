package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/store"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/postgres"
	"github.com/pushgate/pushgate/internal/store/storetest"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

func TestStore_Conformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, newHarness)
}

// base is a database whose clock a test moves, and the store that is open on it.
type base struct {
	t     *testing.T
	url   string
	key   string
	clock *storetest.Clock
	log   storetest.Log
	admin *pgx.Conn
	open  store.Store
}

func newBase(t *testing.T) *base {
	b := &base{t: t, url: pgtest.URL(t), key: storetest.NewKeyFile(t), clock: storetest.NewClock()}
	b.open = b.start(b.url, keyring.Files{Current: b.key})
	var err error
	b.admin, err = pgx.Connect(context.Background(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.admin.Close(context.Background()) })
	b.exec("CREATE TABLE test_clock (micros bigint)")
	b.exec("INSERT INTO test_clock VALUES ($1)", b.clock.Now().UnixMicro())
	b.exec("CREATE OR REPLACE FUNCTION store_clock() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT micros FROM test_clock'")
	return b
}

func newHarness(t *testing.T) *storetest.Harness {
	b := newBase(t)
	return &storetest.Harness{
		Store:   b.open,
		Now:     b.clock.Now,
		Advance: b.advance,
		Log:     &b.log,
		KeyFile: b.key,
		Restart: func(t *testing.T) store.Store {
			require.NoError(t, b.open.Close())
			b.open = b.start(b.url, keyring.Files{Current: b.key})
			return b.open
		},
		Crash: func(*testing.T) store.Store { return b.start(b.url, keyring.Files{Current: b.key}) },
		Reopen: func(t *testing.T, keys keyring.Files) (store.Store, error) {
			require.NoError(t, b.open.Close())
			s, err := b.try(b.url, keys)
			if err != nil {
				return nil, err
			}
			b.open = s
			return s, nil
		},
		Deadlocks: b.deadlocks,
		Peer:      func(*testing.T) store.Store { return b.start(b.url, keyring.Files{Current: b.key}) },
		Together:  b.together,
		Raw:       b.raw,
		Damage: func(*testing.T) {
			b.exec("UPDATE payload SET body = set_byte(body, length(body) - 1, get_byte(body, length(body) - 1) # 1)")
		},
	}
}

func (b *base) exec(sql string, args ...any) {
	b.t.Helper()
	_, err := b.admin.Exec(context.Background(), sql, args...)
	require.NoError(b.t, err)
}

func (b *base) advance(_ *testing.T, d time.Duration) {
	b.exec("UPDATE test_clock SET micros = $1", b.clock.Advance(d).UnixMicro())
}

// deadlocks counts what the sessions met so far, which they report at the latest when they end. Listeners come back, and
// have met nothing.
func (b *base) deadlocks(*testing.T) int {
	b.exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	return b.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
}

func (b *base) try(url string, keys keyring.Files) (*postgres.Store, error) {
	s, err := postgres.Open(context.Background(), postgres.Options{URL: url, Keys: keys, Now: b.clock.Now, Logger: b.log.Logger()})
	if err != nil {
		return nil, err
	}
	b.t.Cleanup(func() { _ = s.Close() })
	return s, nil
}

func (b *base) start(url string, keys keyring.Files) *postgres.Store {
	b.t.Helper()
	s, err := b.try(url, keys)
	require.NoError(b.t, err)
	return s
}

func (b *base) together(t *testing.T, n int) []store.Store {
	url := pgtest.URL(t)
	stores, errs := make([]store.Store, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			s, err := postgres.Open(context.Background(), postgres.Options{URL: url, Keys: keyring.Files{Current: b.key}})
			if errs[i] = err; err == nil {
				stores[i] = s
			}
		})
	}
	wg.Wait()
	for i := range n {
		require.NoError(t, errs[i])
		t.Cleanup(func() { _ = stores[i].Close() })
	}
	return stores
}

func (b *base) raw(t *testing.T) []byte {
	ctx := context.Background()
	rows, err := b.admin.Query(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	var all []byte
	for _, table := range tables {
		rows, err := b.admin.Query(ctx, fmt.Sprintf("SELECT x::text FROM %s x", pgx.Identifier{table}.Sanitize()))
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		for _, line := range lines {
			all = append(all, line...)
		}
	}
	return all
}

// console is a session of somebody who holds locks.
type console struct {
	t    *testing.T
	conn *pgx.Conn
}

func (b *base) console() *console {
	b.t.Helper()
	conn, err := pgx.Connect(context.Background(), b.url)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return &console{t: b.t, conn: conn}
}

func (c *console) run(sql string, args ...any) {
	c.t.Helper()
	_, err := c.conn.Exec(context.Background(), sql, args...)
	require.NoError(c.t, err)
}

// someoneWaits returns when somebody waits for a lock.
func (b *base) someoneWaits() {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		var waiting bool
		err := b.admin.QueryRow(context.Background(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
		return err == nil && waiting
	}, 20*time.Second, 5*time.Millisecond)
}

// count returns the number that a statement selects.
func (b *base) count(sql string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.admin.QueryRow(context.Background(), sql).Scan(&n))
	return n
}
