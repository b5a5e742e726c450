package postgres_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/postgres"
	"github.com/pushgate/pushgate/internal/store/storetest"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

const app = push.AppID("com.example.app")

func row(n byte, now time.Time) push.Queued {
	return push.Queued{
		AppID: app, Device: push.Hash{n}, Dedup: push.Hash{1, n}, Payload: []byte{n},
		Accepted: now, Due: now, Deadline: now.Add(24 * time.Hour),
	}
}

// A node whose clock is wrong by a day neither delays nor expires anything, nor holds a row longer than it may.
func TestStore_WrongClockOfANode(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, wrong := range map[string]time.Duration{"fast": 24 * time.Hour, "slow": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			wrongNow := func() time.Time { return b.clock.Now().Add(wrong) }
			node, err := postgres.Open(ctx, postgres.Options{URL: b.url, Keys: keyring.Files{Current: b.key}, Now: wrongNow})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, node.Close()) })

			later := row(2, wrongNow())
			later.Due = later.Due.Add(time.Minute)
			_, err = node.Enqueue(ctx, []push.Queued{row(1, wrongNow()), later}, 0)
			require.NoError(t, err)
			expired, err := b.open.Expire(ctx, 10)
			require.NoError(t, err)
			require.Empty(t, expired)
			got, err := b.open.Claim(ctx, app, 10, 30*time.Second)
			require.NoError(t, err)
			require.Len(t, got, 1, "due now is now for everybody, a minute is a minute")
			require.True(t, got[0].Due.Equal(b.clock.Now()))
			require.True(t, got[0].Deadline.Equal(b.clock.Now().Add(24*time.Hour)))

			stolen, err := node.Claim(ctx, app, 10, 30*time.Second)
			require.NoError(t, err)
			require.Empty(t, stolen, "a lease holds against a wrong clock")
			b.advance(t, 31*time.Second)
			got, err = node.Claim(ctx, app, 10, 30*time.Second)
			require.NoError(t, err)
			require.Len(t, got, 1)
			ok, err := node.Settle(ctx, []push.Settlement{{Held: push.Held{ID: got[0].ID, Lease: got[0].Lease}, Due: wrongNow().Add(10 * time.Second)}})
			require.NoError(t, err)
			require.Equal(t, []bool{true}, ok)
			backlog, err := node.Backlog(ctx)
			require.NoError(t, err)
			require.True(t, backlog[0].Next.Equal(wrongNow().Add(10*time.Second)), "every node reads times on its own clock")
			b.advance(t, 10*time.Second)
			got, err = b.open.Claim(ctx, app, 10, 30*time.Second)
			require.NoError(t, err)
			require.Len(t, got, 1)
		})
	}
}

// signalled waits for a signal that must come.
func signalled(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(time.Minute):
		require.FailNow(t, "no signal")
	}
}

func TestStore_ChangesReachOtherNodes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := newBase(t)
	peer := b.start(b.url, keyring.Files{Current: b.key})
	signalled(t, peer.Changed()) // the first connection may have missed something before it

	require.NoError(t, b.open.Record(ctx, []push.DeadKey{{AppID: app, Device: push.Hash{1}, Since: b.clock.Now()}}))
	signalled(t, peer.Changed())
	changes, err := peer.Changes(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, changes, 1)

	_, err = b.open.Enqueue(ctx, []push.Queued{row(1, b.clock.Now())}, 0)
	require.NoError(t, err)
	held, err := b.open.Claim(ctx, app, 1, time.Minute)
	require.NoError(t, err)
	_, err = b.open.Settle(ctx, []push.Settlement{{
		Held: push.Held{ID: held[0].ID, Lease: held[0].Lease}, Dead: &push.DeadKey{AppID: app, Device: push.Hash{2}, Since: b.clock.Now()},
	}})
	require.NoError(t, err)
	signalled(t, peer.Changed())
	require.NoError(t, b.open.Clear(ctx, app, push.Hash{2}))
	signalled(t, peer.Changed())
}

func TestStore_FollowsAgainAfterTheConnectionBroke(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := newBase(t)
	peer := b.start(b.url, keyring.Files{Current: b.key})
	signalled(t, peer.Changed())
	b.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	signalled(t, peer.Changed()) // the new connection may have missed something as well

	require.Eventually(t, func() bool {
		return b.open.Record(ctx, []push.DeadKey{{AppID: app, Device: push.Hash{1}, Since: b.clock.Now()}}) == nil
	}, time.Minute, 10*time.Millisecond, "broken connections are replaced without a restart")
	signalled(t, peer.Changed())
}

// A database that took no writes for a while takes them again without a restart, although sessions that began meanwhile
// never do.
func TestStore_WritesAgainAfterTheDatabaseWasReadOnly(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := newBase(t)
	_ = b.admin.Close(ctx)
	pgtest.ReadOnly(t, b.url, true)
	require.Eventually(t, func() bool {
		err := b.open.Ping(ctx)
		return err != nil && strings.Contains(err.Error(), "read-only")
	}, time.Minute, 10*time.Millisecond, "what was connected has noticed")
	for range 10 {
		require.Error(t, b.open.Ping(ctx))
		_, err := b.open.Enqueue(ctx, []push.Queued{row(1, b.clock.Now())}, 0)
		require.Error(t, err)
	}
	pgtest.ReadOnly(t, b.url, false)
	require.NoError(t, b.open.Ping(ctx))
	_, err := b.open.Enqueue(ctx, []push.Queued{row(1, b.clock.Now())}, 0)
	require.NoError(t, err)
}

// A server that may forget what it has committed is told to the operator.
func TestOpen_WarnsOfAServerThatForgets(t *testing.T) {
	t.Parallel()
	for mode, warned := range map[pgtest.Mode]int{pgtest.Fast: 2, pgtest.Durable: 0} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			var log storetest.Log
			s, err := postgres.Open(context.Background(), postgres.Options{
				URL: pgtest.NewServer(t, mode).URL(), Keys: keyring.Files{Current: storetest.NewKeyFile(t)}, Logger: log.Logger(),
			})
			require.NoError(t, err)
			require.NoError(t, s.Close())
			require.Equal(t, warned, strings.Count(log.String(), "may forget commits"))
		})
	}
}

// A database that does not answer costs its callers no more than the time they gave it.
func TestStore_DatabaseThatHangs(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	_, err := b.open.Enqueue(context.Background(), []push.Queued{row(1, b.clock.Now())}, 0)
	require.NoError(t, err)
	blocker, err := pgx.Connect(context.Background(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = blocker.Close(context.Background()) })
	_, err = blocker.Exec(context.Background(), "BEGIN; LOCK TABLE queue, queue_device, queue_lease, ledger, meta, queue_count IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	for name, call := range map[string]func(ctx context.Context) error{
		"enqueue": func(ctx context.Context) error {
			_, err := b.open.Enqueue(ctx, []push.Queued{row(2, b.clock.Now())}, 0)
			return err
		},
		"claim":   func(ctx context.Context) error { _, err := b.open.Claim(ctx, app, 1, time.Minute); return err },
		"settle":  func(ctx context.Context) error { _, err := b.open.Settle(ctx, []push.Settlement{{}}); return err },
		"backlog": func(ctx context.Context) error { _, err := b.open.Backlog(ctx); return err },
		"expire":  func(ctx context.Context) error { _, err := b.open.Expire(ctx, 1); return err },
		"record": func(ctx context.Context) error {
			return b.open.Record(ctx, []push.DeadKey{{AppID: app, Device: push.Hash{1}}})
		},
		"waiting": func(ctx context.Context) error { return b.open.Waiting(ctx, func(push.Queued) {}) },
		"ping":    b.open.Ping,
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		require.ErrorIs(t, call(ctx), context.DeadlineExceeded, name)
		cancel()
	}

	_, err = blocker.Exec(context.Background(), "ROLLBACK")
	require.NoError(t, err)
	require.NoError(t, b.open.Ping(context.Background()))
	got, err := b.open.Claim(context.Background(), app, 10, time.Minute)
	require.NoError(t, err)
	require.NotEmpty(t, got)
}

func TestOpen_Fails(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	silent := l.Addr().String() // accepts and says nothing
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	key := storetest.NewKeyFile(t)
	for name, tt := range map[string]struct{ url, key, want string }{
		"no key":             {"postgres://u:hunter2@" + silent + "/db", "", "encryption_key_file"},
		"not a URL":          {"postgres://u:hunter2@:port/db", key, "not a valid"},
		"nobody there":       {"postgres://u:hunter2@127.0.0.1:1/db", key, "connect"},
		"nobody answers":     {"postgres://u:hunter2@" + silent + "/db?sslmode=disable", key, "connect"},
		"key does not exist": {pgtest.URL(t), key + ".absent", "key file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			_, err := postgres.Open(ctx, postgres.Options{URL: tt.url, Keys: keyring.Files{Current: tt.key}})
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "hunter2", "no password in an error")
		})
	}
}

// Poolers in transaction mode may know no prepared statements.
func TestStore_WithoutPreparedStatements(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_describe", "describe_exec", "exec"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			b := newBase(t)
			u, err := url.Parse(b.url)
			require.NoError(t, err)
			q := u.Query()
			q.Set("default_query_exec_mode", mode)
			u.RawQuery = q.Encode()
			s := b.start(u.String(), keyring.Files{Current: b.key})

			underWay, badge := row(2, b.clock.Now()), row(3, b.clock.Now())
			underWay.UnderWay = true
			badge.Dedup, badge.BadgeOnly = push.Hash{}, true
			out, err := s.Enqueue(ctx, []push.Queued{row(1, b.clock.Now()), underWay, badge, row(1, b.clock.Now())}, time.Minute)
			require.NoError(t, err)
			require.Equal(t, push.EnqueueDuplicate, out[3].State)
			got, err := s.Claim(ctx, app, 10, time.Minute)
			require.NoError(t, err)
			require.Len(t, got, 2)
			dead := push.DeadKey{AppID: app, Device: push.Hash{1}, Since: b.clock.Now()}
			ok, err := s.Settle(ctx, []push.Settlement{
				{Held: push.Held{ID: got[0].ID, Lease: got[0].Lease}, Dead: &dead},
				{Held: push.Held{ID: got[1].ID, Lease: got[1].Lease}, Due: b.clock.Now().Add(time.Hour), Attempts: 1},
			})
			require.NoError(t, err)
			require.Equal(t, []bool{true, true}, ok)
			ok, err = s.Renew(ctx, []push.Held{{ID: out[1].ID, Lease: out[1].Lease}}, time.Minute)
			require.NoError(t, err)
			require.Equal(t, []bool{true}, ok)
			require.NoError(t, s.Release(ctx, []push.Held{{ID: out[1].ID, Lease: out[1].Lease}}))
			require.NoError(t, s.WakeOn(ctx, app))
			dropped, err := s.DropBadges(ctx, map[push.Hash]time.Time{{3}: b.clock.Now().Add(time.Hour)})
			require.NoError(t, err)
			require.Equal(t, map[push.AppID]int{app: 1}, dropped)
			changes, err := s.Changes(ctx, 0, 10)
			require.NoError(t, err)
			require.Len(t, changes, 1)
			rows, err := s.ListQueued(ctx, app, 0, 10)
			require.NoError(t, err)
			require.Len(t, rows, 1)
			purged, err := s.PurgeQueued(ctx, "", []int64{rows[0].ID})
			require.NoError(t, err)
			require.Equal(t, map[push.AppID]int{app: 1}, purged)
		})
	}
}

func TestStore_ErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.exec("DROP TABLE payload")
	secret := row(1, b.clock.Now())
	secret.Payload = []byte("canary-payload")
	_, err := b.open.Enqueue(context.Background(), []push.Queued{secret}, 0)
	require.Error(t, err)
	require.False(t, strings.Contains(err.Error(), "canary"))
	u, parseErr := url.Parse(b.url)
	require.NoError(t, parseErr)
	password, ok := u.User.Password()
	if ok {
		require.NotContains(t, err.Error(), password)
	}
}

// A claim that meets lapsed leases frees them first. When it cannot, because another node holds the device, it fails and
// gives its connection back.
func TestClaim_FailsWhileALapsedLeaseCannotBeEnded(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := newBase(t)
	_, err := b.open.Enqueue(ctx, []push.Queued{row(1, b.clock.Now())}, 0)
	require.NoError(t, err)
	got, err := b.open.Claim(ctx, app, 1, 30*time.Second)
	require.NoError(t, err)
	require.Len(t, got, 1)
	b.advance(t, time.Minute)

	other, err := b.admin.Begin(ctx)
	require.NoError(t, err)
	_, err = other.Exec(ctx, "SELECT 1 FROM queue_device FOR UPDATE")
	require.NoError(t, err)
	waiting, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	_, err = b.open.Claim(waiting, app, 1, 30*time.Second)
	require.Error(t, err)
	require.NoError(t, other.Rollback(ctx))

	got, err = b.open.Claim(ctx, app, 1, 30*time.Second)
	require.NoError(t, err)
	require.Len(t, got, 1)
}
