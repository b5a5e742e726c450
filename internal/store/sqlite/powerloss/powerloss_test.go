package powerloss

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store/sqlite"
)

func TestMain(m *testing.M) {
	if err := install(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const app = push.AppID("com.example.a")

func hashOf(n int) (h push.Hash) {
	binary.BigEndian.PutUint64(h[8:], uint64(n+1))
	return h
}

func rows(from, count int) []push.Queued {
	out := make([]push.Queued, count)
	now := time.Now()
	for i := range out {
		out[i] = push.Queued{
			AppID: app, Device: hashOf(from + i), Dedup: hashOf(from + i), Payload: make([]byte, 700),
			Accepted: now, Due: now, Deadline: now.Add(time.Hour),
		}
	}
	return out
}

func open(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Options{DataDir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// moment is what had been promised when the power could have failed.
type moment struct {
	changes  []change
	promised map[push.Hash]bool // rows whose commit was answered
	ended    map[push.Hash]bool // rows whose verdict was answered
}

// TestPowerLoss_WhatWasCommittedIsThere fails the power after every transaction of a day's work: what a caller was told
// is on the disk, and the database opens, whatever became of the writes that were not synced.
func TestPowerLoss_WhatWasCommittedIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	ctx := t.Context()
	var moments []moment
	promised, ended := map[push.Hash]bool{}, map[push.Hash]bool{}
	note := func() {
		m := moment{changes: theDisk.snapshot(), promised: map[push.Hash]bool{}, ended: map[push.Hash]bool{}}
		for h := range promised {
			m.promised[h] = true
		}
		for h := range ended {
			m.ended[h] = true
		}
		moments = append(moments, m)
	}
	for i := range 12 {
		batch := rows(i*100, 40)
		_, err := s.Enqueue(ctx, batch, time.Minute)
		require.NoError(t, err)
		for _, r := range batch {
			promised[r.Dedup] = true
		}
		note()
		claimed, err := s.Claim(ctx, app, 15, time.Minute)
		require.NoError(t, err)
		require.NotEmpty(t, claimed)
		note()
		var done []push.Settlement
		for _, r := range claimed {
			done = append(done, push.Settlement{Held: push.Held{ID: r.ID, Lease: r.Lease}})
			delete(promised, r.Dedup) // being ended: there or not
		}
		_, err = s.Settle(ctx, done)
		require.NoError(t, err)
		for _, r := range claimed {
			ended[r.Dedup] = true
		}
		note()
	}
	key, err := os.ReadFile(filepath.Join(dir, "pushgate.key"))
	require.NoError(t, err)
	for i, m := range moments {
		for name, f := range map[string]fate{"lost": lost, "torn": torn} {
			image := t.TempDir()
			_, err := write(m.changes, dir, image, f)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(image, "pushgate.key"), key, 0o600))
			after := open(t, image)
			found := map[push.Hash]bool{}
			require.NoError(t, after.Waiting(ctx, func(r push.Queued) { found[r.Dedup] = true }), "moment %d, %s", i, name)
			for h := range m.promised {
				require.Truef(t, found[h], "moment %d, %s: a promised row is gone", i, name)
			}
			for h := range m.ended {
				require.Falsef(t, found[h], "moment %d, %s: an ended row is back", i, name)
			}
			require.NoError(t, after.Close())
		}
	}
}

// TestPowerLoss_TheShimDropsWhatWasNotSynced: a disk that was told nothing keeps nothing. Without this the other test
// could not fail.
func TestPowerLoss_TheShimDropsWhatWasNotSynced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	_, err := s.Enqueue(t.Context(), rows(1, 10), time.Minute)
	require.NoError(t, err)
	changes := theDisk.snapshot()
	synced := 0
	for i := range changes {
		if filepath.Dir(changes[i].path) == dir && changes[i].synced {
			synced++
			changes[i].synced = false // as if synchronous were OFF
		}
	}
	require.Positive(t, synced, "a commit syncs")
	image := t.TempDir()
	unsynced, err := write(changes, dir, image, lost)
	require.NoError(t, err)
	require.GreaterOrEqual(t, unsynced, synced)
	left, err := os.ReadDir(image)
	require.NoError(t, err)
	require.Empty(t, left)
}
