package clientfdtest_test

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	_ "time/tzdata" // zones exist wherever the tests run

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api/clientfd/clientfdtest"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/postgres"
	"github.com/pushgate/pushgate/internal/store/sqlite"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

func TestSuite_Memory(t *testing.T) {
	t.Parallel()
	clientfdtest.Run(t, func(*testing.T) pusher.Store { return &pushertest.Store{} })
}

func TestSuite_SQLite(t *testing.T) {
	t.Parallel()
	needRegistry(t, (*sqlite.Store)(nil))
	clientfdtest.Run(t, func(t *testing.T) pusher.Store {
		s, err := sqlite.Open(t.Context(), sqlite.Options{DataDir: t.TempDir()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return needRegistry(t, s)
	})
}

func TestSuite_PostgreSQL(t *testing.T) {
	t.Parallel()
	needRegistry(t, (*postgres.Store)(nil))
	var key [32]byte
	_, _ = rand.Read(key[:])
	file := filepath.Join(t.TempDir(), "pushgate.key")
	require.NoError(t, os.WriteFile(file, []byte(hex.EncodeToString(key[:])+"\n"), 0o600))
	clientfdtest.Run(t, func(t *testing.T) pusher.Store {
		s, err := postgres.Open(t.Context(), postgres.Options{URL: pgtest.URL(t), Keys: keyring.Files{Current: file}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return needRegistry(t, s)
	})
}

// needRegistry fails the test when a store keeps no pushers.
func needRegistry(t *testing.T, store any) pusher.Store {
	t.Helper()
	registry, ok := store.(pusher.Store)
	if !ok {
		t.Fatalf("%T keeps no pushers", store)
	}
	return registry
}
