package postgres_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/postgres"
	"github.com/pushgate/pushgate/internal/store/storetest"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

// Not parallel: it counts goroutines.
func TestClose_LeavesNoGoroutine(t *testing.T) {
	url, old := pgtest.URL(t), storetest.NewKeyFile(t)
	before := goleak.IgnoreCurrent()
	for _, keys := range []keyring.Files{{Current: old}, {Current: storetest.NewKeyFile(t), Old: []string{old}}} {
		s, err := postgres.Open(context.Background(), postgres.Options{URL: url, Keys: keys})
		require.NoError(t, err)
		require.NoError(t, s.Ping(context.Background()))
		require.NoError(t, s.Close())
	}
	_, err := postgres.Open(context.Background(), postgres.Options{URL: url, Keys: keyring.Files{Current: old}})
	require.ErrorIs(t, err, keyring.ErrWrongKey, "also after a failed start")
	goleak.VerifyNone(t, before)
}
