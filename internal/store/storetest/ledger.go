package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store"
)

func ledgerCases() []testCase {
	return []testCase{
		{"an entry comes back whole", ledgerWhole},
		{"of two the later time of death wins", ledgerLaterWins},
		{"changes come in order and in pages", ledgerPages},
		{"a cleared entry is a change", ledgerClear},
		{"a cleared entry can die again", ledgerClearThenDead},
		{"changed settings drop guarded entries of that app", ledgerSettings},
		{"guarded entries of other settings go whenever settings are noted", ledgerSettingsLate},
		{"settings are remembered over a restart", ledgerSettingsRestart},
		{"pruning removes what is old, and says so", ledgerPrune},
		{"numbers are never used twice", ledgerNumbers},
		{"entries survive a crash", ledgerSurvives},
		{"hashes are keyed, framed and stay the same", ledgerHashes},
		{"ping", func(t *testing.T, h *Harness) { require.NoError(t, h.Store.Ping(ctxOf(t))) }},
	}
}

func changes(t *testing.T, s store.Store, after int64) []push.DeadKey {
	t.Helper()
	out, err := s.Changes(ctxOf(t), after, 1000)
	require.NoError(t, err)
	for i := range out {
		require.Greater(t, out[i].Seq, after, "numbers rise")
		after = out[i].Seq
	}
	return out
}

func record(t *testing.T, s store.Store, dead ...push.DeadKey) {
	t.Helper()
	require.NoError(t, s.Record(ctxOf(t), dead))
}

func (h *Harness) dead(n int, ago time.Duration) push.DeadKey {
	return push.DeadKey{AppID: appA, Device: hashOf(n), Since: h.Now().Add(-ago).Truncate(time.Millisecond)}
}

func ledgerWhole(t *testing.T, h *Harness) {
	d := h.dead(1, time.Hour)
	d.AppID, d.Guarded, d.Settings = appB, true, hashOf(7)
	record(t, h.Store, d)
	got := changes(t, h.Store, 0)
	require.Len(t, got, 1)
	require.True(t, d.Since.Equal(got[0].Since))
	closeTo(t, h.Now(), got[0].Recorded, "recorded")
	d.Since, d.Recorded, d.Seq = got[0].Since, got[0].Recorded, got[0].Seq
	require.Equal(t, d, got[0])
}

func ledgerLaterWins(t *testing.T, h *Harness) {
	older, newer := h.dead(1, time.Hour), h.dead(1, time.Minute)
	guarded := newer
	guarded.Guarded = true
	for _, step := range []struct {
		name   string
		record push.DeadKey
		want   push.DeadKey
	}{
		{"the first", older, older},
		{"a later guarded one wins", guarded, guarded},
		{"an earlier one changes nothing", older, guarded},
		{"at the same time the certain one wins", newer, newer},
		{"at the same time the guarded one changes nothing", guarded, newer},
	} {
		record(t, h.Store, step.record)
		got := changes(t, h.Store, 0)
		require.Len(t, got, 1, step.name)
		require.True(t, step.want.Since.Equal(got[0].Since), step.name)
		require.Equal(t, step.want.Guarded, got[0].Guarded, step.name)
	}
	both := h.dead(2, time.Hour)
	bothLater := h.dead(2, time.Minute)
	record(t, h.Store, bothLater, both)
	got := changes(t, h.Store, 0)
	require.True(t, bothLater.Since.Equal(got[len(got)-1].Since), "also inside one call")
}

func ledgerPages(t *testing.T, h *Harness) {
	for n := range 25 {
		record(t, h.Store, h.dead(n, time.Hour))
	}
	var seen []push.DeadKey
	for after := int64(0); ; {
		page, err := h.Store.Changes(ctxOf(t), after, 10)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		seen = append(seen, page...)
		after = page[len(page)-1].Seq
	}
	require.Len(t, seen, 25)
	for n, d := range seen {
		require.Equal(t, hashOf(n), d.Device)
	}
}

func ledgerClear(t *testing.T, h *Harness) {
	record(t, h.Store, h.dead(1, time.Hour), h.dead(2, time.Hour))
	known := changes(t, h.Store, 0)
	require.NoError(t, h.Store.Clear(ctxOf(t), "com.example.other.name", hashOf(1)))
	got := changes(t, h.Store, known[1].Seq)
	require.Len(t, got, 1)
	require.Equal(t, hashOf(1), got[0].Device)
	require.True(t, got[0].Cleared)
	require.NoError(t, h.Store.Clear(ctxOf(t), appA, hashOf(99)))
	require.Empty(t, changes(t, h.Store, got[0].Seq), "clearing what is not there is no change")
}

func ledgerClearThenDead(t *testing.T, h *Harness) {
	record(t, h.Store, h.dead(1, time.Minute))
	require.NoError(t, h.Store.Clear(ctxOf(t), appA, hashOf(1)))
	again := h.dead(1, time.Hour)
	record(t, h.Store, again)
	got := changes(t, h.Store, 0)
	require.Len(t, got, 1)
	require.False(t, got[0].Cleared)
	require.True(t, again.Since.Equal(got[0].Since), "the cleared entry's time counts no more")
}

func ledgerSettings(t *testing.T, h *Harness) {
	guarded, certain, other := h.dead(1, time.Hour), h.dead(2, time.Hour), h.dead(3, time.Hour)
	guarded.Guarded, other.Guarded, other.AppID = true, true, appB
	guarded.Settings, other.Settings = hashOf(1), hashOf(1)
	set := func(app push.AppID, n int) { require.NoError(t, h.Store.Settings(ctxOf(t), app, hashOf(n))) }
	set(appA, 1)
	set(appB, 1)
	record(t, h.Store, guarded, certain, other)
	known := changes(t, h.Store, 0)
	set(appA, 1)
	require.Empty(t, changes(t, h.Store, known[2].Seq), "the same settings change nothing")
	set(appA, 2)
	got := changes(t, h.Store, known[2].Seq)
	require.Len(t, got, 1)
	require.Equal(t, hashOf(1), got[0].Device)
	require.True(t, got[0].Cleared)
}

// While a change of settings goes from node to node, one that has the old ones still records what they lead to.
func ledgerSettingsLate(t *testing.T, h *Harness) {
	late, own, certain := h.dead(1, time.Hour), h.dead(2, time.Hour), h.dead(3, time.Hour)
	late.Guarded, late.Settings = true, hashOf(1)
	own.Guarded, own.Settings = true, hashOf(2)
	require.NoError(t, h.Store.Settings(ctxOf(t), appA, hashOf(1)))
	require.NoError(t, h.Store.Settings(ctxOf(t), appA, hashOf(2)))
	record(t, h.Store, late, own, certain)
	known := changes(t, h.Store, 0)
	require.NoError(t, h.Store.Settings(ctxOf(t), appA, hashOf(2)))
	got := changes(t, h.Store, known[2].Seq)
	require.Len(t, got, 1)
	require.Equal(t, late.Device, got[0].Device)
	require.True(t, got[0].Cleared)
	record(t, h.Store, late)
	require.Equal(t, late.Settings, changes(t, h.Store, got[0].Seq)[0].Settings, "a later entry is of its own settings")
	require.NoError(t, h.Store.Settings(ctxOf(t), appA, hashOf(1)))
	for _, d := range changes(t, h.Store, 0) {
		require.Equal(t, d.Guarded, d.Cleared, "who goes back to old settings starts anew as well")
	}
}

func ledgerSettingsRestart(t *testing.T, h *Harness) {
	d := h.dead(1, time.Hour)
	d.Guarded, d.Settings = true, hashOf(1)
	require.NoError(t, h.Store.Settings(ctxOf(t), appA, hashOf(1)))
	record(t, h.Store, d)
	s := h.Restart(t)
	require.NoError(t, s.Settings(ctxOf(t), appA, hashOf(1)))
	require.False(t, changes(t, s, 0)[0].Cleared)
	require.NoError(t, s.Settings(ctxOf(t), appA, hashOf(2)))
	require.True(t, changes(t, s, 0)[0].Cleared)
}

func ledgerPrune(t *testing.T, h *Harness) {
	record(t, h.Store, h.dead(1, time.Hour))
	h.Advance(t, 40*24*time.Hour)
	record(t, h.Store, h.dead(2, time.Hour))
	known := changes(t, h.Store, 0)
	require.NoError(t, h.Store.Prune(ctxOf(t), h.Now().Add(-30*24*time.Hour)))
	got := changes(t, h.Store, known[1].Seq)
	require.Len(t, got, 1, "followers learn that the old entry is gone")
	require.Equal(t, hashOf(1), got[0].Device)
	require.True(t, got[0].Cleared)
	h.Advance(t, 40*24*time.Hour)
	require.NoError(t, h.Store.Prune(ctxOf(t), h.Now().Add(-30*24*time.Hour)))
	for _, d := range changes(t, h.Store, 0) {
		require.NotEqual(t, hashOf(1), d.Device, "in the end the mark goes too")
	}
}

func ledgerNumbers(t *testing.T, h *Harness) {
	record(t, h.Store, h.dead(1, time.Hour))
	last := changes(t, h.Store, 0)[0].Seq
	for range 2 {
		h.Advance(t, 40*24*time.Hour)
		require.NoError(t, h.Store.Prune(ctxOf(t), h.Now().Add(-30*24*time.Hour)))
	}
	require.Empty(t, changes(t, h.Store, last+1))
	s := h.Restart(t)
	record(t, s, h.dead(2, time.Hour))
	got := changes(t, s, 0)
	require.Greater(t, got[len(got)-1].Seq, last)
}

func ledgerSurvives(t *testing.T, h *Harness) {
	record(t, h.Store, h.dead(1, time.Hour))
	want := changes(t, h.Store, 0)
	got := changes(t, h.Crash(t), 0)
	require.Len(t, got, 1)
	require.Equal(t, want[0].Seq, got[0].Seq)
	require.Equal(t, want[0].Device, got[0].Device)
}

func ledgerHashes(t *testing.T, h *Harness) {
	inputs := [][]string{
		{"device", "ab", "c"}, {"device", "a", "bc"}, {"device", "abc"}, {"device", "abc", ""}, {"devicea", "bc"}, {"device"}, {""}, {"badge", "ab", "c"},
	}
	seen := map[push.Hash]string{}
	for _, in := range inputs {
		sum := h.Store.Hash(in[0], in[1:]...)
		require.False(t, sum.IsZero())
		require.NotContains(t, seen, sum, fmt.Sprint(in))
		seen[sum] = fmt.Sprint(in)
	}
	s := h.Restart(t)
	for _, in := range inputs {
		require.Equal(t, fmt.Sprint(in), seen[s.Hash(in[0], in[1:]...)])
	}
}
