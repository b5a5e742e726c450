package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
	"github.com/pushgate/pushgate/internal/store/registry/registrytest"
	"github.com/pushgate/pushgate/internal/store/sqlite"
)

func TestRegistry_Conforms(t *testing.T) {
	t.Parallel()
	pushertest.Conform(t, func(t *testing.T) pushertest.Subject {
		s := openRegistry(t, sqlite.Options{DataDir: t.TempDir()})
		return pushertest.Subject{Store: s, Encryption: func(t *testing.T, key pusher.Key) *pusher.Encryption {
			e, err := s.KeyChain(t.Context(), key)
			require.NoError(t, err)
			return e
		}}
	})
}

func openRegistry(t testing.TB, o sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestRegistry_IsSealedAtRest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openRegistry(t, sqlite.Options{DataDir: dir})
	registrytest.Sealed(t, s, s.Outbox(), func(t *testing.T) []byte {
		var all []byte
		for _, name := range []string{"pushgate.db", "pushgate.db-wal"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			all = append(all, text...)
		}
		return all
	})
}

func TestRegistry_Races(t *testing.T) {
	t.Parallel()
	s := openRegistry(t, sqlite.Options{DataDir: t.TempDir()})
	registrytest.Renewed(t, s, s)
	registrytest.Crowd(t, s)
}

func TestRegistry_SurvivesARestart(t *testing.T) {
	t.Parallel()
	o := sqlite.Options{DataDir: t.TempDir()}
	s := openRegistry(t, o)
	registrytest.Restarted(t, s, func(t *testing.T) pusher.Store {
		require.NoError(t, s.Close())
		return openRegistry(t, o)
	})
}

// A wall clock that is set back while the process is down must not hide that a pusher was registered again.
func TestRegistry_ClockSetBack(t *testing.T) {
	t.Parallel()
	owner := push.Owner{Realm: push.RealmMatrix, User: "@a:example.org"}
	o := sqlite.Options{DataDir: t.TempDir()}
	s := openRegistry(t, o)
	p := pushertest.Sample(owner, "app", "key")
	require.NoError(t, s.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
	before, err := s.ListPushers(t.Context(), owner)
	require.NoError(t, err)
	require.NoError(t, s.Close())

	o.Now = func() time.Time { return time.Now().Add(-24 * time.Hour) }
	s = openRegistry(t, o)
	require.NoError(t, s.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
	after, err := s.ListPushers(t.Context(), owner)
	require.NoError(t, err)
	require.True(t, after[0].Updated.After(before[0].Updated))
	n, err := s.DeleteRejected(t.Context(), pusher.Rejected{Realm: owner.Realm, Pushkey: "key", URL: p.URL, Since: before[0].Updated})
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestRegistry_EveryStatementUsesAnIndex(t *testing.T) {
	t.Parallel()
	plans, err := openRegistry(t, sqlite.Options{DataDir: t.TempDir()}).RegistryPlans(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, plans)
	for text, plan := range plans {
		require.NotContainsf(t, plan, "SCAN", "%s\n%s", text, plan)
		if !strings.HasPrefix(text, "INSERT") {
			require.Containsf(t, plan, "SEARCH", "%s\n%s", text, plan)
		}
	}
}

func BenchmarkRegistry(b *testing.B) {
	registrytest.Bench(b, func(b *testing.B) pusher.Store { return openRegistry(b, sqlite.Options{DataDir: b.TempDir()}) })
}
