package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/store"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/sqlite"
	"github.com/pushgate/pushgate/internal/store/storetest"
)

func TestStore_Conformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, newHarness)
}

// disk is a data directory and the store that has it open.
type disk struct {
	t     *testing.T
	dir   string
	clock *storetest.Clock
	log   storetest.Log
	open  store.Store
}

func newHarness(t *testing.T) *storetest.Harness {
	d := &disk{t: t, dir: t.TempDir(), clock: storetest.NewClock()}
	t.Cleanup(func() { _ = d.open.Close() })
	s, err := d.start(keyring.Files{})
	require.NoError(t, err)
	return &storetest.Harness{
		Store:   s,
		Now:     d.clock.Now,
		Advance: func(_ *testing.T, by time.Duration) { d.clock.Advance(by) },
		Log:     &d.log,
		KeyFile: filepath.Join(d.dir, "pushgate.key"),
		Restart: func(t *testing.T) store.Store {
			require.NoError(t, d.open.Close())
			s, err := d.start(keyring.Files{})
			require.NoError(t, err)
			return s
		},
		Crash: d.crash,
		Reopen: func(t *testing.T, keys keyring.Files) (store.Store, error) {
			require.NoError(t, d.open.Close())
			return d.start(keys)
		},
		Raw:    d.raw,
		Damage: d.damage,
	}
}

func (d *disk) start(keys keyring.Files) (store.Store, error) {
	s, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: d.dir, Keys: keys, Now: d.clock.Now, Logger: d.log.Logger()})
	if err != nil {
		return nil, err
	}
	d.open = s
	return s, nil
}

// crash goes on with a copy of the files as they are now, taken while the store is open: nothing was closed in order.
func (d *disk) crash(t *testing.T) store.Store {
	killed, image := d.open, t.TempDir()
	entries, err := os.ReadDir(d.dir)
	require.NoError(t, err)
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".db-shm" {
			continue // shared memory does not outlive its processes
		}
		text, err := os.ReadFile(filepath.Join(d.dir, e.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(image, e.Name()), text, 0o600))
	}
	require.NoError(t, killed.Close())
	d.dir = image
	s, err := d.start(keyring.Files{})
	require.NoError(t, err)
	return s
}

func (d *disk) raw(t *testing.T) []byte {
	var all []byte
	for _, name := range []string{"pushgate.db", "pushgate.db-wal"} {
		text, err := os.ReadFile(filepath.Join(d.dir, name))
		require.NoError(t, err)
		all = append(all, text...)
	}
	return all
}

func (d *disk) damage(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(d.dir, "pushgate.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	rows, err := db.Query("SELECT id, body FROM payload")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	bodies := map[int64][]byte{}
	for rows.Next() {
		var id int64
		var body []byte
		require.NoError(t, rows.Scan(&id, &body))
		body[len(body)-1] ^= 1
		bodies[id] = body
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, bodies)
	for id, body := range bodies {
		_, err := db.Exec("UPDATE payload SET body = ? WHERE id = ?", body, id)
		require.NoError(t, err)
	}
}
