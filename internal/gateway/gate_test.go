package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestBreaker_OpensSendsOneProbeAndCloses(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(unreachable)
		for i := range breakerRun {
			require.Equal(t, push.StateQueued, h.state(event("k", fmt.Sprintf("$%d", i))))
		}
		require.Equal(t, "open", h.Stats().Apps[0].Breaker)
		require.True(t, h.observer.alert(theApp+" breaker_open"))
		for i := range 50 {
			require.Equal(t, push.StateQueued, h.state(event("l", fmt.Sprintf("$%d", i))))
		}
		require.Equal(t, breakerRun, h.provider.count(), "straight to the queue")
		time.Sleep(10 * time.Minute)
		probes := h.provider.count() - breakerRun
		require.GreaterOrEqual(t, probes, 50)
		require.LessOrEqual(t, probes, 60, "one probe every ten seconds, no storm")
		h.provider.all(ok)
		back := time.Now()
		time.Sleep(30 * time.Second)
		require.Empty(t, h.store.all())
		require.LessOrEqual(t, h.provider.sends()[breakerRun+probes].at.Sub(back), 30*time.Second)
		require.Equal(t, breakerRun+50, h.provider.delivered())
		require.Equal(t, "closed", h.Stats().Apps[0].Breaker)
		require.False(t, h.observer.alert(theApp+" breaker_open"))
		require.Equal(t, push.StateDelivered, h.state(event("k", "$new")))
	})
}

func TestBreaker_ALiveRequestMayBeTheProbe(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.Lifetime = 5 * time.Second }))
		h.provider.all(unreachable)
		for i := range breakerRun {
			h.state(event("k", fmt.Sprintf("$%d", i)))
		}
		time.Sleep(time.Minute) // nothing waits any more
		require.Empty(t, h.store.all())
		h.provider.all(ok)
		require.Equal(t, push.StateDelivered, h.state(event("k", "$new")))
		require.Equal(t, "closed", h.Stats().Apps[0].Breaker)
	})
}

func TestBreaker_AnswersAndOurOwnFaultsDoNotOpenIt(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]answer{"throttled": throttled, "too large": tooLarge, "guarded": guarded, "dead": certain, "panics": {panics: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.all(a)
				for i := range 3 * breakerRun {
					h.state(event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e"))
				}
				require.Equal(t, "closed", h.Stats().Apps[0].Breaker)
				require.Equal(t, 3*breakerRun, h.provider.count())
			})
		})
	}
}

func TestPause_CallersGetSuccessOneProbesAndTheBacklogFollowsTheFix(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(badConfig)
		for i := range 100 {
			require.Equal(t, push.StateQueued, h.state(event("k", fmt.Sprintf("$%d", i))))
		}
		require.Equal(t, 1, h.provider.count())
		app := h.Stats().Apps[0]
		require.True(t, app.Paused)
		require.Equal(t, "invalid_provider_token", app.PauseReason)
		require.True(t, h.observer.alert(theApp+" paused"))
		time.Sleep(time.Hour + time.Minute)
		require.Equal(t, 1+12, h.provider.count(), "one probe every five minutes")
		require.Len(t, h.store.all(), 100)
		h.provider.all(ok)
		time.Sleep(probeEvery + time.Minute)
		require.Empty(t, h.store.all())
		require.Equal(t, 100, h.provider.delivered())
		require.False(t, h.Stats().Apps[0].Paused)
		require.False(t, h.observer.alert(theApp+" paused"))
		require.Zero(t, h.Stats().Account.Rejected)
	})
}

func TestPause_ProbesAtOnceAfterAReload(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(badConfig)
		for i := range 10 {
			h.state(event("k", fmt.Sprintf("$%d", i)))
		}
		fixed := &fakeProvider{}
		h.apps[0].Provider, h.apps[0].Fingerprint = fixed, "two"
		require.NoError(t, h.Reload(h.cfg, h.apps, nil))
		time.Sleep(3 * time.Second)
		require.Empty(t, h.store.all())
		require.Equal(t, 10, fixed.delivered())
		require.Equal(t, 1, h.provider.count())
		require.Equal(t, 1, h.provider.closes(), "the old provider is closed once idle")
	})
}

func TestPause_WhatOldSettingsLedToDoesNotPauseTheNewOnes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("slow", badConfig.after(4*time.Second))
		done := make(chan push.State)
		go func() { done <- h.state(event("slow", "$e")) }()
		time.Sleep(time.Second)
		fixed := &fakeProvider{}
		h.apps[0].Provider, h.apps[0].Fingerprint = fixed, "two"
		require.NoError(t, h.Reload(h.cfg, h.apps, nil))
		require.Zero(t, h.provider.closes(), "requests under way keep the old provider")
		require.Equal(t, push.StateQueued, <-done)
		require.False(t, h.Stats().Apps[0].Paused)
		time.Sleep(15 * time.Second)
		require.Equal(t, 1, fixed.delivered())
		require.Equal(t, 1, h.provider.closes())
	})
}

// What a provider asked a whole app to wait for holds over a reload, unless that brings other settings.
func TestBlock_HoldsOverAReloadOfTheSameSettings(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled.delayed(30*time.Minute).scoped(push.ScopeApp), ok)
		h.provider.script("late", throttled.delayed(30*time.Minute).scoped(push.ScopeApp).after(4*time.Second), ok)
		go func() { _, _ = h.deliver(event("late", "$e")) }()
		time.Sleep(time.Second)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		require.NoError(t, h.Reload(h.cfg, h.apps, nil))
		require.Equal(t, push.StateQueued, h.state(event("l", "$e")))
		time.Sleep(time.Second)
		require.Equal(t, 2, h.provider.count())
		h.apps[0].Fingerprint = "two"
		require.NoError(t, h.Reload(h.cfg, h.apps, nil))
		time.Sleep(4 * time.Second)
		require.Equal(t, push.StateDelivered, h.state(event("m", "$e")), "what the old settings were told is nothing to the new ones")
		time.Sleep(time.Hour)
	})
}

func TestPause_EndsOnlyByAnAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		probe  answer
		paused bool
	}{
		{"delivered", ok, false},
		{"dead", certain, false},
		{"throttled", throttled, false},
		{"still refused", badConfig, true},
		{"panicked", answer{panics: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.script("k", badConfig, tt.probe)
				h.state(event("k", "$e"))
				time.Sleep(probeEvery + time.Minute)
				require.Equal(t, tt.paused, h.Stats().Apps[0].Paused)
			})
		})
	}
}

// The connection may break under the probe that follows a fix: the next one must not be five minutes away (F19).
func TestPause_AProbeThatHeardNothingIsRepeatedSoon(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", badConfig, unreachable, ok)
		h.state(event("k", "$e"))
		require.Equal(t, push.StateQueued, h.state(event("l", "$e")))
		require.NoError(t, h.Reload(h.cfg, h.apps, nil))
		time.Sleep(time.Second)
		require.Equal(t, 2, h.provider.count(), "at once after the reload")
		require.True(t, h.Stats().Apps[0].Paused, "no answer ends no pause")
		time.Sleep(breakerRest)
		require.Equal(t, 3, h.provider.count())
		require.False(t, h.Stats().Apps[0].Paused)
		time.Sleep(time.Minute)
		require.Empty(t, h.store.all())
	})
}

func TestPause_ALiveRequestProbesWhenNothingWaits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.Lifetime = 10 * time.Second }))
		h.provider.script("k", badConfig, ok)
		h.state(event("k", "$e"))
		time.Sleep(2 * time.Minute)
		require.Empty(t, h.store.all(), "expired")
		require.Equal(t, push.StateQueued, h.state(event("k", "$f")))
		time.Sleep(4 * time.Minute)
		require.Equal(t, push.StateDelivered, h.state(event("k", "$g")))
		require.False(t, h.Stats().Apps[0].Paused)
	})
}

func TestQueue_OneAppHoldsAtMostHalf(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		other := &fakeProvider{}
		h := newHarness(t, withConfig(func(c *Config) { c.MaxQueued = 100 }), func(h *harness) {
			h.apps = append(h.apps, App{Pattern: "com.example.other", Provider: other, Kind: "fcm"})
		})
		h.provider.all(badConfig)
		other.all(throttled.delayed(time.Hour))
		for i := range 50 {
			require.Equal(t, push.StateQueued, h.state(event("k", fmt.Sprintf("$%d", i))))
		}
		h.refused(event("k", "$more"))
		elsewhere := func(id string) push.Notification {
			n := event("o", id)
			n.Device.AppID = "com.example.other"
			return n
		}
		for i := range 40 {
			require.Equal(t, push.StateQueued, h.state(elsewhere(fmt.Sprintf("$%d", i))), "only its own callers are refused")
		}
		require.False(t, h.Stats().QueueFull)
		h.refused(elsewhere("$91"))
		require.True(t, h.Stats().QueueFull, "closed from 90 % on")
		require.True(t, h.observer.alert(" queue_full"))
		require.Equal(t, 90, len(h.store.all()))

		// Delivering needs no room, and the full queue still drains.
		other.script("fresh", ok)
		n := elsewhere("$n")
		n.Device.Pushkey = "fresh"
		require.Equal(t, push.StateDelivered, h.state(n))
		other.all(ok)
		h.provider.all(ok)
		time.Sleep(2 * time.Hour)
		require.Empty(t, h.store.all())
		require.False(t, h.Stats().QueueFull, "it opens by draining")
		require.False(t, h.observer.alert(" queue_full"), "and says so without waiting for the next notification")
		h.provider.all(throttled)
		require.Equal(t, push.StateQueued, h.state(event("k", "$again")))
	})
}

func TestBacklog_Hysteresis(t *testing.T) {
	t.Parallel()
	b := newBacklog(1000)
	names := func(app push.AppID, n int) []push.AppID {
		out := make([]push.AppID, n)
		for i := range out {
			out[i] = app
		}
		return out
	}
	for _, app := range []push.AppID{"a", "b"} {
		refused, _ := b.reserve(names(app, 450))
		require.Empty(t, refused)
	}
	refused, changed := b.reserve(names("c", 1))
	require.Equal(t, push.AppID("c"), refused)
	require.True(t, changed)
	b.gone("a", 199)
	refused, _ = b.reserve(names("c", 1))
	require.NotEmpty(t, refused, "701 rows: still closed")
	b.gone("a", 1)
	refused, changed = b.reserve(names("c", 1))
	require.Empty(t, refused, "700 rows: open")
	require.True(t, changed)

	b = newBacklog(1000)
	refused, _ = b.reserve(names("a", 500))
	require.Empty(t, refused)
	refused, _ = b.reserve(names("a", 1))
	require.Equal(t, push.AppID("a"), refused)
	require.Equal(t, 500, b.rows(), "nothing is counted for a refusal")
	b.gone("a", 149)
	refused, _ = b.reserve(names("a", 1))
	require.NotEmpty(t, refused, "351 rows: still closed for this app")
	b.gone("a", 1)
	refused, _ = b.reserve(names("a", 1))
	require.Empty(t, refused)
	refused, _ = b.reserve(append(names("b", 3), names("a", 200)...))
	require.Equal(t, push.AppID("a"), refused, "a request is stored as a whole or not at all")
	require.Equal(t, 351, b.rows())
}

// While a probe is under way the worker's rows find the breaker half-open and full: it must not claim them over and over.
func TestBreaker_AProbeUnderWayMakesNobodySpin(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(unreachable)
		for i := range breakerRun + 5 {
			h.state(event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e"))
		}
		h.provider.all(ok.after(14 * time.Second))
		time.Sleep(breakerRest + 2*time.Millisecond)
		go func() { _, _ = h.deliver(event("probe", "$e")) }()
		claims := h.store.count("claim")
		time.Sleep(13 * time.Second)
		require.LessOrEqual(t, h.store.count("claim")-claims, 30)
		h.provider.all(ok)
		time.Sleep(time.Minute)
		require.Empty(t, h.store.all())
	})
}
