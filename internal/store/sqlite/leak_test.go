package sqlite_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/sqlite"
	"github.com/pushgate/pushgate/internal/store/storetest"
)

// Not parallel: it counts goroutines.
func TestClose_LeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	old, dir := storetest.NewKeyFile(t), t.TempDir()
	for _, keys := range []keyring.Files{{Current: old}, {Current: storetest.NewKeyFile(t), Old: []string{old}}} {
		s, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir, Keys: keys})
		require.NoError(t, err)
		require.NoError(t, s.Ping(context.Background()))
		require.NoError(t, s.Close())
	}
	_, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir, Keys: keyring.Files{Current: old}})
	require.ErrorIs(t, err, keyring.ErrWrongKey, "also after a failed start")
	goleak.VerifyNone(t, before)
}
