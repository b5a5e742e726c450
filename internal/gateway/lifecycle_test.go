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

func TestStop_AttemptsUnderWayFinishAndAreSettled(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("slow", ok.after(12*time.Second))
		h.provider.script("retried", throttled, ok.after(8*time.Second))
		h.provider.script("waits", throttled.delayed(time.Hour))
		h.states(event("retried", "$e"), event("waits", "$e"))
		time.Sleep(12 * time.Second) // the retry is under way
		require.Equal(t, push.StateQueued, h.state(event("slow", "$e")))
		began := time.Now()
		h.stop()
		require.LessOrEqual(t, time.Since(began), 8*time.Second)
		require.Len(t, h.store.all(), 1)
		require.Equal(t, 2, h.provider.delivered())
		require.Equal(t, 1, h.provider.closes())
		require.NoError(t, h.Stop(t.Context()), "twice does nothing")
	})
}

func TestStop_HandsBackWhatDoesNotFinish(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("slow", ok.after(14*time.Second))
		require.Equal(t, push.StateQueued, h.state(event("slow", "$e")))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		h.stopped = true
		require.ErrorIs(t, h.Stop(ctx), context.DeadlineExceeded)
		require.Len(t, h.store.all(), 1)
		require.Zero(t, h.store.all()[0].Lease, "free for the next process")
		time.Sleep(time.Minute)
	})
}

func TestStop_RowsInLineGoBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.MaxInFlight = 2 }))
		h.provider.all(throttled)
		for i := range 10 {
			h.state(event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e"))
		}
		h.provider.all(ok.after(10 * time.Second))
		for i := range 2 {
			go func() { _, _ = h.deliver(event(push.Pushkey(fmt.Sprintf("live%d", i)), "$e")) }()
		}
		time.Sleep(13 * time.Second)
		h.stop()
		for _, row := range h.store.all() {
			require.Zero(t, row.Lease)
		}
		require.NotEmpty(t, h.store.all())
	})
}

func TestStop_DeliverAfterwardsGoesToTheQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.stop()
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		require.Zero(t, h.provider.count())
	})
}

func TestStop_WithTheStoreAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.script("k", throttled, ok)
		h.provider.script("dead", certain)
		h.state(event("k", "$e"))
		h.store.set(func(s *fakeStore) { s.down = true })
		require.Equal(t, push.StateRejected, h.state(event("dead", "$e")))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		h.stopped = true
		require.Error(t, h.Stop(ctx))
		h.store.set(func(s *fakeStore) { s.down = false })
		time.Sleep(time.Minute) // nothing of it goes on
		require.Len(t, h.store.all(), 1)
	})
}

func TestStart_Twice(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		require.Error(t, h.Start(t.Context()))
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, h.Start(cancelled), context.Canceled)
	})
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	p := &fakeProvider{}
	good := func() Options {
		n := newFakeStore().own()
		return Options{Config: DefaultConfig(), Apps: []App{{Pattern: "a", Provider: p}}, Queue: n, Ledger: n, Hasher: fakeHasher{}}
	}
	tests := []struct {
		name   string
		change func(o *Options)
		want   string
	}{
		{"no queue", func(o *Options) { o.Queue = nil }, "required"},
		{"no ledger", func(o *Options) { o.Ledger = nil }, "required"},
		{"no hasher", func(o *Options) { o.Hasher = nil }, "required"},
		{"bad configuration", func(o *Options) { o.Config.Retention = 0 }, "gateway.retention"},
		{"overlap", func(o *Options) { o.Apps = []App{{Pattern: "a*", Provider: p}, {Pattern: "*b", Provider: p}} }, "apps[1].app_id"},
		{"no provider", func(o *Options) { o.Apps[0].Provider = nil }, "apps[0]"},
		{"bad sender", func(o *Options) { o.Senders = []Sender{{}} }, "senders[0].san"},
		{"store away", func(o *Options) { o.Queue.(*node).down = true }, "fake store is down"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := good()
			tt.change(&o)
			_, err := New(o)
			require.ErrorContains(t, err, tt.want)
		})
	}
	g, err := New(good())
	require.NoError(t, err)
	require.NoError(t, g.Stop(t.Context()), "never started")
}

func TestReload_AllOrNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		next := &fakeProvider{}
		bad := h.cfg
		bad.MaxQueued = 0
		require.ErrorContains(t, h.Reload(bad, []App{{Pattern: theApp, Provider: next}}, nil), "max_queued")
		require.ErrorContains(t, h.Reload(h.cfg, []App{{Pattern: "a*", Provider: next}, {Pattern: "*", Provider: next}}, nil), "apps[1]")
		require.Equal(t, push.StateDelivered, h.state(event("k", "$e")))
		require.Zero(t, next.count())
		require.Zero(t, h.provider.closes())
	})
}

func TestReload_ThousandTimesUnderLoad(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(ok.after(30 * time.Millisecond))
		providers := []*fakeProvider{h.provider}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		sent := 0
		var mu sync.Mutex
		for w := range 10 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					require.Equal(t, push.StateDelivered, h.state(event("k", fmt.Sprintf("$%d-%d", w, i))))
					mu.Lock()
					sent++
					mu.Unlock()
				}
			})
		}
		for i := range 1000 {
			p := &fakeProvider{}
			p.all(ok.after(30 * time.Millisecond))
			providers = append(providers, p)
			apps := []App{{Pattern: theApp, Provider: p, Kind: "apns", Fingerprint: fmt.Sprint(i % 3), MaxInFlight: 20 + i%5}}
			require.NoError(t, h.Reload(h.cfg, apps, nil))
			time.Sleep(7 * time.Millisecond)
		}
		close(stop)
		wg.Wait()
		synctest.Wait()
		total := 0
		for i, p := range providers {
			total += p.delivered()
			require.Equal(t, i < len(providers)-1, p.closes() == 1, "provider %d closed %d times", i, p.closes())
		}
		require.Equal(t, sent, total)
		require.Empty(t, h.store.all())
	})
}

func TestReload_RemovedAppBecomesUnknownAndAddedOneWorks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		next := &fakeProvider{}
		require.NoError(t, h.Reload(h.cfg, []App{{Pattern: "com.new", Provider: next, Kind: "fcm"}}, nil))
		require.Equal(t, push.StateUnknownApp, h.state(event("k", "$e")))
		n := event("k", "$e")
		n.Device.AppID = "com.new"
		require.Equal(t, push.StateDelivered, h.state(n))
		synctest.Wait()
		require.Equal(t, 1, h.provider.closes())
		require.Len(t, h.Stats().Apps, 1)
	})
}

func TestReload_ARemovedAppHasNoAlerts(t *testing.T) {
	t.Parallel()
	for alert, a := range map[string]answer{"paused": badConfig, "breaker_open": unreachable, "guard_held": guarded} {
		t.Run(alert, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				h := newHarness(t)
				h.provider.all(a)
				for i := range breakerRun {
					h.state(event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e"))
				}
				require.True(t, h.observer.alert(theApp+" "+alert))
				require.NoError(t, h.Reload(h.cfg, []App{{Pattern: "com.elsewhere", Provider: &fakeProvider{}}}, nil))
				require.False(t, h.observer.alert(theApp+" "+alert))
			})
		})
	}
}

func TestShared_NodesShareTheWorkAndTheBooks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFakeStore()
		phones := &fakeProvider{}
		few := withApp(func(a *App) { a.MaxInFlight = 20 })
		a := newHarness(t, withStore(store.shared()), withProvider(phones), few)
		b := newHarness(t, withStore(store.shared()), withProvider(phones), few)
		phones.all(throttled)
		const rows = 400
		for i := range rows {
			require.Equal(t, push.StateQueued, a.state(event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e")))
		}
		phones.all(ok.after(time.Second))
		time.Sleep(2 * time.Minute)
		require.Empty(t, store.all())
		require.Equal(t, rows, phones.delivered(), "no double claim")
		booksA, booksB := a.Stats().Account, b.Stats().Account
		require.NotZero(t, booksA.Delivered)
		require.NotZero(t, booksB.Delivered, "both work")
		require.EqualValues(t, rows, booksA.Delivered+booksB.Delivered)
		require.EqualValues(t, rows, booksA.Accepted)
		require.Zero(t, booksA.Pending+booksB.Pending)
		require.Equal(t, booksA.HandedOver+booksB.HandedOver, booksA.TakenOver+booksB.TakenOver)
	})
}

func TestShared_AKilledNodesRowsGoOnAfterTheLease(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFakeStore()
		phones := &fakeProvider{}
		a := newHarness(t, withStore(store.shared()), withProvider(phones))
		phones.script("k", throttled.after(14*time.Second), ok)
		require.Equal(t, push.StateQueued, a.state(event("k", "$e")))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		store.set(func(s *fakeStore) { s.down = true }) // a cannot even hand back
		a.stopped = true
		require.Error(t, a.Stop(ctx))
		store.set(func(s *fakeStore) { s.down = false })
		b := newHarness(t, withStore(store.shared()), withProvider(phones))
		time.Sleep(leaseTime + 10*time.Second)
		require.Empty(t, store.all())
		require.Equal(t, 1, phones.delivered())
		require.EqualValues(t, 1, b.Stats().Account.Delivered)
	})
}

// A node that was cut off settles under a lease that another node holds by now: its verdict is not counted.
func TestShared_AStaleVerdictIsFencedOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFakeStore()
		aPhones, bPhones := &fakeProvider{}, &fakeProvider{}
		a := newHarness(t, withStore(store.shared()), withProvider(aPhones))
		aPhones.script("k", certain.after(14*time.Second))
		require.Equal(t, push.StateQueued, a.state(event("k", "$e")))
		// The lease is gone behind a's back, as after a long split.
		b := newHarness(t, withStore(store.shared()), withProvider(bPhones))
		bPhones.script("k", throttled.delayed(time.Hour))
		store.set(func(s *fakeStore) {
			for _, r := range s.rows {
				r.Lease = 0
			}
		})
		time.Sleep(5 * time.Second)
		require.Equal(t, 1, bPhones.count())
		time.Sleep(10 * time.Second)
		require.Len(t, store.all(), 1, "b's row stays")
		require.Empty(t, store.ledger())
		require.Zero(t, a.Stats().LedgerEntries)
		require.Zero(t, a.Stats().Account.Rejected)
		require.EqualValues(t, 1, a.Stats().Account.HandedOver)
		_ = b
	})
}

func TestShared_PollsSlowlyForOtherNodesRows(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFakeStore()
		newHarness(t, withStore(store.shared()))
		time.Sleep(time.Hour)
		require.LessOrEqual(t, store.count("backlog"), 3600/3+2)
		require.Zero(t, store.count("claim"))
	})
}

func TestUpkeep_AJumpingClockExpiresNothing(t *testing.T) {
	t.Parallel()
	var c clockWatch
	steps := []struct {
		name            string
		wall, monotonic time.Duration
		want            clockChange
		suspicious      bool
	}{
		{"in step", time.Minute, time.Minute, clockSteady, false},
		{"slewed", 2*time.Minute + 30*time.Second, 2 * time.Minute, clockSteady, false},
		{"slewed more", 4 * time.Minute, 3 * time.Minute, clockSteady, false},
		{"a day ahead", 24*time.Hour + 5*time.Minute, 4 * time.Minute, clockJumped, true},
		{"still", 24*time.Hour + 6*time.Minute, 5 * time.Minute, clockSteady, true},
		{"corrected", 7 * time.Minute, 6 * time.Minute, clockSettled, false},
		{"a day back", -24 * time.Hour, 7 * time.Minute, clockJumped, true},
		{"believed after an hour", -23 * time.Hour, 7*time.Minute + time.Hour, clockSettled, false},
		{"and from then on", -23*time.Hour + time.Minute, 8*time.Minute + time.Hour, clockSteady, false},
	}
	for _, s := range steps {
		got, _ := c.compare(s.wall, s.monotonic)
		require.Equal(t, s.want, got, s.name)
		require.Equal(t, s.suspicious, c.suspicious(), s.name)
	}
}

// The alert about the store ends when it is back, although nobody writes anything.
func TestUpkeep_LooksForAStoreThatWasAway(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.store.set(func(s *fakeStore) { s.down = true })
		h.provider.script("k", throttled)
		h.refused(event("k", "$e"))
		time.Sleep(time.Minute)
		require.True(t, h.observer.alert(" store_failed"))
		h.store.set(func(s *fakeStore) { s.down, s.full = false, true })
		time.Sleep(time.Minute)
		require.True(t, h.observer.alert(" store_failed"), "it can be read, no more")
		h.store.set(func(s *fakeStore) { s.full = false })
		time.Sleep(2 * expireEvery)
		require.False(t, h.observer.alert(" store_failed"))
	})
}

func TestUpkeep_RenewsLeasesWhileVeryManyRowsExpire(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFakeStore()
		for id := range int64(15 * expireBatch) {
			store.rows[-id] = &fakeRow{Queued: push.Queued{ID: -id, AppID: theApp, Device: hashOf(int(id)), Due: time.Now().Add(time.Hour), Deadline: time.Now().Add(6 * time.Second)}}
		}
		h := newHarness(t, withStore(store.own()))
		store.set(func(s *fakeStore) { s.slow = 4 * time.Second })
		h.leases.hold(push.Held{ID: 1}) // work that lasts
		time.Sleep(6*time.Second + leaseTime)
		require.GreaterOrEqual(t, store.count("renew"), 2)
		require.NotEmpty(t, store.all())
		h.leases.drop(1)
		time.Sleep(time.Hour)
		require.Empty(t, store.all())
	})
}

func TestUpkeep_NothingExpiresWhileTheClockIsInDoubt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.Lifetime = 10 * time.Second }))
		h.provider.all(throttled)
		h.state(event("k", "$e"))
		h.watch.mu.Lock()
		h.watch.drift = 2 * time.Hour // as if the clocks had been apart by two hours until now
		h.watch.mu.Unlock()
		time.Sleep(time.Minute)
		require.Len(t, h.store.all(), 1)
		require.True(t, h.observer.alert(" clock"))
		time.Sleep(clockDoubt + time.Minute)
		require.Empty(t, h.store.all())
		require.False(t, h.observer.alert(" clock"))
	})
}

func TestAdmin_Commands(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		_, err := h.QueueList(t.Context(), "", 0, 10)
		require.Equal(t, push.NotFound, push.KindOf(err))
		h.admin = fakeAdmin{h.store}
		h.provider.all(throttled.delayed(10 * time.Hour))
		for i := range 5 {
			h.state(event(push.Pushkey(fmt.Sprintf("k%d", i)), "$e"))
		}
		rows, err := h.QueueList(t.Context(), theApp, 0, 10)
		require.NoError(t, err)
		require.Len(t, rows, 5)
		require.Nil(t, rows[0].Payload)

		n, err := h.QueuePurge(t.Context(), "", []int64{rows[0].ID, 999})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		h.checkAccount()
		h.provider.all(ok)
		require.Equal(t, push.StateDelivered, h.state(event("k0", "$e")), "a copy of a purged row is new")

		n, err = h.QueueRetry(t.Context(), "", []int64{rows[1].ID})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		time.Sleep(2 * time.Second)
		require.Len(t, h.store.all(), 3)
		_, found, err := h.QueueShow(t.Context(), rows[1].ID)
		require.NoError(t, err)
		require.False(t, found)

		n, err = h.QueuePurge(t.Context(), theApp, nil)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		n, err = h.QueuePurge(t.Context(), "", nil)
		require.NoError(t, err)
		require.Zero(t, n, "everything must be asked for by name")

		h.provider.script("dead", certain, ok)
		old := time.Now().Add(-time.Hour)
		require.Equal(t, push.StateRejected, h.state(registered(event("dead", "$1"), old)))
		dead, err := h.RejectedList(t.Context(), "", 0, 10)
		require.NoError(t, err)
		require.Len(t, dead, 1)
		require.Equal(t, dead[0].Device, h.DeviceHash(theApp, "dead"))
		n, err = h.RejectedForget(t.Context(), "", []push.Hash{dead[0].Device})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, push.StateDelivered, h.state(registered(event("dead", "$2"), old)))
		require.EqualValues(t, 4, h.Stats().Account.DeadLettered)
	})
}

// TestAdmin_RetryProbesAPausedApp: whoever mended what paused an app needs not wait for the next probe.
func TestAdmin_RetryProbesAPausedApp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.admin = fakeAdmin{h.store}
		h.provider.all(badConfig)
		h.state(event("k", "$e"))
		require.True(t, h.Stats().Apps[0].Paused)
		h.provider.all(ok)
		time.Sleep(time.Minute)
		require.True(t, h.Stats().Apps[0].Paused)

		_, err := h.QueueRetry(t.Context(), "another.app", nil)
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.True(t, h.Stats().Apps[0].Paused)
		_, err = h.QueueRetry(t.Context(), theApp, nil)
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.False(t, h.Stats().Apps[0].Paused)
		require.Empty(t, h.store.all())
	})
}

// fakeAdmin is the part of a store that the commands need.
type fakeAdmin struct{ *fakeStore }

func (s fakeAdmin) ListQueued(_ context.Context, app push.AppID, after int64, limit int) ([]push.Queued, error) {
	var out []push.Queued
	for _, r := range s.all() {
		if r.ID > after && len(out) < limit && (app == "" || r.AppID == app) {
			r.Payload = nil
			out = append(out, r)
		}
	}
	return out, nil
}

func (s fakeAdmin) ShowQueued(_ context.Context, id int64) (push.Queued, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rows[id]; r != nil {
		return r.Queued, true, nil
	}
	return push.Queued{}, false, nil
}

func (s fakeAdmin) RetryQueued(_ context.Context, _ push.AppID, ids []int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.rows[id].Due = time.Now()
	}
	return len(ids), nil
}

func (s fakeAdmin) PurgeQueued(_ context.Context, _ push.AppID, ids []int64) (map[push.AppID]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := map[push.AppID]int{}
	for _, id := range ids {
		if r := s.rows[id]; r != nil {
			gone[r.AppID]++
			delete(s.rows, id)
		}
	}
	return gone, nil
}

func (s fakeAdmin) ListDead(context.Context, push.AppID, int64, int) ([]push.DeadKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []push.DeadKey
	for _, d := range s.dead {
		out = append(out, d)
	}
	return out, nil
}

func (s fakeAdmin) ForgetDead(_ context.Context, _ push.AppID, devices []push.Hash) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range devices {
		s.clear(d)
	}
	return len(devices), nil
}
