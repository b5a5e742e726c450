package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestLedger_PushkeyTSDecides(t *testing.T) {
	t.Parallel()
	// Time of death is noon minus an hour; the device's new notification says when it was registered.
	death := time.Date(2026, 6, 1, 11, 0, 0, 400_000_000, time.UTC)
	tests := []struct {
		name       string
		registered time.Time
		want       push.State
		asked      bool
		entry      bool
	}{
		{"registered long before", death.Add(-time.Hour), push.StateRejected, false, true},
		{"a second before", death.Add(-time.Second), push.StateRejected, false, true},
		{"the same second: the provider decides", death, push.StateDelivered, true, false},
		{"a second after", death.Add(time.Second), push.StateDelivered, true, false},
		{"long after", death.Add(time.Hour), push.StateDelivered, true, false},
		{"no pushkey_ts: the provider decides", time.Time{}, push.StateDelivered, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.script("k", certain.diedAt(death), ok)
				require.Equal(t, push.StateRejected, h.state(event("k", "$1")))
				n := event("k", "$2")
				if !tt.registered.IsZero() {
					n = registered(n, tt.registered)
				}
				require.Equal(t, tt.want, h.state(n))
				require.Equal(t, 1+map[bool]int{true: 1}[tt.asked], h.provider.count())
				require.Equal(t, tt.entry, h.Stats().LedgerEntries == 1)
				synctest.Wait()
				h.restart()
				require.Equal(t, tt.entry, h.Stats().LedgerEntries == 1, "the store agrees")
			})
		})
	}
}

// Homeservers that never send pushkey_ts never lose a revived key, and a dead one is asked for each time.
func TestLedger_WithoutPushkeyTSTheProviderIsAskedEveryTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", certain, certain, certain, ok)
		require.Equal(t, push.StateRejected, h.state(event("k", "$1")))
		require.Equal(t, push.StateRejected, h.state(event("k", "$1")), "also for a copy: the key may have come back")
		require.Equal(t, push.StateRejected, h.state(event("k", "$2")))
		require.Equal(t, push.StateDelivered, h.state(event("k", "$3")))
		require.Zero(t, h.Stats().LedgerEntries)
	})
}

func TestLedger_JudgesTheTimeOfDeath(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name       string
		registered time.Time
		died       time.Time
		want       push.State
	}{
		{"later than registered", now.Add(-time.Hour), now.Add(-time.Minute), push.StateRejected},
		{"one second later", now.Add(-time.Hour), now.Add(-time.Hour + time.Second), push.StateRejected},
		{"within the second", now.Add(-time.Hour), now.Add(-time.Hour + 999*time.Millisecond), push.StateQueued},
		{"the same moment", now.Add(-time.Hour), now.Add(-time.Hour), push.StateQueued},
		{"before", now.Add(-time.Hour), now.Add(-2 * time.Hour), push.StateQueued},
		{"no time of death", now.Add(-time.Hour), time.Time{}, push.StateRejected},
		{"no pushkey_ts", time.Time{}, now.Add(-2 * time.Hour), push.StateRejected},
		{"neither", time.Time{}, time.Time{}, push.StateRejected},
		{"in the far future", now.Add(-time.Hour), now.AddDate(90, 0, 0), push.StateRejected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.script("k", certain.diedAt(tt.died), ok)
				n := event("k", "$1")
				if !tt.registered.IsZero() {
					n = registered(n, tt.registered)
				}
				require.Equal(t, tt.want, h.state(n))
				if tt.want == push.StateRejected {
					time.Sleep(2 * time.Second)
					require.Equal(t, push.StateDelivered, h.state(registered(event("k", "$2"), time.Now())), "re-registration clears")
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestLedger_RecordedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(certain)
		h.store.set(func(s *fakeStore) { s.slow = 300 * time.Millisecond })
		require.Equal(t, push.StateRejected, h.state(event("k", "$1")))
		require.Len(t, h.store.ledger(), 1)
	})
}

func TestLedger_OnlyForCallersOfThatApp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withSenders(Sender{San: "fd", AppIDs: []string{theApp}}))
		h.provider.all(certain)
		n := registered(event("k", "$1"), time.Now().Add(-time.Hour))
		fd := push.Caller{Path: push.PathGematik, Names: []string{"fd"}}
		for range 2 {
			out, err := h.Deliver(t.Context(), fd, []push.Notification{n})
			require.NoError(t, err)
			require.Equal(t, push.StateRejected, out[0].State)
		}
		require.Equal(t, push.StateUnknownApp, h.state(n), "an anonymous caller learns nothing")
	})
}

func TestLedger_SameKeyOfAnotherAppIsAlive(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		other := &fakeProvider{}
		h := newHarness(t, func(h *harness) {
			h.apps = append(h.apps, App{Pattern: "com.example.other", Provider: other})
		})
		h.provider.all(certain)
		old := time.Now().Add(-time.Hour)
		require.Equal(t, push.StateRejected, h.state(registered(event("k", "$1"), old)))
		n := registered(event("k", "$1"), old)
		n.Device.AppID = "com.example.other"
		require.Equal(t, push.StateDelivered, h.state(n))
	})
}

// What the old settings led to may wait for the store when new ones come: it is dropped there as well, in whatever order
// the store's return is noticed.
func TestLedger_NewSettingsDropGuardedEntriesThatWaitForTheStore(t *testing.T) {
	t.Parallel()
	for phase := range 10 {
		t.Run(fmt.Sprint(phase), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.state(event("good", "$e"))
				time.Sleep(time.Duration(phase) * 100 * time.Millisecond)
				h.store.set(func(s *fakeStore) { s.down = true })
				h.provider.script("k", guarded, ok)
				require.Equal(t, push.StateRejected, h.state(event("k", "$e")))
				h.apps[0].Fingerprint = "two"
				require.NoError(t, h.Reload(h.cfg, h.apps, nil))
				time.Sleep(time.Minute)
				h.store.set(func(s *fakeStore) { s.down = false })
				time.Sleep(time.Minute)
				require.Empty(t, h.store.ledger())
			})
		})
	}
}

func TestLedger_ARestartWithTheSameSettingsKeepsGuardedEntries(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		old := time.Now().Add(-time.Hour)
		h.state(event("good", "$e"))
		h.provider.script("k", guarded)
		require.Equal(t, push.StateRejected, h.state(registered(event("k", "$1"), old)))
		h.restart()
		require.Equal(t, push.StateRejected, h.state(registered(event("k", "$2"), old)))
		require.Equal(t, 2, h.provider.count())
	})
}

// Nodes take a change of settings one after the other. What a node with the old ones believes dead is asked again by
// those that have the new ones, and is gone when all have them.
func TestLedger_RollingReload(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		a := newHarness(t, withStore(newFakeStore().shared()))
		b := newHarness(t, withStore(a.store.shared()))
		old := time.Now().Add(-time.Hour)
		reload := func(h *harness) {
			h.apps[0].Fingerprint = "two"
			require.NoError(t, h.Reload(h.cfg, h.apps, nil))
			time.Sleep(5 * time.Second)
		}
		b.provider.script("k", guarded, ok)
		require.Equal(t, push.StateDelivered, b.state(event("good", "$1")))
		reload(a)
		require.Equal(t, push.StateRejected, b.state(registered(event("k", "$2"), old)))
		require.Equal(t, push.StateRejected, b.state(registered(event("k", "$3"), old)), "b has its reasons still")
		require.Equal(t, 2, b.provider.count())
		time.Sleep(followEvery + time.Second)
		require.Equal(t, push.StateDelivered, a.state(registered(event("k", "$4"), old)), "a has not")
		reload(b)
		require.Empty(t, a.store.ledger())
		require.Equal(t, push.StateDelivered, b.state(registered(event("k", "$5"), old)))
	})
}

// A node that starts with the new settings does not believe either what others find out with the old ones.
func TestLedger_RollingRestart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		a := newHarness(t, withStore(newFakeStore().shared()))
		b := newHarness(t, withStore(a.store.shared()))
		old := time.Now().Add(-time.Hour)
		b.provider.script("k", guarded)
		require.Equal(t, push.StateDelivered, b.state(event("good", "$1")))
		a.stop()
		a.apps[0].Fingerprint = "two"
		a.boot()
		require.Equal(t, push.StateRejected, b.state(registered(event("k", "$2"), old)))
		time.Sleep(followEvery + time.Second)
		require.Zero(t, a.Stats().LedgerEntries)
		a.restart()
		require.Equal(t, push.StateDelivered, a.state(registered(event("k", "$3"), old)))
	})
}

// An entry that was cleared and came back with an earlier death stands as it is in the store, also where the clearing
// was not seen.
func TestLedger_AnEarlierDeathAfterAClearingThatWasNotSeen(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withStore(newFakeStore().shared()))
		died := time.Now().Add(-24 * time.Hour)
		entry := push.DeadKey{AppID: theApp, Device: h.hasher.Hash(purposeDevice, theApp, "k"), Since: died}
		record := func(d push.DeadKey) {
			require.NoError(t, h.store.Record(t.Context(), []push.DeadKey{d}))
		}
		later := entry
		later.Since = died.Add(2 * time.Hour)
		record(later)
		time.Sleep(followEvery + time.Second)
		require.NoError(t, h.store.Clear(t.Context(), theApp, entry.Device))
		record(entry)
		time.Sleep(followEvery + time.Second)
		require.Equal(t, push.StateDelivered, h.state(registered(event("k", "$2"), died.Add(time.Hour))))
	})
}

// A clock that ran ahead for a while must not date a death so late that the next registration seems to lie before it.
func TestLedger_ADeathSeenByAClockThatJumpedAhead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", certain, ok)
		time.Sleep(time.Minute)
		h.watch.mu.Lock()
		h.watch.drift = -24 * time.Hour // as if the wall clock had jumped ahead by a day just now
		h.watch.mu.Unlock()
		require.Equal(t, push.StateRejected, h.state(event("k", "$1")))
		anew := time.Now().Add(-24*time.Hour + time.Minute) // a minute later, and the clock is right again
		require.Equal(t, push.StateDelivered, h.state(registered(event("k", "$2"), anew)))
	})
}

func TestLedger_KeptThirtyDays(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", certain, ok)
		old := time.Now().Add(-time.Hour)
		require.Equal(t, push.StateRejected, h.state(registered(event("k", "$1"), old)))
		h.stop()
		time.Sleep(29 * 24 * time.Hour)
		h.boot()
		time.Sleep(2 * time.Second)
		require.Equal(t, push.StateRejected, h.state(registered(event("k", "$2"), old)))
		h.stop()
		time.Sleep(2 * 24 * time.Hour)
		h.boot()
		time.Sleep(2 * time.Second)
		require.Zero(t, h.Stats().LedgerEntries)
		require.Equal(t, push.StateDelivered, h.state(registered(event("k", "$3"), old)))
	})
}

func TestLedger_FollowsOtherNodes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFakeStore()
		a := newHarness(t, withStore(store.shared()))
		b := newHarness(t, withStore(store.shared()))
		old := time.Now().Add(-time.Hour)
		a.provider.script("k", certain)
		require.Equal(t, push.StateRejected, a.state(registered(event("k", "$1"), old)))
		b.node.changed <- struct{}{}
		synctest.Wait()
		require.Equal(t, push.StateRejected, b.state(registered(event("k", "$2"), old)))
		require.Zero(t, b.provider.count())
		require.Equal(t, push.StateDelivered, b.state(registered(event("k", "$3"), time.Now())))
		time.Sleep(followEvery + time.Second) // without a notification
		require.Zero(t, a.Stats().LedgerEntries)
	})
}

func TestDeadKeys_Mirror(t *testing.T) {
	t.Parallel()
	var d deadKeys
	device := push.Hash{1}
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	entry := push.DeadKey{AppID: "a", Device: device, Since: at, Recorded: at}
	require.Equal(t, standingUnlisted, d.check(device, 0))
	d.put(entry)
	d.put(push.DeadKey{AppID: "a", Device: device, Since: at.Add(-time.Hour), Recorded: at, Guarded: true})
	require.Equal(t, standingDead, d.check(device, at.Unix()-1), "the later death wins")
	d.removeGuarded("a")
	require.EqualValues(t, 1, d.size.Load(), "a certain entry stays")
	d.put(push.DeadKey{AppID: "a", Device: device, Since: at.Add(time.Hour), Recorded: at, Guarded: true})
	d.removeGuarded("b")
	require.EqualValues(t, 1, d.size.Load(), "another app's settings")
	d.removeGuarded("a")
	require.Zero(t, d.size.Load())
	d.put(entry)
	d.prune(at)
	require.EqualValues(t, 1, d.size.Load())
	d.prune(at.Add(24 * time.Hour))
	require.Zero(t, d.size.Load())
	d.put(entry)
	d.removeApp("b")
	require.True(t, d.remove(device))
	require.False(t, d.remove(device))
}
