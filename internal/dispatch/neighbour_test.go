package dispatch_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

func insured(i int) push.Owner {
	return push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:N", i))}
}

func member(i int) push.Owner {
	return push.Owner{Realm: push.RealmMatrix, User: push.UserID(fmt.Sprintf("@u%d:example.org", i))}
}

func (r *rig) matrixPusherOf(owner push.Owner, key push.Pushkey, url string) {
	r.t.Helper()
	r.set(owner, key, url, `{"url":"`+url+`"}`, nil)
}

func (r *rig) tellOf(owner push.Owner, id string) {
	r.t.Helper()
	n := matrixEvent(id, 1)
	n.User = owner.User
	r.tell(n)
}

// soon requires that the newest thing taken for a device was taken this moment.
func (r *rig) soon(key push.Pushkey, events int) {
	r.t.Helper()
	began := time.Now()
	settleDown()
	n := 0
	var last time.Time
	for _, s := range r.gateway.taken() {
		if s.n.Device.Pushkey == key {
			n, last = n+1, s.at
		}
	}
	require.Equal(r.t, events, n, "not taken, or late")
	require.WithinDuration(r.t, began, last, 10*time.Millisecond)
}

// onlyFor answers Matrix calls with an error for pushkeys that begin like this.
func onlyFor(prefix string, e dispatch.CallError) func(string, push.Notification) ([]push.Pushkey, error) {
	return func(_ string, n push.Notification) ([]push.Pushkey, error) {
		if strings.HasPrefix(n.Device.Pushkey.Reveal(), prefix) {
			return nil, &e
		}
		return nil, nil
	}
}

// A gateway says 502 when it cannot reach the provider of one phone, and 429 to one that rings too often.
func TestNeighbours_OneDevicesFailureIsItsOwn(t *testing.T) {
	for name, e := range map[string]dispatch.CallError{
		"500":             {Status: 500, Reason: "status"},
		"502":             {Status: 502, Reason: "status"},
		"503 for an hour": {Status: 503, Reason: "status", RetryAfter: time.Hour},
		"429":             {Status: 429, Reason: "status"},
		"429 for an hour": {Status: 429, Reason: "status", RetryAfter: time.Hour},
		"broken answer":   {Status: 200, Reason: "broken answer"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.matrixPusherOf(member(0), "bad", urlM)
				r.matrixPusherOf(member(0), "same person", urlM)
				r.matrixPusherOf(member(1), "other", urlM)
				r.gateway.set(func(g *gateway) { g.matrix = onlyFor("bad", e) })
				for i := range 12 {
					r.tellOf(member(0), fmt.Sprint("$bad", i))
					r.soon("same person", i+1)
					time.Sleep(20 * time.Minute) // in which nobody's call does its work
					r.tellOf(member(1), fmt.Sprint("$", i))
					r.soon("other", i+1)
					require.Zero(t, r.Load().Paused)
				}
				time.Sleep(13 * time.Hour)
				require.EqualValues(t, 12, r.Account().Expired)
			})
		})
	}
}

// What the gateway asked of one device holds for all that waits for that device.
func TestNeighbours_RetryAfterHoldsForTheDevice(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.matrixPusherOf(member(0), "bad", urlM)
		r.gateway.set(func(g *gateway) {
			g.matrix = onlyFor("bad", dispatch.CallError{Status: 429, Reason: "status", RetryAfter: time.Minute})
		})
		for i := range 10 {
			r.tellOf(member(0), fmt.Sprint("$", i))
			settleDown()
		}
		time.Sleep(55 * time.Second)
		require.Len(t, r.gateway.attempts(), 1)
		r.gateway.set(func(g *gateway) { g.matrix = nil })
		time.Sleep(10 * time.Second)
		require.Len(t, r.gateway.taken(), 10)
	})
}

// What happens to several people is about the gateway: it rests, shortly at first, and costs one call at a time.
func TestNeighbours_SeveralPeoplesFailuresAreTheGateways(t *testing.T) {
	for name, c := range map[string]struct {
		failure dispatch.CallError
		people  int
	}{
		"502":           {dispatch.CallError{Status: 502, Reason: "status"}, 3},
		"429":           {dispatch.CallError{Status: 429, Reason: "status", RetryAfter: time.Second}, 2},
		"no connection": {dispatch.CallError{Reason: "dial"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.gateway.set(func(g *gateway) { g.matrix = onlyFor("", c.failure) })
				for i := range 50 {
					r.matrixPusherOf(member(i), push.Pushkey(fmt.Sprint(i)), urlM)
				}
				for i := range 50 {
					r.tellOf(member(i), "$")
					settleDown()
					require.Equal(t, i+1 >= c.people, r.Load().Paused == 1, "after %d", i+1)
				}
				calls := len(r.gateway.attempts())
				require.Equal(t, c.people, calls)
				r.gateway.set(func(g *gateway) { g.matrix = nil })
				time.Sleep(1200 * time.Millisecond)
				require.GreaterOrEqual(t, len(r.gateway.taken()), 50-c.people, "the first rest is short")
				time.Sleep(time.Minute)
				require.Len(t, r.gateway.taken(), 50)
			})
		})
	}
}

// A gateway that is back is found out with somebody else than whom it goes on failing, whatever waits for him.
func TestNeighbours_ProbesWithAnother(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.gateway.set(func(g *gateway) { g.matrix = onlyFor("", dispatch.CallError{Status: 502, Reason: "status"}) })
		for i := range 20 {
			r.matrixPusherOf(member(0), push.Pushkey(fmt.Sprint("bad", i)), urlM)
		}
		for i := range 10 {
			r.tellOf(member(0), fmt.Sprint("$", i))
		}
		settleDown()
		for i := 1; i < 10; i++ {
			r.matrixPusherOf(member(i), push.Pushkey(fmt.Sprint(i)), urlM)
			r.tellOf(member(i), "$")
			settleDown()
		}
		time.Sleep(10 * time.Minute)
		require.Equal(t, 1, r.Load().Paused)
		r.gateway.set(func(g *gateway) { g.matrix = onlyFor("bad", dispatch.CallError{Status: 502, Reason: "status"}) })
		time.Sleep(11 * time.Minute)
		require.Len(t, r.gateway.taken(), 9)
		require.Zero(t, r.Load().Paused)
	})
}

// refusesKeys is a gateway that refuses every batch with one of these pushkeys in it.
func refusesKeys(prefix string, status int) func(string, string, []dispatch.Item) ([]dispatch.Result, error) {
	return func(_, _ string, items []dispatch.Item) ([]dispatch.Result, error) {
		for _, it := range items {
			if strings.HasPrefix(it.Device.Pushkey.Reveal(), prefix) {
				return nil, &dispatch.CallError{Status: status, Reason: "status"}
			}
		}
		return nil, nil
	}
}

// However many registrations of a person a gateway refuses, and however often they come again.
func TestNeighbours_RefusedRegistrationsAreOnesOwn(t *testing.T) {
	for _, status := range []int{400, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				for i := range 200 {
					r.register(bob(), push.Pushkey(fmt.Sprint("bad", i)), urlA)
				}
				r.register(insured(0), "at once", urlA)
				r.register(alice(), "later", urlA)
				r.gateway.set(func(g *gateway) { g.behave = refusesKeys("bad", status) })
				r.submit(bob(), "x")
				r.submit(insured(0), "x")
				r.soon("at once", 1)
				require.LessOrEqual(t, r.gateway.asked(), 30, "not once for each of them")
				for i := range 50 {
					time.Sleep(2 * time.Minute)
					r.submit(alice(), "x")
					r.soon("later", i+1)
					require.Zero(t, r.Load().Paused)
				}
			})
		})
	}
}

// Among the refused of one claim are many people's whom the gateway takes.
func TestNeighbours_RefusedAmongTaken(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.gateway.set(func(g *gateway) { g.behave = fails(503) })
		for i := range 50 {
			r.register(bob(), push.Pushkey(fmt.Sprint("bad", i)), urlA)
			r.register(insured(i), push.Pushkey(fmt.Sprint(i)), urlA)
			r.submit(insured(i), "x")
		}
		r.submit(bob(), "x")
		settleDown()
		r.gateway.set(func(g *gateway) { g.behave, g.calls = refusesKeys("bad", 400), 0 })
		time.Sleep(5*time.Minute + 500*time.Millisecond)
		require.Len(t, r.gateway.taken(), 50)
		require.LessOrEqual(t, r.gateway.asked(), 30, "not once for each of them")
	})
}

// A claim whose first call failed as a whole is not gone on with.
func TestNeighbours_NoSecondCallAfterAFailedOne(t *testing.T) {
	optional := func(o *dispatch.Options) { o.Fachdienst.Encryption = pusher.EncryptionOptional }
	inBubble(t, optional, func(t *testing.T, r *rig) {
		r.register(alice(), "sealed", urlA)
		r.set(alice(), "plain", urlA, `{"url":"`+urlA+`"}`, nil)
		r.choose(alice(), "plain", channel, pusher.ChannelEnabled)
		r.gateway.set(func(g *gateway) { g.behave = fails(503) })
		r.submit(alice(), "x")
		settleDown()
		require.Len(t, r.gateway.attempts(), 1)
		r.gateway.set(func(g *gateway) { g.behave = nil })
		time.Sleep(6 * time.Minute)
		require.Len(t, r.gateway.taken(), 2)
	})
}

const urlSlow = "https://slow%d.example.com/_matrix/push/v1/notify"

// slowly answers at these gateways after a while, at all others at once.
func slowly(part string, d time.Duration) func(string) time.Duration {
	return func(url string) time.Duration {
		if strings.Contains(url, part) {
			return d
		}
		return 0
	}
}

// Gateways that always answer, but late, take no place from those that answer at once.
func TestNeighbours_SlowGateways(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.gateway.set(func(g *gateway) { g.delay = slowly("slow", 9*time.Second) })
		r.register(alice(), "fd", urlA)
		r.matrixPusherOf(member(1), "mx", urlM)
		r.tellOf(member(1), "$known")
		r.soon("mx", 1)
		for i := range 100 {
			r.matrixPusherOf(member(0), push.Pushkey(fmt.Sprint("s", i)), fmt.Sprintf(urlSlow, i))
		}
		for i := range 8 {
			r.tellOf(member(0), fmt.Sprint("$", i))
			time.Sleep(4 * time.Second)
			r.tellOf(member(1), fmt.Sprint("$", i))
			r.soon("mx", i+2)
			r.submit(alice(), "x")
			r.soon("fd", i+1)
		}
		time.Sleep(10 * time.Minute)
		require.Len(t, r.gateway.taken(), 100*8+9+8, "and are served in their turn")
	})
}

// A gateway under any number of paths is one host.
func TestNeighbours_PlacesOfOneHost(t *testing.T) {
	var flying, most atomic.Int32
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.gateway.set(func(g *gateway) {
			g.delay = func(string) time.Duration {
				most.Store(max(most.Load(), flying.Add(1)))
				return time.Second
			}
			g.behave = func(string, string, []dispatch.Item) ([]dispatch.Result, error) {
				flying.Add(-1)
				return nil, nil
			}
		})
		for i := range 100 {
			r.register(insured(i), push.Pushkey(fmt.Sprint(i)), fmt.Sprintf("https://one.example.com:%d/%d/push/v1/", 1000+i, i))
			r.submit(insured(i), "x")
		}
		time.Sleep(time.Minute)
		require.Len(t, r.gateway.taken(), 100)
		require.LessOrEqual(t, most.Load(), int32(16))
	})
}

// A gateway that failed once does not stand in line behind all that never answer.
func TestNeighbours_HangingGateways(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.gateway.set(func(g *gateway) {
			g.delay = slowly("slow", 10*time.Second)
			g.matrix = func(url string, _ push.Notification) ([]push.Pushkey, error) {
				if strings.Contains(url, "slow") {
					return nil, &dispatch.CallError{Reason: "timeout"}
				}
				return nil, nil
			}
		})
		for i := range 200 {
			r.matrixPusherOf(member(0), push.Pushkey(fmt.Sprint("s", i)), fmt.Sprintf(urlSlow, i))
		}
		r.matrixPusherOf(member(1), "mx", urlM)
		r.tellOf(member(0), "$")
		time.Sleep(3 * time.Minute)
		hang := r.gateway.matrix
		r.gateway.set(func(g *gateway) { g.matrix = onlyFor("mx", dispatch.CallError{Reason: "dial"}) })
		r.tellOf(member(1), "$")
		settleDown()
		r.gateway.set(func(g *gateway) { g.matrix = hang })
		time.Sleep(5 * time.Second)
		require.Len(t, r.gateway.taken(), 1, "a second of rest and the next place that is free")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Stop(ctx)
	})
}
