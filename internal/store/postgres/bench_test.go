package postgres_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/store"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/postgres"
	"github.com/pushgate/pushgate/internal/store/storetest"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

func BenchmarkQueue(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) store.Store {
		s, err := postgres.Open(context.Background(), postgres.Options{
			URL: pgtest.Fresh(b, pgtest.Durable), Keys: keyring.Files{Current: storetest.NewKeyFile(b)},
		})
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, s.Close()) })
		return s
	})
}
