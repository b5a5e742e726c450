package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// gaps returns the times between the attempts for one pushkey.
func (h *harness) gaps(key push.Pushkey) []time.Duration {
	var gaps []time.Duration
	var last time.Time
	for _, s := range h.provider.sends() {
		if s.note.Device.Pushkey != key {
			continue
		}
		if !last.IsZero() {
			gaps = append(gaps, s.at.Sub(last))
		}
		last = s.at
	}
	return gaps
}

// between demands that a gap is a delay, or up to a fifth more.
func between(t *testing.T, gap, delay time.Duration) {
	t.Helper()
	require.GreaterOrEqual(t, gap, delay)
	require.LessOrEqual(t, gap, delay+delay/5+10*time.Millisecond)
}

func TestRetry_FollowsTheLadder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, throttled, throttled, throttled, throttled, throttled, throttled, throttled, throttled, ok)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		time.Sleep(2 * time.Hour)
		gaps := h.gaps("k")
		require.Len(t, gaps, 9)
		for i, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 320 * time.Second, 640 * time.Second, 15 * time.Minute, 15 * time.Minute} {
			between(t, gaps[i], want)
		}
		require.Empty(t, h.store.all(), "deleted with the final verdict")
		require.Equal(t, push.StateDelivered, h.state(event("k", "$e")), "a later copy is suppressed")
		require.Equal(t, 10, h.provider.count())
	})
}

func TestRetry_HonoursWhatTheProviderAsks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("hour", throttled.delayed(time.Hour), ok)
		h.provider.script("decade", throttled.delayed(10*365*24*time.Hour), ok)
		h.provider.script("broken", answer{outcome: push.Outcome{Reason: "goaway", Transport: true, Scope: push.ScopeConnection}}, unreachable, ok)
		h.states(event("hour", "$e"), event("decade", "$e"), event("broken", "$e"))
		time.Sleep(23 * time.Hour)
		between(t, h.gaps("hour")[0], time.Hour)
		require.Empty(t, h.gaps("decade"), "no sends before the time")
		require.LessOrEqual(t, h.gaps("broken")[0], 2*time.Second, "another connection may work at once")
		between(t, h.gaps("broken")[1], 20*time.Second)
		require.Len(t, h.store.all(), 1, "capped by the deadline")
		time.Sleep(2 * time.Hour)
		require.Empty(t, h.store.all())
		require.Empty(t, h.gaps("decade"), "never late")
		require.EqualValues(t, 1, h.Stats().Account.Expired)
	})
}

func TestRetry_AppScopeDelaysTheWholeAppAndNoOther(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		other := &fakeProvider{}
		h := newHarness(t, func(h *harness) {
			h.apps = append(h.apps, App{Pattern: "com.example.other", Provider: other, Kind: "fcm"})
		})
		h.provider.script("first", throttled.delayed(time.Minute).scoped(push.ScopeApp), ok)
		require.Equal(t, push.StateQueued, h.state(event("first", "$e")))
		require.Equal(t, push.StateQueued, h.state(event("second", "$e")), "not attempted")
		require.Equal(t, 1, h.provider.count())
		elsewhere := event("third", "$e")
		elsewhere.Device.AppID = "com.example.other"
		require.Equal(t, push.StateDelivered, h.state(elsewhere))
		time.Sleep(59 * time.Second)
		require.Equal(t, 1, h.provider.count())
		time.Sleep(20 * time.Second)
		require.Equal(t, 2, h.provider.delivered())
		require.Equal(t, push.StateDelivered, h.state(event("fourth", "$e")))
	})
}

func TestRetry_ARandom5xxStopsNobodyElse(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", unreachable.scoped(push.ScopeApp), ok)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		require.Equal(t, push.StateDelivered, h.state(event("l", "$e")))
	})
}

func TestRetry_VerdictIsInTheLedgerWithTheRowsEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		n := registered(event("k", "$e"), time.Now().Add(-time.Hour))
		h.provider.script("k", throttled, certain)
		require.Equal(t, push.StateQueued, h.state(n))
		time.Sleep(15 * time.Second)
		require.Empty(t, h.store.all())
		require.Zero(t, h.store.count("record"), "no transaction of its own")
		for i := range 3 {
			again := registered(event("k", fmt.Sprintf("$f%d", i)), time.Now().Add(-time.Hour))
			require.Equal(t, push.StateRejected, h.state(again), "reported on the next call, every time")
		}
		require.Equal(t, 2, h.provider.count())
		h.restart()
		require.Equal(t, push.StateRejected, h.state(registered(event("k", "$g"), time.Now().Add(-time.Hour))))
	})
}

func TestRetry_DeadBeforeItsRegistrationIsTriedThreeTimesAndDeadLettered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		now := time.Now()
		h.provider.script("k", certain.diedAt(now.Add(-time.Hour)))
		require.Equal(t, push.StateQueued, h.state(registered(event("k", "$e"), now.Add(-time.Minute))))
		time.Sleep(time.Hour)
		require.Equal(t, 4, h.provider.count())
		require.Empty(t, h.store.all())
		require.Zero(t, h.Stats().LedgerEntries)
		require.Equal(t, 1, h.observer.final(theApp+" apns dead_lettered dead_before_registration"))
	})
}

func TestRetry_ExpiresAtItsDeadlineAndNeverSendsLate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		lifetime time.Duration
		deadline time.Duration
	}{
		{"retention", 0, 24 * time.Hour},
		{"a call", 30 * time.Second, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t, withApp(func(a *App) { a.Lifetime = tt.lifetime }))
				h.provider.all(throttled)
				began := time.Now()
				require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
				time.Sleep(tt.deadline + expireEvery + 2*time.Second)
				require.Empty(t, h.store.all())
				for _, s := range h.provider.sends() {
					require.Less(t, s.at.Sub(began), tt.deadline)
				}
				require.Greater(t, h.provider.count(), 1)
				require.EqualValues(t, 1, h.Stats().Account.Expired)
				require.Equal(t, 1, h.observer.final(theApp+" apns expired deadline"))
			})
		})
	}
}

// A call's row may stand in line for a slot when its time is over.
func TestRetry_ExpiresInLine(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.Lifetime, a.MaxInFlight = 30*time.Second, 1 }))
		h.provider.script("call", throttled.delayed(20*time.Second), ok)
		require.Equal(t, push.StateQueued, h.state(event("call", "$e")))
		time.Sleep(19 * time.Second)
		h.provider.script("slow", ok.after(15*time.Second))
		require.Equal(t, push.StateQueued, h.state(event("slow", "$e")), "under way for another 10 s")
		time.Sleep(time.Minute)
		require.Equal(t, 2, h.provider.count())
		require.Equal(t, 1, h.observer.final(theApp+" apns expired deadline"))
	})
}

func TestRetry_ARestartRemembersWhatIsQueuedAndGoesOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled.delayed(time.Minute), ok)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		h.restart()
		require.EqualValues(t, 1, h.Stats().Account.TakenOver)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")), "a copy is not sent")
		require.Equal(t, 1, h.provider.count())
		time.Sleep(2 * time.Minute)
		require.Equal(t, 1, h.provider.delivered())
		require.Empty(t, h.store.all())
	})
}

func TestRetry_PoisonIsDeadLetteredAndItsNeighboursArrive(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("canary-poison", answer{panics: true})
		h.provider.script("good", throttled, ok)
		require.Equal(t, []push.State{push.StateQueued, push.StateQueued}, h.states(event("canary-poison", "$e"), event("good", "$e")))
		time.Sleep(time.Hour)
		require.Empty(t, h.store.all())
		require.Equal(t, 1, h.provider.delivered())
		require.Equal(t, 1, h.observer.final(theApp+" apns dead_lettered poison"))
		require.Equal(t, 1+maxPanics+2, h.provider.count())
	})
}

func TestRetry_DamagedRowIsDeadLettered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled)
		h.state(event("k", "$e"))
		h.store.set(func(s *fakeStore) {
			for _, r := range s.rows {
				r.Payload = r.Payload[:5]
			}
		})
		time.Sleep(time.Minute)
		require.Empty(t, h.store.all())
		require.Equal(t, 1, h.observer.final(theApp+" apns dead_lettered undecodable"))
	})
}

// While nodes are upgraded one after the other, an older one finds what a newer one has queued.
func TestRetry_ARowOfANewerVersionIsLeftToIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, ok)
		h.state(event("k", "$e"))
		version := func(v byte) {
			h.store.set(func(s *fakeStore) {
				for _, r := range s.rows {
					r.Payload[0] = v
				}
			})
		}
		version(codecVersion + 1)
		time.Sleep(time.Hour)
		require.Len(t, h.store.all(), 1)
		require.Less(t, h.store.count("claim"), 20, "rests in between")
		version(codecVersion)
		time.Sleep(2 * orphanRest)
		require.Equal(t, 1, h.provider.delivered())
	})
}

func TestRetry_KnownDeadRowsAreNotSent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		old := time.Now().Add(-time.Hour)
		h.provider.script("k", throttled, throttled, certain)
		h.states(registered(event("k", "$1"), old), registered(event("k", "$2"), old))
		require.Equal(t, push.StateRejected, h.state(registered(event("k", "$3"), old)))
		time.Sleep(time.Minute)
		require.Empty(t, h.store.all())
		require.Equal(t, 3, h.provider.count())
		require.EqualValues(t, 3, h.Stats().Account.Rejected)
		require.Len(t, h.store.ledger(), 1)
		for _, d := range h.store.ledger() {
			require.False(t, d.Since.IsZero())
		}
	})
}

func TestRetry_OneRowPerDeviceInFlight(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, throttled, throttled, ok.after(3*time.Second))
		h.states(event("k", "$1"), event("k", "$2"), event("k", "$3"))
		h.provider.peak()
		time.Sleep(time.Minute)
		most, _ := h.provider.peak()
		require.Equal(t, 1, most)
		require.Equal(t, 3, h.provider.delivered())
		require.Empty(t, h.store.all())
	})
}

// A row that comes due behind an attempt under way of its device follows it at once, although nobody else stirs.
func TestRetry_ARowBehindAnAttemptUnderWayFollowsIt(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]bool{"alone": false, "another row waits for long": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				if others {
					h.provider.script("patient", throttled.delayed(2*time.Hour), ok)
					require.Equal(t, push.StateQueued, h.state(event("patient", "$e")))
				}
				h.provider.script("k", throttled, ok.after(14*time.Second), ok)
				require.Equal(t, push.StateQueued, h.state(event("k", "$1")))
				time.Sleep(5 * time.Second)
				require.Equal(t, push.StateQueued, h.state(event("k", "$2")), "under way")
				time.Sleep(10*time.Second + 500*time.Millisecond)
				require.Equal(t, 2, h.provider.delivered(), "the one under way, and the one behind it")
				time.Sleep(3 * time.Hour)
				require.Empty(t, h.store.all())
			})
		})
	}
}

// Whatever is not noticed, a row that waits is looked for before long.
func TestRetry_ARowThatNobodyKnowsOfIsFound(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, ok)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		h.backlog.mu.Lock()
		h.backlog.apps[theApp].next = time.Time{}
		h.backlog.mu.Unlock()
		time.Sleep(time.Minute)
		require.Equal(t, 1, h.provider.delivered())
	})
}

func TestRetry_BacklogDrainsAtAConstantCost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(unreachable)
		const rows = 5000
		for i := 0; i < rows; i += 100 {
			var batch []push.Notification
			for j := range 100 {
				batch = append(batch, event(push.Pushkey(fmt.Sprintf("k%d", i+j)), "$e"))
			}
			h.states(batch...)
		}
		require.Len(t, h.store.all(), rows)
		require.Less(t, h.provider.count(), 200, "the breaker sends the rest straight to the queue")
		time.Sleep(10 * time.Minute)
		require.Len(t, h.store.all(), rows)

		h.store.set(func(s *fakeStore) { s.slow = time.Millisecond }) // a transaction takes its time: others gather
		before := map[string]int{}
		for _, call := range []string{"claim", "settle", "backlog"} {
			before[call] = h.store.count(call)
		}
		h.provider.all(ok.after(100 * time.Millisecond))
		back := time.Now()
		for len(h.store.all()) > 0 {
			time.Sleep(100 * time.Millisecond)
			require.Less(t, time.Since(back), 20*time.Minute)
		}
		first := h.provider.sends()[h.provider.count()-rows].at
		require.LessOrEqual(t, first.Sub(back), 30*time.Second, "first send")
		require.Equal(t, rows, h.provider.delivered())
		most, _ := h.provider.peak()
		require.LessOrEqual(t, most, appRetries+1)
		require.Less(t, h.store.count("claim")-before["claim"], 3*rows/claimBatch+100)
		require.Less(t, h.store.count("settle")-before["settle"], 3*rows/claimBatch+100)
	})
}

func TestRetry_ABigSlowAppDoesNotDelayASmallOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		small := &fakeProvider{}
		small.script("s", throttled, ok)
		h := newHarness(t, withConfig(func(c *Config) { c.AttemptTimeout = time.Second }), func(h *harness) {
			h.apps = append(h.apps, App{Pattern: "com.example.small", Provider: small, Kind: "fcm"})
		})
		h.provider.all(throttled)
		for i := range 30 {
			var batch []push.Notification
			for j := range 100 {
				batch = append(batch, event(push.Pushkey(fmt.Sprintf("k%d-%d", i, j)), "$e"))
			}
			h.states(batch...)
		}
		h.provider.all(throttled.after(14 * time.Second))
		n := event("s", "$e")
		n.Device.AppID = "com.example.small"
		require.Equal(t, push.StateQueued, h.state(n))
		queued := time.Now()
		time.Sleep(13 * time.Second)
		require.Equal(t, 1, small.delivered(), "after %s", time.Since(queued))
		h.provider.all(ok)
		time.Sleep(2 * time.Hour)
	})
}

func TestRetry_VerdictsSurviveAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, ok.after(5*time.Second))
		h.state(event("k", "$e"))
		time.Sleep(13 * time.Second) // the retry is under way
		require.Equal(t, 2, h.provider.count())
		h.store.set(func(s *fakeStore) { s.down = true })
		time.Sleep(5 * time.Minute) // longer than the lease
		require.True(t, h.observer.alert(" store_failed"))
		h.store.set(func(s *fakeStore) { s.down = false })
		time.Sleep(5 * time.Minute)
		require.Empty(t, h.store.all())
		require.Equal(t, 2, h.provider.count(), "what the phone has is not sent again")
		require.False(t, h.observer.alert(" store_failed"))
		require.EqualValues(t, 1, h.Stats().Account.Delivered)
	})
}

func TestRetry_RowsOfAnAppThatIsGoneWaitForItsReturn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, ok)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		apps := h.apps
		other := &fakeProvider{}
		require.NoError(t, h.Reload(h.cfg, []App{{Pattern: "com.elsewhere", Provider: other}}, nil))
		time.Sleep(time.Hour)
		require.Len(t, h.store.all(), 1)
		require.Equal(t, 1, h.store.all()[0].Attempts)
		require.Less(t, h.store.count("claim"), 20, "rests in between")
		require.True(t, h.observer.alert(theApp+" orphaned"))
		h.provider = &fakeProvider{}
		apps[0].Provider = h.provider
		apps[0].Pattern = "com.example.*" // under another name
		require.NoError(t, h.Reload(h.cfg, apps, nil))
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, h.provider.delivered())
		require.Empty(t, h.store.all())
		require.False(t, h.observer.alert(theApp+" orphaned"))
	})
}

func TestWorker_SleepsWhileNothingIsDue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled.delayed(10*time.Hour), ok)
		h.state(event("k", "$e"))
		synctest.Wait()
		claims, looks := h.store.count("claim"), h.store.count("backlog")
		time.Sleep(9 * time.Hour)
		require.Equal(t, claims, h.store.count("claim"))
		require.LessOrEqual(t, h.store.count("backlog")-looks, 9*4+1)
		time.Sleep(4 * time.Hour)
		require.Equal(t, 1, h.provider.delivered())
	})
}

// A mistake in the books, whatever made it, costs minutes and never a notification.
func TestWorker_FindsWhatTheBooksHaveLost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		delay time.Duration // of the retry
		sent  int
	}{
		{"it is sent", 20 * time.Minute, 1},
		{"or deleted at its deadline", 48 * time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.script("k", throttled.delayed(tt.delay), ok)
				h.state(event("k", "$e"))
				synctest.Wait()
				h.backlog.gone(theApp, 1)
				require.Zero(t, h.Stats().Queued)
				time.Sleep(25 * time.Hour)
				require.Equal(t, tt.sent, h.provider.delivered())
				require.Empty(t, h.store.all())
			})
		})
	}
}
