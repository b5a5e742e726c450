package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/store"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/postgres"
	"github.com/pushgate/pushgate/internal/store/sqlite"
)

// openStore is the one place that knows both engines.
func openStore(ctx context.Context, c *config.Config, log *slog.Logger) (store.Store, error) {
	// Also with PostgreSQL: the admin socket lives there.
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make data_dir: %w", err)
	}
	keys := keyring.Files{Current: c.Storage.EncryptionKeyFile, Old: c.Storage.OldKeyFiles}
	if c.Storage.SQLite() {
		s, err := sqlite.Open(ctx, sqlite.Options{DataDir: c.DataDir, Keys: keys, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("open the store: %w", err)
		}
		return s, nil
	}
	dsn, err := c.Storage.DSN()
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s, err := postgres.Open(ctx, postgres.Options{URL: dsn, Keys: keys, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return s, nil
}
