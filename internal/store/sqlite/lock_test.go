package sqlite_test

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/sqlite"
)

// envHolder makes this test binary a second process that holds a data directory until its input ends.
const envHolder = "PUSHGATE_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envHolder); dir != "" {
		s, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
		if err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString("open\n")
		_, _ = os.Stdin.Read(make([]byte, 1))
		_ = s.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestOpen_RefusesASecondOpener(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.NoError(t, err)
	_, err = sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.ErrorIs(t, err, sqlite.ErrLocked)
	require.NoError(t, first.Ping(context.Background()), "the first is not disturbed")
	require.NoError(t, first.Close())
	again, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestOpen_RefusesASecondProcessUntilItIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), envHolder+"="+dir)
	input, err := holder.StdinPipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = input.Close() })
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	_, err = out.Read(make([]byte, 5))
	require.NoError(t, err)

	_, err = sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.ErrorIs(t, err, sqlite.ErrLocked)
	require.NoError(t, holder.Process.Kill())
	_ = holder.Wait()
	s, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.NoError(t, err, "a killed process leaves no lock behind")
	require.NoError(t, s.Close())
}

func TestOpen_MakesPrivateFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	s, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	info, err = os.Stat(filepath.Join(dir, "pushgate.key"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, keyring.CheckFile(filepath.Join(dir, "pushgate.key")))
}

func TestOpen_NeedsTheKeyOfAnOldDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	key := filepath.Join(dir, "pushgate.key")
	require.NoError(t, os.Rename(key, key+".away"))
	_, err = sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.ErrorIs(t, err, fs.ErrNotExist, "a new key would open nothing")
	require.NoFileExists(t, key)
	require.NoError(t, os.Rename(key+".away", key))
	s, err = sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// Another program may lock the file for a while: a backup, a person with a shell.
func TestStore_LockedByAnotherProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	now := time.Now()
	row := []push.Queued{{AppID: "app", Device: push.Hash{1}, Dedup: push.Hash{2}, Accepted: now, Due: now, Deadline: now.Add(time.Hour)}}

	other, err := sql.Open("sqlite", filepath.Join(dir, "pushgate.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	conn, err := other.Conn(context.Background())
	require.NoError(t, err)
	_, err = conn.ExecContext(context.Background(), "BEGIN IMMEDIATE")
	require.NoError(t, err)

	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Enqueue(short, row, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded, "a caller waits as long as it wants to, not as long as the lock lasts")
	_, err = s.Enqueue(context.Background(), row, 0)
	require.ErrorContains(t, err, "locked")
	require.Error(t, s.Ping(context.Background()))
	got, err := s.Claim(context.Background(), "app", 10, time.Minute)
	require.NoError(t, err, "claims read only and go on")
	require.Empty(t, got)

	_, err = conn.ExecContext(context.Background(), "ROLLBACK")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, s.Ping(context.Background()))
	out, err := s.Enqueue(context.Background(), row, 0)
	require.NoError(t, err, "no restart is needed")
	require.Equal(t, push.EnqueueStored, out[0].State)
}
