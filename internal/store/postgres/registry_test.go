package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/postgres"
	"github.com/pushgate/pushgate/internal/store/registry/registrytest"
	"github.com/pushgate/pushgate/internal/store/storetest"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

func TestRegistry_Conforms(t *testing.T) {
	t.Parallel()
	pushertest.Conform(t, func(t *testing.T) pushertest.Subject {
		s := openRegistry(t, options(t, pgtest.Fast))
		return pushertest.Subject{Store: s, Encryption: keyChain(s)}
	})
}

// Two nodes that share the calls of one test must look like one.
func TestRegistry_ConformsAcrossNodes(t *testing.T) {
	t.Parallel()
	pushertest.Conform(t, func(t *testing.T) pushertest.Subject {
		o := options(t, pgtest.Fast)
		a, b := openRegistry(t, o), openRegistry(t, o)
		return pushertest.Subject{Store: &nodes{stores: []*postgres.Store{a, b}}, Encryption: keyChain(a)}
	})
}

func keyChain(s *postgres.Store) func(t *testing.T, key pusher.Key) *pusher.Encryption {
	return func(t *testing.T, key pusher.Key) *pusher.Encryption {
		e, err := s.KeyChain(t.Context(), key)
		require.NoError(t, err)
		return e
	}
}

func options(t testing.TB, mode pgtest.Mode) postgres.Options {
	t.Helper()
	return postgres.Options{URL: pgtest.Fresh(t, mode), Keys: keyring.Files{Current: storetest.NewKeyFile(t)}}
}

func openRegistry(t testing.TB, o postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// nodes takes turns between stores on one database.
type nodes struct {
	mu     sync.Mutex
	turn   int
	stores []*postgres.Store
}

func (n *nodes) next() *postgres.Store {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.turn++
	return n.stores[n.turn%len(n.stores)]
}

func (n *nodes) ListPushers(ctx context.Context, owner push.Owner) ([]pusher.Pusher, error) {
	return n.next().ListPushers(ctx, owner)
}

func (n *nodes) SetPusher(ctx context.Context, r pusher.Registration) error {
	return n.next().SetPusher(ctx, r)
}

func (n *nodes) DeletePusher(ctx context.Context, key pusher.Key) (bool, error) {
	return n.next().DeletePusher(ctx, key)
}

func (n *nodes) ListChoices(ctx context.Context, owner push.Owner, key push.Pushkey) ([]map[string]pusher.ChannelStatus, error) {
	return n.next().ListChoices(ctx, owner, key)
}

func (n *nodes) ChooseChannels(ctx context.Context, owner push.Owner, key push.Pushkey, chosen map[string]pusher.ChannelStatus) error {
	return n.next().ChooseChannels(ctx, owner, key, chosen)
}

func (n *nodes) DeleteOwner(ctx context.Context, owner push.Owner, deviceID string) (int, error) {
	return n.next().DeleteOwner(ctx, owner, deviceID)
}

func (n *nodes) DeleteRejected(ctx context.Context, r pusher.Rejected) (int, error) {
	return n.next().DeleteRejected(ctx, r)
}

func TestRegistry_IsSealedAtRest(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	registrytest.Sealed(t, b.open, b.open.(*postgres.Store).Outbox(), b.raw)
}

func TestRegistry_RaceBetweenNodes(t *testing.T) {
	t.Parallel()
	o := options(t, pgtest.Fast)
	registrytest.Renewed(t, openRegistry(t, o), openRegistry(t, o))
	o = options(t, pgtest.Fast)
	registrytest.Crowd(t, openRegistry(t, o), openRegistry(t, o))
}

func TestRegistry_SurvivesARestart(t *testing.T) {
	t.Parallel()
	o := options(t, pgtest.Fast)
	s := openRegistry(t, o)
	registrytest.Restarted(t, s, func(t *testing.T) pusher.Store {
		require.NoError(t, s.Close())
		return openRegistry(t, o)
	})
}

// A database whose clock is set back (a failover) must not hide that a pusher was registered again.
func TestRegistry_ClockSetBack(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	p := pushertest.Sample(push.Owner{Realm: push.RealmMatrix, User: "@a:example.org"}, "app", "key")
	var stamps []time.Time
	for range 2 {
		require.NoError(t, b.open.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
		list, err := b.open.ListPushers(t.Context(), p.Owner)
		require.NoError(t, err)
		stamps = append(stamps, list[0].Updated)
		b.advance(t, -24*time.Hour)
	}
	require.True(t, stamps[1].After(stamps[0]))
	n, err := b.open.DeleteRejected(t.Context(), pusher.Rejected{Realm: p.Owner.Realm, Pushkey: "key", URL: p.URL, Since: stamps[0]})
	require.NoError(t, err)
	require.Zero(t, n)
}

// Our own transactions take locks in one order; somebody at a console may not.
func TestRegistry_BeginsAnewAfterADeadlock(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), context.Background()
	people := []push.Owner{{Realm: push.RealmMatrix, User: "@a:b"}, {Realm: push.RealmMatrix, User: "@b:b"}, {Realm: push.RealmMatrix, User: "@c:b"}}
	for _, who := range people[:2] {
		require.NoError(t, b.open.SetPusher(ctx, pusher.Registration{Pusher: pushertest.Sample(who, "app", "key")}))
	}
	console, err := pgx.Connect(ctx, b.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, console.Close(ctx)) }()
	run := func(sql string) {
		_, err := console.Exec(ctx, sql)
		require.NoError(t, err)
	}
	run("BEGIN")
	run("SET LOCAL deadlock_timeout = '60s'") // so that the store is the one that is given up
	run("SELECT FROM pusher WHERE id = (SELECT max(id) FROM pusher) FOR UPDATE")
	done := make(chan error, 1)
	go func() {
		done <- b.open.SetPusher(ctx, pusher.Registration{Pusher: pushertest.Sample(people[2], "app", "key"), Evict: true})
	}()
	require.Eventually(t, func() bool {
		var waiting bool
		err := b.admin.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
		return err == nil && waiting
	}, 20*time.Second, 5*time.Millisecond)
	run("SELECT FROM pusher WHERE id = (SELECT min(id) FROM pusher) FOR UPDATE")
	run("COMMIT")
	require.NoError(t, <-done)
	for i, want := range []int{0, 0, 1} {
		list, err := b.open.ListPushers(ctx, people[i])
		require.NoError(t, err)
		require.Len(t, list, want)
	}
}

func TestRegistry_EveryStatementUsesAnIndex(t *testing.T) {
	t.Parallel()
	plans, err := openRegistry(t, options(t, pgtest.Fast)).RegistryPlans(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, plans)
	for text, plan := range plans {
		require.NotContainsf(t, plan, "Seq Scan", "%s\n%s", text, plan)
		if !strings.HasPrefix(text, "INSERT INTO pusher") {
			require.Containsf(t, plan, "Index Cond", "%s\n%s", text, plan)
		}
	}
}

func BenchmarkRegistry(b *testing.B) {
	registrytest.Bench(b, func(b *testing.B) pusher.Store { return openRegistry(b, options(b, pgtest.Durable)) })
}
