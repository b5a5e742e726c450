package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"

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
	registrytest.Sealed(t, openRegistry(t, postgres.Options{URL: b.url, Keys: keyring.Files{Current: b.key}}), b.raw)
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
