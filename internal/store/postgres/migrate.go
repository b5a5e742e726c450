package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// The advisory locks of this package, by name: numbers with no meaning beyond being ours.
const (
	lockStart  = int64(0x70757368_00000001) // opening the database
	lockLedger = int64(0x70757368_00000002) // writing to the ledger
)

// alone runs what only one node may do at a time. The lock belongs to a transaction, so that it works behind a pooler
// and ends with the connection.
func (s *Store) alone(ctx context.Context, run func(ctx context.Context, tx pgx.Tx) error) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("prepare the database: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after a commit
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockStart); err != nil {
		return fmt.Errorf("wait for other nodes: %w", err)
	}
	if err := run(ctx, tx); err != nil {
		return err
	}
	return wrap("prepare the database", tx.Commit(ctx))
}

// migrate brings the schema up to date, each step in its own transaction.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func() { _ = db.Close() }()
	p, err := goose.NewProvider(goose.DialectPostgres, db, steps)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}
