package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	cfg := RejectGuard{Enabled: true, Share: 0.2, Min: 50, Window: 5 * time.Minute}
	start := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	// sends are (n bad, n good, n bad) at a tenth of a second each.
	tests := []struct {
		name           string
		cfg            RejectGuard
		proven         bool
		old, good, bad int
		later          time.Duration
		want           bool
	}{
		{"no success yet", cfg, false, 0, 0, 1, 0, false},
		{"one of two", cfg, true, 0, 1, 1, 0, true},
		{"nine among the first", cfg, true, 0, 1, 9, 0, true},
		{"ten among the first", cfg, true, 0, 1, 10, 0, false},
		{"nine of fifty", cfg, true, 0, 41, 9, 0, true},
		{"ten of fifty", cfg, true, 0, 40, 10, 0, false},
		{"twenty of a hundred and one in the window", cfg, true, 11, 81, 9, 0, true},
		{"twenty-one of a hundred and one in the window", cfg, true, 12, 80, 9, 0, false},
		{"the window is over, the last fifty count", cfg, true, 12, 80, 9, time.Hour, true},
		{"nine at once after a busy time", cfg, true, 0, 1000, 9, 0, true},
		{"ten at once after a busy time", cfg, true, 0, 1000, 10, 0, false},
		{"all at once after a busy time", cfg, true, 0, 1000, 200, 0, false},
		{"the window is over, the wave is still the last", cfg, true, 0, 1000, 10, time.Hour, false},
		{"switched off", RejectGuard{}, false, 0, 0, 100, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var g guard
			if tt.proven {
				g.prove()
			}
			now := start
			for i := range tt.old + tt.good + tt.bad {
				g.record(tt.cfg, now, i < tt.old || i >= tt.old+tt.good)
				now = now.Add(100 * time.Millisecond)
			}
			require.Equal(t, tt.want, g.believes(tt.cfg, now.Add(tt.later)))
		})
	}
}

func TestGuard_OldSendsLeaveTheRing(t *testing.T) {
	t.Parallel()
	cfg := RejectGuard{Enabled: true, Share: 0.2, Min: 10, Window: time.Minute}
	var g guard
	g.prove()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for range 5 {
		g.record(cfg, now, true)
	}
	require.False(t, g.believes(cfg, now))
	now = now.Add(time.Hour)
	for range 10 {
		g.record(cfg, now, false)
		now = now.Add(time.Minute)
	}
	g.record(cfg, now, true)
	require.True(t, g.believes(cfg, now))
	cfg.Min = 20
	g.record(cfg, now, true)
	require.True(t, g.believes(cfg, now), "a new min begins a new ring")
}

func TestGuard_OneGuardedVerdictAfterASuccessCounts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		require.Equal(t, push.StateDelivered, h.state(event("good", "$e")))
		h.provider.script("bad", guarded)
		require.Equal(t, push.StateRejected, h.state(event("bad", "$e")))
		require.False(t, h.observer.alert(theApp+" guard_held"))
		for _, d := range h.store.ledger() {
			require.True(t, d.Guarded)
		}
	})
}

// A success of the old settings that arrives late must not prove the new ones, nor an old guarded verdict count for them.
func TestGuard_RequestsUnderWayAtAReloadSpeakForTheirOwnSettings(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("late-good", ok.after(2*time.Second))
		h.provider.script("late-bad", guarded.after(4*time.Second))
		h.state(event("good", "$0"))
		answers := make(chan push.State, 2)
		go func() { h.state(event("late-good", "$e")) }()
		go func() { answers <- h.state(event("late-bad", "$e")) }()
		time.Sleep(time.Second)
		next := &fakeProvider{}
		next.script("bad", guarded, throttled)
		h.apps[0].Provider, h.apps[0].Fingerprint = next, "two"
		require.NoError(t, h.Reload(h.cfg, h.apps, nil))
		time.Sleep(2 * time.Second)
		require.Equal(t, push.StateQueued, h.state(event("bad", "$e")), "not proven by the old settings' success")
		require.Equal(t, push.StateDelivered, h.state(event("good", "$1")))
		require.Equal(t, push.StateQueued, <-answers, "the old settings' verdict")
		require.Empty(t, h.store.ledger())
		next.script("bad", ok)
		time.Sleep(time.Minute)
	})
}

func TestGuard_NothingToSendProvesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("empty", answer{outcome: push.Outcome{Verdict: push.Delivered, Reason: push.ReasonNothingToSend}})
		require.Equal(t, push.StateDelivered, h.state(event("empty", "$e")))
		h.provider.script("bad", guarded)
		require.Equal(t, push.StateQueued, h.state(event("bad", "$e")))
		h.provider.script("bad", throttled)
	})
}

// The environment was swapped (F20): every token is bad. Nobody is rejected, and the fix delivers everything.
func TestGuard_SwappedEnvironment(t *testing.T) {
	t.Parallel()
	for _, provenBefore := range []bool{false, true} {
		t.Run(fmt.Sprintf("proven before: %v", provenBefore), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				if provenBefore {
					require.Equal(t, push.StateDelivered, h.state(event("first", "$e")))
				}
				swapped := &fakeProvider{}
				swapped.all(guarded)
				h.apps[0].Provider, h.apps[0].Fingerprint = swapped, "swapped"
				require.NoError(t, h.Reload(h.cfg, h.apps, nil))
				for i := range 200 {
					require.Equal(t, push.StateQueued, h.state(event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e")))
				}
				time.Sleep(time.Hour)
				require.True(t, h.observer.alert(theApp+" guard_held"))
				require.Zero(t, h.Stats().Account.Rejected)
				require.Empty(t, h.store.ledger())
				require.Len(t, h.store.all(), 200)
				fixed := &fakeProvider{}
				fixed.script("k7", guarded) // one is really dead
				h.apps[0].Provider, h.apps[0].Fingerprint = fixed, "fixed"
				require.NoError(t, h.Reload(h.cfg, h.apps, nil))
				time.Sleep(time.Hour)
				require.Empty(t, h.store.all())
				require.Equal(t, 199, fixed.delivered())
				require.EqualValues(t, 1, h.Stats().Account.Rejected)
				require.False(t, h.observer.alert(theApp+" guard_held"))
			})
		})
	}
}

func TestGuard_MassOfGuardedVerdictsIsHeldDespiteSuccesses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		for i := range 100 {
			key := push.Pushkey(fmt.Sprintf("k%d", i))
			if i%2 == 1 {
				h.provider.script(key, guarded)
			}
			h.state(event(key, "$e"))
		}
		require.Less(t, h.Stats().Account.Rejected, uint64(10), "the share is an alarm, not a quota")
		require.True(t, h.observer.alert(theApp+" guard_held"))
		h.provider.mu.Lock()
		h.provider.scripts = nil
		h.provider.mu.Unlock()
		time.Sleep(time.Hour)
	})
}

func TestGuard_ChangedSettingsDropGuardedEntries(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"reload", "restart", "reload with the store away"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				old := time.Now().Add(-time.Hour)
				h.state(event("good", "$e"))
				h.provider.script("guarded", guarded, ok)
				h.provider.script("certain", certain, ok)
				require.Equal(t, push.StateRejected, h.state(registered(event("guarded", "$1"), old)))
				require.Equal(t, push.StateRejected, h.state(registered(event("certain", "$1"), old)))
				require.Equal(t, push.StateRejected, h.state(registered(event("guarded", "$2"), old)))
				h.apps[0].Fingerprint = "two"
				switch how {
				case "restart":
					h.restart()
				case "reload with the store away":
					h.store.set(func(s *fakeStore) { s.down = true })
					require.NoError(t, h.Reload(h.cfg, h.apps, nil))
					h.store.set(func(s *fakeStore) { s.down = false })
				default:
					require.NoError(t, h.Reload(h.cfg, h.apps, nil))
				}
				require.Equal(t, push.StateDelivered, h.state(registered(event("guarded", "$3"), old)))
				require.Equal(t, push.StateRejected, h.state(registered(event("certain", "$3"), old)))
				time.Sleep(time.Minute)
				h.restart()
				require.Equal(t, 1, h.Stats().LedgerEntries, "the store knows it too")
				require.Zero(t, h.provider.closes()-map[string]int{"restart": 2}[how]-map[bool]int{true: 1}[how != "restart"], "an unchanged provider stays open over a reload")
			})
		})
	}
}
