package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/registry"
)

// connectTimeout bounds one attempt to connect where the URL does not say.
const connectTimeout = 5 * time.Second

// minConns is what opening needs: one connection holds the lock that another migrates under.
const minConns = 2

// Options say where the store lives.
type Options struct {
	// URL is a postgres:// URL. What pgx understands in its query works: pool_max_conns, connect_timeout, sslmode,
	// target_session_attrs. Behind a pooler that does not know prepared statements set
	// default_query_exec_mode=cache_describe.
	URL string
	// Keys are the encryption keys. Current must exist: nodes that share a database share the key.
	Keys   keyring.Files
	Logger *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now
}

// Store is an open PostgreSQL store. It is safe for concurrent use.
type Store struct {
	*keyring.Hasher

	pool     *pgxpool.Pool
	sealer   *keyring.Sealer
	now      func() time.Time
	logger   *slog.Logger
	apps     apps
	gateways registry.Known[dispatch.Gateway] // by hash, those with rows in the outbox
	listener *listener
	leave    context.CancelFunc // ends what runs in the background; nil when nothing does
	working  sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// errNoKey names the option, as its file cannot be made up.
var errNoKey = errors.New("storage.encryption_key_file must name an existing key file: nodes that share a database share the key")

// Open connects, migrates and ties the database to its key. Several nodes may do so at once. It fails with
// keyring.ErrWrongKey when the database belongs to another key.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Keys.Current == "" {
		return nil, errNoKey
	}
	o.Keys.CreateCurrent = false
	s := &Store{now: o.Now, logger: o.Logger}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if s.pool, err = connect(ctx, o.URL); err != nil {
		return nil, err
	}
	if s.sealer, err = keyring.Load(o.Keys, true, o.Logger); err != nil {
		return nil, err
	}
	if err := s.alone(ctx, s.prepare); err != nil {
		return nil, err
	}
	s.listener = listen(s.pool.Config().ConnConfig, o.Logger)
	if s.sealer.HasOld() {
		s.background(s.reseal)
	}
	return s, nil
}

// connect opens the pool and makes sure that the database is there.
func connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("storage.url is not a valid PostgreSQL URL") // pgx's own text would show it
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.MaxConns = max(config.MaxConns, minConns)
	config.AfterRelease = writable
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return pool, nil
}

// writable reports whether a connection is worth keeping. One that began while the database took no writes stays so when
// it takes them again, and one to a standby stays there when the address has moved on: the next one may be better. The
// server reports both on its own (PostgreSQL 14 and later).
func writable(conn *pgx.Conn) bool {
	status := conn.PgConn().ParameterStatus
	return status("default_transaction_read_only") != "on" && status("in_hot_standby") != "on"
}

// prepare migrates and unlocks while no other node does.
func (s *Store) prepare(ctx context.Context, tx pgx.Tx) error {
	if err := migrate(ctx, s.pool); err != nil {
		return err
	}
	if err := s.warnOfForgetting(ctx, tx); err != nil {
		return err
	}
	var err error
	if s.Hasher, err = keyring.Unlock(ctx, s.sealer, meta{tx}); err != nil {
		return err
	}
	return s.apps.load(ctx, tx)
}

// warnOfForgetting tells when the server does not survive a power failure with what it has committed. That is set for the
// whole server, so nothing can be done about it from here.
func (s *Store) warnOfForgetting(ctx context.Context, tx pgx.Tx) error {
	for _, name := range []string{"fsync", "full_page_writes"} {
		var setting string
		if err := tx.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&setting); err != nil {
			return fmt.Errorf("read the server's settings: %w", err)
		}
		if setting == "off" {
			s.logger.Warn("the PostgreSQL server may forget commits in a power failure", slog.String("setting", name), slog.String("value", setting))
		}
	}
	return nil
}

// background runs work until it is done or the store is closed.
func (s *Store) background(work func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	s.leave = cancel
	s.working.Go(func() { work(ctx) })
}

// Close ends the connections. Rows in flight stay leased until their leases run out: release them first.
func (s *Store) Close() error {
	if s.leave != nil {
		s.leave()
		s.working.Wait()
	}
	if s.listener != nil {
		s.listener.close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
	return nil
}

// Ping commits a few bytes, so that it fails when a commit would: full disk, read-only standby.
func (s *Store) Ping(ctx context.Context) error {
	var p pipeline
	p.exec("INSERT INTO meta (name, value) VALUES ('ping', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value", []byte{1})
	return wrap("ping the store", s.send(ctx, &p))
}

// meta is the table of small facts, inside a transaction.
type meta struct{ tx pgx.Tx }

// Get implements keyring.Meta.
func (m meta) Get(ctx context.Context, name string) (value []byte, ok bool, err error) {
	err = m.tx.QueryRow(ctx, "SELECT value FROM meta WHERE name = $1", name).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	return value, err == nil, err
}

// Put implements keyring.Meta.
func (m meta) Put(ctx context.Context, name string, value []byte) error {
	_, err := m.tx.Exec(ctx, "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
	return err
}

// hash reads a hash column; NULL is the zero hash.
func hash(b []byte) push.Hash {
	var h push.Hash
	copy(h[:], b)
	return h
}

// wrap says what was being done; nil stays nil.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
