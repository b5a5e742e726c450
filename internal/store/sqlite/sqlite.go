package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/registry"
)

// The files in data_dir.
const (
	databaseFile = "pushgate.db"
	lockName     = "pushgate.lock"
	keyFile      = "pushgate.key"
)

// busyTimeout is how long a statement waits for another program that has locked the file (a backup, a shell). Callers
// of the gateway wait a second for a commit, so longer would not help them.
const busyTimeout = time.Second

// readers is the size of the reading pool.
const readers = 4

// Options say where the store lives. DataDir is the only one that must be set.
type Options struct {
	DataDir string
	// Keys are the encryption keys. Without a Current, the key is DataDir/pushgate.key, created with the database.
	Keys   keyring.Files
	Logger *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now
}

// Store is an open SQLite store. It is safe for concurrent use.
type Store struct {
	*keyring.Hasher

	lock     *os.File
	read     *sql.DB
	write    *writer
	stmts    statements
	sealer   *keyring.Sealer
	clock    clock
	schedule *schedule
	gateways registry.Known[dispatch.Gateway] // by hash, those with rows in the outbox
	logger   *slog.Logger
	leave    context.CancelFunc // ends what runs in the background; nil when nothing does
	working  sync.WaitGroup
	closing  sync.Once
	closed   error
}

var _ store.Store = (*Store)(nil)

// Open opens the store in o.DataDir, which it creates with its key when there is none. It fails with ErrLocked when
// another process has it open and with keyring.ErrWrongKey when it belongs to another key.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Keys.Current == "" {
		o.Keys.Current, o.Keys.CreateCurrent = filepath.Join(o.DataDir, keyFile), true
	}
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	s := &Store{clock: newClock(o.Now), logger: o.Logger}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if s.lock, err = lockFile(filepath.Join(o.DataDir, lockName)); err != nil {
		return nil, err
	}
	if err := s.openFile(ctx, filepath.Join(o.DataDir, databaseFile)); err != nil {
		return nil, err
	}
	if err := s.unlock(ctx, o.Keys); err != nil {
		return nil, err
	}
	if s.schedule, err = loadSchedule(ctx, s.read); err != nil {
		return nil, err
	}
	if s.sealer.HasOld() {
		s.background(s.reseal)
	}
	if err := s.endOutboxLeases(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// openFile opens and migrates the database.
func (s *Store) openFile(ctx context.Context, path string) error {
	db, err := openPool(path, 1, false)
	if err != nil {
		return err
	}
	s.write = newWriter(db)
	if err := migrate(ctx, db); err != nil {
		return err
	}
	if s.read, err = openPool(path, readers, true); err != nil {
		return err
	}
	s.stmts, err = prepare(ctx, s.read)
	return err
}

// openPool opens the file. FULL makes every commit durable before it is answered: NORMAL could lose the last ones when
// the power fails.
func openPool(path string, size int, readOnly bool) (*sql.DB, error) {
	pragmas := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"wal_autocheckpoint(4000)", // pages: 16 MB
		"journal_size_limit(67108864)",
		"cache_size(-16384)", // KiB
		fmt.Sprintf("query_only(%t)", readOnly),
	}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: pragmas.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// unlock loads the keys and ties the database to them.
func (s *Store) unlock(ctx context.Context, files keyring.Files) error {
	var known bool
	err := s.write.do(ctx, func(t *tx) (err error) {
		known, err = keyring.Known(ctx, meta{t})
		return err
	}, nil)
	if err != nil {
		return fmt.Errorf("look for the database's key: %w", err)
	}
	if s.sealer, err = keyring.Load(files, known, s.logger); err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) (err error) {
		s.Hasher, err = keyring.Unlock(ctx, s.sealer, meta{t})
		return err
	}, nil)
}

// background runs work until it is done or the store is closed.
func (s *Store) background(work func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	s.leave = cancel
	s.working.Go(func() { work(ctx) })
}

// Close waits for writes under way and closes the file. Rows in flight are free for the next process. Closing again does
// nothing.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Store) close() error {
	var errs []error
	if s.leave != nil {
		s.leave()
		s.working.Wait()
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		s.write.close()
		errs = append(errs, s.write.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Ping commits a few bytes, so that it fails when a commit would: full disk, read-only file, lock held elsewhere. Unlike
// other calls it waits no longer than ctx says for a disk that hangs: whoever asks wants to be told.
func (s *Store) Ping(ctx context.Context) error {
	answer := make(chan error, 1)
	go func() {
		answer <- s.write.do(ctx, func(t *tx) error {
			return meta{t}.Put(t.ctx, "ping", fmt.Append(nil, s.clock.now()))
		}, nil)
	}()
	select {
	case err := <-answer:
		return wrap("ping the store", err)
	case <-ctx.Done():
		return wrap("ping the store", context.Cause(ctx))
	}
}

// meta is the table of small facts, inside a transaction.
type meta struct{ t *tx }

// Get implements keyring.Meta.
func (m meta) Get(_ context.Context, name string) ([]byte, bool, error) {
	var value []byte
	ok, err := m.t.row("SELECT value FROM meta WHERE name = ?", []any{name}, &value)
	return value, ok, err
}

// Put implements keyring.Meta.
func (m meta) Put(_ context.Context, name string, value []byte) error {
	return m.t.exec("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
}

// hash reads a hash column; NULL is the zero hash.
func hash(b []byte) push.Hash {
	var h push.Hash
	copy(h[:], b)
	return h
}
