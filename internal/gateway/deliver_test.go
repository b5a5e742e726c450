package gateway

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestDeliver_StatesByAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer answer
		want   push.State
		rows   int
	}{
		{"accepted", ok, push.StateDelivered, 0},
		{"nothing to send", answer{outcome: push.Outcome{Verdict: push.Delivered, Reason: push.ReasonNothingToSend}}, push.StateDelivered, 0},
		{"throttled", throttled, push.StateQueued, 1},
		{"unreachable", unreachable, push.StateQueued, 1},
		{"an outcome nobody filled in", answer{}, push.StateQueued, 1},
		{"an unknown verdict", answer{outcome: push.Outcome{Verdict: 77}}, push.StateQueued, 1},
		{"a foreign error", answer{err: context.Canceled}, push.StateQueued, 1},
		{"an error beside a rejection", answer{outcome: certain.outcome, err: context.Canceled}, push.StateQueued, 1},
		{"certainly dead", certain, push.StateRejected, 0},
		{"guarded without a success before", guarded, push.StateQueued, 1},
		{"message fault", tooLarge, push.StateUndeliverable, 0},
		{"configuration fault", badConfig, push.StateQueued, 1},
		{"panic", answer{panics: true}, push.StateQueued, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.script("canary-key", tt.answer)
				out, err := h.deliver(event("canary-key", "$canary"))
				require.NoError(t, err)
				require.Equal(t, tt.want, out[0].State)
				require.Len(t, h.store.all(), tt.rows)
				require.Equal(t, 1, h.provider.count(), "one attempt, never a retry")
				require.Equal(t, tt.want == push.StateUndeliverable, out[0].Text != "")
			})
		})
	}
}

func TestDeliver_AHealthyDayLeavesNoPayloadOnDisk(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		for i := range 10_000 {
			require.Equal(t, push.StateDelivered, h.state(event("canary-key", fmt.Sprintf("$%d", i))))
		}
		time.Sleep(24 * time.Hour)
		require.Zero(t, h.store.count("enqueue"))
		for _, call := range []string{"claim", "settle", "renew", "expire", "dropbadges", "release", "record", "clear"} {
			require.Zero(t, h.store.count(call), call)
		}
		require.LessOrEqual(t, h.store.count("backlog"), 24*4+4, "idle costs next to nothing")
	})
}

func TestDeliver_OneResultPerNotificationInOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("dead", certain.after(3*time.Second))
		h.provider.script("slow", ok.after(2*time.Second))
		h.provider.script("later", throttled)
		unknown := event("x", "$u")
		unknown.Device.AppID = "com.other.app"
		began := time.Now()
		got := h.states(event("dead", "$1"), event("ok", "$2"), unknown, event("slow", "$3"), event("later", "$4"))
		require.Equal(t, []push.State{push.StateRejected, push.StateDelivered, push.StateUnknownApp, push.StateDelivered, push.StateQueued}, got)
		require.Equal(t, 3*time.Second, time.Since(began), "all at once, not one after another")
		require.Empty(t, h.states(), "no notification, no answer")
	})
}

func TestDeliver_ManyDevicesShareOneCommit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(throttled)
		var batch []push.Notification
		for i := range 100 {
			batch = append(batch, event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e"))
		}
		for _, s := range h.states(batch...) {
			require.Equal(t, push.StateQueued, s)
		}
		require.Equal(t, 1, h.store.count("enqueue"))
		require.Len(t, h.store.all(), 100)
	})
}

// A disk that hangs in the middle of a commit costs the caller a second, and the repeat finds what was stored.
func TestDeliver_ACommitThatOutlastsItsCallerIsBooked(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, ok)
		h.store.set(func(s *fakeStore) { s.stuck = 5 * time.Second })
		began := time.Now()
		h.refused(event("k", "$e"))
		require.Equal(t, saveTimeout, time.Since(began))
		time.Sleep(5 * time.Second)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		require.Equal(t, 1, h.provider.count())
		time.Sleep(time.Minute)
		require.Equal(t, 1, h.provider.delivered())
		require.Equal(t, push.StateDelivered, h.state(event("k", "$e")))
	})
}

func TestDeliver_UnderWayAtTheTimeoutIsHeldAndSettledByItsOwnRequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer answer
		rows   int
		sends  int
	}{
		{"delivered late", ok.after(9 * time.Second), 0, 1},
		{"never answered", ok.after(time.Hour), 1, 1},
		{"dead late", certain.after(9 * time.Second), 0, 1},
		{"refused late", tooLarge.after(9 * time.Second), 0, 1},
		{"throttled late", throttled.delayed(time.Hour).after(9 * time.Second), 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.script("k", tt.answer)
				began := time.Now()
				require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
				require.Equal(t, h.cfg.AttemptTimeout, time.Since(began))
				require.Len(t, h.store.all(), 1)
				require.NotZero(t, h.store.all()[0].Lease, "held while its request runs")
				time.Sleep(3 * time.Second)
				require.Equal(t, 1, h.provider.count(), "no retry while the request runs")
				require.Equal(t, push.StateQueued, h.state(event("k", "$e")), "a copy is not sent")
				time.Sleep(7500 * time.Millisecond)
				require.Len(t, h.store.all(), tt.rows)
				require.Equal(t, tt.sends, h.provider.count())
				for _, row := range h.store.all() {
					require.Zero(t, row.Lease)
					require.Equal(t, 1, row.Attempts)
				}
			})
		})
	}
}

func TestDeliver_LeaseOfALongRequestIsRenewed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withConfig(func(c *Config) { c.ProviderTimeout = 5 * time.Minute }))
		h.provider.script("k", ok.after(4*time.Minute), throttled)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		time.Sleep(5 * time.Minute)
		require.Equal(t, 1, h.provider.count(), "nobody retried it meanwhile")
		require.Empty(t, h.store.all())
		require.Equal(t, push.StateDelivered, h.state(event("k", "$e")))
	})
}

func TestDeliver_ACallerThatHangsUpChangesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("a", ok.after(2*time.Second))
		h.provider.script("b", throttled.after(time.Second))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		out, err := h.Deliver(ctx, push.Caller{Path: push.PathMatrix}, []push.Notification{event("a", "$1"), event("b", "$1")})
		require.NoError(t, err)
		require.Equal(t, push.StateDelivered, out[0].State)
		require.Equal(t, push.StateQueued, out[1].State)
		h.stop()
		for _, d := range h.provider.deadline {
			require.Equal(t, h.cfg.ProviderTimeout, d)
		}
	})
}

func TestDeliver_StoreDown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		harm   func(s *fakeStore)
		atMost time.Duration
	}{
		{"refuses", func(s *fakeStore) { s.down = true }, 0},
		{"disk full", func(s *fakeStore) { s.full = true }, 0},
		{"hangs", func(s *fakeStore) { s.slow = time.Hour }, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.script("later", throttled, ok)
				h.provider.script("dead", certain)
				h.store.set(tt.harm)
				began := time.Now()
				h.refused(event("good", "$1"), event("later", "$1"))
				require.LessOrEqual(t, time.Since(began), tt.atMost, "within a second after the attempts")
				require.Equal(t, 2, h.provider.count(), "everything is attempted all the same")
				require.Equal(t, []push.State{push.StateDelivered}, h.states(event("good", "$2")), "200 if every device is final")
				require.Equal(t, push.StateRejected, h.state(event("dead", "$2")), "reported, although the ledger cannot take it")

				h.store.set(func(s *fakeStore) { s.down, s.full, s.slow = false, false, 0 })
				require.Equal(t, []push.State{push.StateDelivered, push.StateDelivered}, h.states(event("good", "$1"), event("later", "$1")))
				require.Equal(t, 3, h.provider.delivered(), "the repeat rings nobody twice")
				time.Sleep(30 * time.Second)
				require.Len(t, h.store.ledger(), 1, "the verdict is written once the store is back")
			})
		})
	}
}

// A commit that ends after the caller was refused is booked all the same; the repeat finds the row.
func TestDeliver_LateCommitIsNotForgotten(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled.delayed(time.Hour))
		h.store.set(func(s *fakeStore) { s.slow = time.Second - time.Nanosecond })
		_, _ = h.deliver(event("k", "$1"))
		h.store.set(func(s *fakeStore) { s.slow = 0 })
		synctest.Wait()
		require.Len(t, h.store.all(), 1)
		require.Equal(t, push.StateQueued, h.state(event("k", "$1")))
		require.Equal(t, 1, h.provider.count())
	})
}

func TestDeliver_TwinsShareOneAttemptAndItsAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer answer
		want   push.State
	}{
		{"delivered", ok.after(time.Second), push.StateDelivered},
		{"dead", certain.after(time.Second), push.StateRejected},
		{"queued", throttled.delayed(time.Hour).after(time.Second), push.StateQueued},
		{"under way", ok.after(time.Hour), push.StateQueued},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.script("k", tt.answer)
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						require.Equal(t, []push.State{tt.want, tt.want}, h.states(event("k", "$e"), event("k", "$e")))
					})
				}
				wg.Wait()
				require.Equal(t, 1, h.provider.count())
				require.LessOrEqual(t, h.store.count("enqueue"), 1)
				require.EqualValues(t, 19, h.Stats().Account.Suppressed)
			})
		})
	}
}

// Two accounts on one phone see the same event, and a client may have registered anew between two copies: what an older
// registration is told about the pushkey's death does not hold for a newer one.
func TestDeliver_ATwinWithANewerRegistrationIsNotRejected(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		died := time.Now().Add(-time.Hour)
		h.provider.script("k", certain.diedAt(died).after(2*time.Second), ok)
		old, fresh := registered(event("k", "$e"), died.Add(-time.Hour)), registered(event("k", "$e"), died.Add(time.Minute))
		var wg sync.WaitGroup
		wg.Go(func() { require.Equal(t, push.StateRejected, h.state(old)) })
		time.Sleep(time.Second)
		h.refused(fresh)
		wg.Wait()
		require.Equal(t, 1, h.provider.count(), "they were twins")
		require.Equal(t, push.StateDelivered, h.state(fresh))
		time.Sleep(time.Minute)
		require.Empty(t, h.store.ledger())
	})
}

func TestDeliver_TwinsShareARefusal(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled.after(time.Second), ok)
		h.store.set(func(s *fakeStore) { s.down = true })
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { h.refused(event("k", "$e")) })
		}
		wg.Wait()
		require.Equal(t, 1, h.provider.count())
		require.Equal(t, push.StateDelivered, h.state(event("k", "$e")), "never remembered: failed or 503")
	})
}

func TestDeliver_RepeatWhileTheFirstRequestStillRunsAfterARefusal(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", ok.after(8*time.Second))
		h.store.set(func(s *fakeStore) { s.down = true })
		h.refused(event("k", "$e"))
		require.Equal(t, push.StateDelivered, h.state(event("k", "$e")), "joins the running request")
		require.Equal(t, 1, h.provider.count())
	})
}

func TestDeliver_Suppression(t *testing.T) {
	t.Parallel()
	withData := func(data string) push.Notification {
		n := event("k", "$e")
		n.Device.Data = push.Object(data)
		return n
	}
	otherApp := event("k", "$e")
	otherApp.Device.AppID = "com.example.other"
	sealed := sealedFor("k")
	resealed := sealedFor("k")
	resealed.Sealed.Ciphertext = push.NewText("BBBB")
	noID := push.Notification{Device: push.Device{AppID: theApp, Pushkey: "k"}, Event: &push.Event{Type: push.NewText("m.room.message")}}
	badge := push.Notification{Device: push.Device{AppID: theApp, Pushkey: "k"}, Counts: push.Counts{Unread: new(int64(1))}, Event: &push.Event{}}
	tests := []struct {
		name          string
		first, second push.Notification
		sends         int
	}{
		{"same event", event("k", "$e"), event("k", "$e"), 1},
		{"another event", event("k", "$e"), event("k", "$f"), 2},
		{"another device", event("k", "$e"), event("l", "$e"), 2},
		{"another app", event("k", "$e"), otherApp, 2},
		{"same data", withData(`{"a":1}`), withData(`{"a":1}`), 1},
		{"other data", withData(`{"a":1}`), withData(`{"a":2}`), 2},
		{"same ciphertext", sealed, sealed, 1},
		{"other ciphertext", sealed, resealed, 2},
		{"badge updates", badge, badge, 2},
		{"events without id", noID, noID, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t, func(h *harness) {
					h.apps = append(h.apps, App{Pattern: "com.example.other", Provider: h.provider, Kind: "apns"})
				})
				require.Equal(t, push.StateDelivered, h.state(tt.first))
				require.Equal(t, push.StateDelivered, h.state(tt.second))
				require.Equal(t, tt.sends, h.provider.count())
			})
		})
	}
}

func TestDeliver_SuppressionWindowRenewsWithEachRepeat(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.state(event("k", "$e"))
		for range 10 {
			time.Sleep(h.cfg.Dedup.Window - time.Minute)
			h.state(event("k", "$e"))
			require.Equal(t, 1, h.provider.count())
		}
		time.Sleep(h.cfg.Dedup.Window + 2*time.Second)
		h.state(event("k", "$e"))
		require.Equal(t, 2, h.provider.count())
	})
}

func TestDeliver_Routing(t *testing.T) {
	t.Parallel()
	sender := Sender{San: "FD.example.de", AppIDs: []string{"com.example.fd.*", "com.exact.app"}}
	gematik := func(names ...string) push.Caller { return push.Caller{Path: push.PathGematik, Names: names} }
	matrix := push.Caller{Path: push.PathMatrix}
	tests := []struct {
		name    string
		senders []Sender
		reject  bool
		caller  push.Caller
		app     push.AppID
		want    push.State
	}{
		{"configured", nil, false, matrix, "com.example.fd.ios", push.StateDelivered},
		{"unknown", nil, false, matrix, "com.unknown", push.StateUnknownApp},
		{"unknown, as Sygnal", nil, true, matrix, "com.unknown", push.StateRejected},
		{"no senders: every caller", nil, false, gematik(), "com.exact.app", push.StateDelivered},
		{"the sender's app", []Sender{sender}, false, gematik("fd.EXAMPLE.de"), "com.example.fd.ios", push.StateDelivered},
		{"one of several names", []Sender{sender}, false, gematik("x", "fd.example.de"), "com.exact.app", push.StateDelivered},
		{"outside the sender's apps", []Sender{sender}, false, gematik("fd.example.de"), theApp, push.StateUnknownApp},
		{"another sender", []Sender{sender}, false, gematik("evil.example.de"), "com.example.fd.ios", push.StateUnknownApp},
		{"nobody's certificate", []Sender{sender}, false, gematik(), "com.exact.app", push.StateUnknownApp},
		{"outside senders is never rejected", []Sender{sender}, true, gematik("x"), "com.unknown", push.StateUnknownApp},
		{"a sender's app on the Matrix path", []Sender{sender}, true, matrix, "com.example.fd.ios", push.StateUnknownApp},
		{"another app on the Matrix path", []Sender{sender}, false, matrix, theApp, push.StateDelivered},
		{"channels only", []Sender{{San: "fd", Channels: []string{"*"}}}, false, gematik("y"), theApp, push.StateDelivered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t, withSenders(tt.senders...), func(h *harness) {
					h.apps = append(h.apps, App{Pattern: "com.example.fd.*", Provider: h.provider}, App{Pattern: "com.exact.app", Provider: h.provider})
					if tt.reject {
						h.cfg.UnknownAppID = UnknownReject
					}
				})
				n := event("k", "$e")
				n.Device.AppID = tt.app
				out, err := h.Deliver(t.Context(), tt.caller, []push.Notification{n})
				require.NoError(t, err)
				require.Equal(t, tt.want, out[0].State)
				require.Equal(t, tt.want == push.StateUnknownApp, out[0].Text != "")
				require.Zero(t, h.Stats().LedgerEntries)
			})
		})
	}
}

func TestDeliver_ObserverHearsBoundedLabelsOnly(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.Pattern = "com.example.*" }))
		unknown := event("k", "$e")
		unknown.Device.AppID = "canary.app"
		h.states(event("k", "$e"), unknown)
		require.Equal(t, 1, h.observer.final("com.example.* apns delivered ok"))
		require.Equal(t, 1, h.observer.final("unknown unknown dead_lettered unknown_app"))
		require.Len(t, h.observer.finals, 2)
		require.Len(t, h.observer.attempts, 1)
		h.log.mu.Lock()
		h.log.text = nil // the app_id is public and may be logged; it only looks like a canary here
		h.log.mu.Unlock()
	})
}

// The attempt may end for good between the moment when a caller's time is over and the moment when its row is written:
// then there must be no row, or the notification would be sent again.
func TestFlight_EndsWhileItsRowIsBeingBuilt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		now := time.Now()
		f := &flight{
			g: h.Gateway, cfg: &h.cfg, lane: h.routes.Load().lane(theApp), note: event("k", "$e"), hash: push.Hash{1},
			accepted: now, deadline: now.Add(time.Hour), done: make(chan struct{}), flying: true,
		}
		h.recall.enter(f.hash, f, now)
		who, _ := f.claim(now)
		require.Equal(t, shareMine, who)
		f.land(verdict{kind: verdictDelivered, reason: "ok", asked: true, at: now, shown: true})
		<-h.saveFlights([]*flight{f}, now)
		require.Equal(t, push.StateDelivered, f.state(0))
		require.Zero(t, h.store.count("enqueue"))
		require.True(t, h.recall.wasDelivered(f.hash))
		require.EqualValues(t, 1, h.Stats().Account.Delivered)
	})
}

// A caller's time may be over in the moment when its device gets a slot: then the request goes on, and what the provider
// says is heard.
func TestFlight_UnderWayIsNotGrounded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		now := time.Now()
		f := &flight{
			g: h.Gateway, cfg: &h.cfg, lane: h.routes.Load().lane(theApp), note: event("k", "$e"), hash: push.Hash{1},
			accepted: now, deadline: now.Add(time.Hour), done: make(chan struct{}),
		}
		h.recall.enter(f.hash, f, now)
		require.True(t, f.lane.slots.try())
		b, p, taken := f.takeOff(now)
		require.True(t, taken)
		f.ground(verdict{kind: verdictOverload})
		require.False(t, f.overloaded())
		f.send(b, p)
		require.Equal(t, push.StateDelivered, f.state(0))
		require.True(t, h.recall.wasDelivered(f.hash))
	})
}
