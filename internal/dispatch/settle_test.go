package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// answers gives every item this status, and these rejected pushkeys.
func answers(status dispatch.ResultStatus, rejected ...push.Pushkey) func(string, string, []dispatch.Item) ([]dispatch.Result, error) {
	return func(_, _ string, items []dispatch.Item) ([]dispatch.Result, error) {
		out := make([]dispatch.Result, 0, len(items))
		for i := range items { // not in their order: settling goes by id
			out = append(out, dispatch.Result{ID: items[len(items)-1-i].ID, Status: status, Rejected: rejected})
		}
		return out, nil
	}
}

func fails(status int) func(string, string, []dispatch.Item) ([]dispatch.Result, error) {
	return func(string, string, []dispatch.Item) ([]dispatch.Result, error) {
		return nil, &dispatch.CallError{Status: status, Reason: "status"}
	}
}

func TestSettle_RejectedRemovesThePusher(t *testing.T) {
	for name, status := range map[string]dispatch.ResultStatus{
		"failed": dispatch.ResultFailed, "partial": dispatch.ResultPartial, "success": dispatch.ResultSuccess,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.register(alice(), "one", urlA)
				r.register(alice(), "two", urlB)
				r.register(bob(), "one", urlA)
				r.gateway.set(func(g *gateway) { g.behave = answers(status, "one") })
				r.submit(alice(), "x")
				settleDown()
				require.Equal(t, 1, r.pushers(alice()))
				require.Equal(t, 1, r.pushers(bob()), "another person's registration has not been sent to")
				require.EqualValues(t, 1, r.Account().Rejected)
				require.Contains(t, r.log.String(), `"audit":true`)
				require.NotContains(t, r.log.String(), `"one"`)
			})
		})
	}
}

// A gateway may report a pushkey because of an earlier notification.
func TestSettle_RejectedFromEarlier(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		r.register(bob(), "old", urlA)
		r.register(bob(), "elsewhere", urlB)
		time.Sleep(time.Second)
		r.gateway.set(func(g *gateway) { g.behave = answers(dispatch.ResultSuccess, "old", "elsewhere", "unknown") })
		r.submit(alice(), "x")
		settleDown()
		require.Equal(t, 1, r.pushers(alice()))
		require.Equal(t, 1, r.pushers(bob()), "only what is sent through this gateway")
		require.EqualValues(t, 1, r.Account().Delivered)
	})
}

// The worst bug there is: what was registered again while the call was under way stays, and gets the event.
func TestSettle_RejectedButRegisteredAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		r.gateway.set(func(g *gateway) {
			g.delay = func(string) time.Duration { return 5 * time.Second }
			g.behave = answers(dispatch.ResultFailed, "one")
		})
		r.submit(alice(), "hello")
		time.Sleep(time.Second)
		p := r.register(alice(), "one", urlA)
		r.gateway.set(func(g *gateway) { g.delay = nil })
		time.Sleep(4500 * time.Millisecond)
		require.Equal(t, 1, r.pushers(alice()))
		r.gateway.set(func(g *gateway) { g.behave = nil })
		time.Sleep(time.Minute)
		require.Equal(t, []string{`{"Message":"hello","ChannelId":"erp.task.activate"}`}, opened(t, p, r.gateway.taken()))
		require.Zero(t, r.Account().Rejected)
	})
}

func TestSettle_RejectedTakesWaitingEventsAlong(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		r.gateway.set(func(g *gateway) {
			g.delay = func(string) time.Duration { return time.Second }
			g.behave = answers(dispatch.ResultFailed, "one")
		})
		for range 5 {
			r.submit(alice(), "x")
		}
		time.Sleep(time.Minute)
		require.Zero(t, r.store.Len())
		require.Len(t, r.gateway.attempts(), 1)
	})
}

func TestSettle_FailedIsRetriedByTheLadder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		r.gateway.set(func(g *gateway) { g.behave = answers(dispatch.ResultFailed) })
		r.submit(alice(), "x")
		time.Sleep(13 * time.Hour)
		tried := r.gateway.attempts()
		want := time.Second
		for i := 1; i < len(tried); i++ {
			gap := tried[i].at.Sub(tried[i-1].at)
			require.GreaterOrEqual(t, gap, want)
			require.LessOrEqual(t, gap, want*12/10+10*time.Millisecond)
			want = min(2*want, time.Hour)
			require.NotEqual(t, tried[i-1].id, tried[i].id, "a new id for each attempt")
			require.NotEqual(t, tried[i-1].n.Sealed.Ciphertext, tried[i].n.Sealed.Ciphertext, "a new nonce for each attempt")
		}
		require.Greater(t, len(tried), 20)
		require.Less(t, tried[len(tried)-1].at.Sub(tried[0].at), 12*time.Hour)
		require.EqualValues(t, 1, r.Account().Expired, "given up after 12 h (A_28473)")
		require.Zero(t, r.store.Len())
		require.Equal(t, 1, r.pushers(alice()), "the pusher stays")
	})
}

func TestSettle_MissingOrStrangeResults(t *testing.T) {
	for name, results := range map[string]func(id string) []dispatch.Result{
		"none": func(string) []dispatch.Result { return []dispatch.Result{} },
		"another id": func(string) []dispatch.Result {
			return []dispatch.Result{{ID: "other", Status: dispatch.ResultSuccess}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.register(alice(), "one", urlA)
				first := true
				r.gateway.set(func(g *gateway) {
					g.behave = func(_, _ string, items []dispatch.Item) ([]dispatch.Result, error) {
						if first {
							first = false
							return results(items[0].ID), nil
						}
						return nil, nil
					}
				})
				r.submit(alice(), "x")
				time.Sleep(time.Minute)
				require.Len(t, r.gateway.attempts(), 2)
				require.EqualValues(t, 1, r.Account().Delivered)
			})
		})
	}
}

// One device's success never ends another's wait.
func TestSettle_ByDevice(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "good", urlA)
		r.register(alice(), "bad", urlA)
		r.gateway.set(func(g *gateway) {
			g.behave = func(_, _ string, items []dispatch.Item) ([]dispatch.Result, error) {
				var out []dispatch.Result
				for _, it := range items {
					s := dispatch.ResultSuccess
					if it.Device.Pushkey == "bad" {
						s = dispatch.ResultFailed
					}
					out = append(out, dispatch.Result{ID: it.ID, Status: s})
				}
				return out, nil
			}
		})
		r.submit(alice(), "x")
		settleDown()
		require.Len(t, r.gateway.taken(), 1)
		r.gateway.set(func(g *gateway) { g.behave = nil })
		time.Sleep(time.Minute)
		require.Len(t, r.gateway.taken(), 2)
	})
}

func TestPause_5xxRestsTheGatewayAndNoOther(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "a", urlA)
		r.register(bob(), "b", urlB)
		r.gateway.set(func(g *gateway) {
			g.behave = func(url, _ string, _ []dispatch.Item) ([]dispatch.Result, error) {
				if url == urlA {
					return nil, &dispatch.CallError{Status: 503, Reason: "status"}
				}
				return nil, nil
			}
		})
		require.Equal(t, dispatch.StatusAccepted, r.submit(alice(), "x").Status)
		settleDown()
		for range 20 {
			require.Equal(t, dispatch.StatusQueued, r.submit(alice(), "x").Status)
			require.Equal(t, dispatch.StatusAccepted, r.submit(bob(), "x").Status)
		}
		time.Sleep(4 * time.Minute)
		require.Len(t, r.gateway.taken(), 20, "the other gateway goes on")
		require.Len(t, r.gateway.attempts(), 21, "a resting one is not asked")
		require.Equal(t, 1, r.Load().Paused)
		r.gateway.set(func(g *gateway) { g.behave = nil })
		time.Sleep(2 * time.Minute)
		require.Len(t, r.gateway.taken(), 41)
		require.Zero(t, r.Load().Paused)
	})
}

func TestPause_RetryAfterHolds(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "a", urlA)
		r.gateway.set(func(g *gateway) {
			g.behave = func(string, string, []dispatch.Item) ([]dispatch.Result, error) {
				return nil, &dispatch.CallError{Status: 503, Reason: "status", RetryAfter: 7 * time.Second}
			}
		})
		r.submit(alice(), "x")
		time.Sleep(6 * time.Second)
		require.Len(t, r.gateway.attempts(), 1)
		r.gateway.set(func(g *gateway) { g.behave = nil })
		time.Sleep(2 * time.Second)
		require.Len(t, r.gateway.taken(), 1)
	})
}

// A dead gateway is asked with one call at a time, however many people have apps behind it.
func TestPause_DeadGatewayCostsOneProbe(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		const people = 300
		for i := range people {
			owner := push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:", i))}
			r.register(owner, push.Pushkey(fmt.Sprint(i)), urlA)
			r.gateway.set(func(g *gateway) {
				g.delay = func(string) time.Duration { return 3 * time.Second }
				g.behave = func(string, string, []dispatch.Item) ([]dispatch.Result, error) {
					return nil, &dispatch.CallError{Reason: "timeout"}
				}
			})
			r.submit(owner, "x")
		}
		time.Sleep(time.Hour)
		r.gateway.mu.Lock()
		calls := r.gateway.calls
		r.gateway.mu.Unlock()
		require.Less(t, calls, 40, "one probe a pause")
		r.gateway.set(func(g *gateway) { g.behave = nil })
		time.Sleep(10 * time.Minute)
		require.Len(t, r.gateway.taken(), people, "soon over for all")
		require.LessOrEqual(t, r.gateway.largest, dispatch.MaxItems)
	})
}

// Hanging gateways take no place from a healthy one.
func TestPause_ManyHangingGateways(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.gateway.set(func(g *gateway) {
			g.delay = func(url string) time.Duration {
				if url == urlA {
					return 0
				}
				return 10 * time.Second
			}
			g.behave = func(url, _ string, _ []dispatch.Item) ([]dispatch.Result, error) {
				if url == urlA {
					return nil, nil
				}
				return nil, &dispatch.CallError{Reason: "timeout"}
			}
		})
		for i := range 200 {
			owner := push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:", i))}
			r.register(owner, push.Pushkey(fmt.Sprint(i)), fmt.Sprintf("https://h%d.example.com/push/v1/", i))
			r.submit(owner, "x")
		}
		time.Sleep(2 * time.Minute) // known by now
		r.register(alice(), "a", urlA)
		for range 30 {
			before := time.Now()
			r.submit(alice(), "x")
			time.Sleep(time.Second)
			got := r.gateway.taken()
			require.WithinDuration(t, before, got[len(got)-1].at, 10*time.Millisecond)
		}
	})
}

// One bad item must not hold up the others, nor make its gateway look dead.
func TestPoison_IsIsolated(t *testing.T) {
	for _, status := range []int{400, 413, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				const people = 60
				r.gateway.set(func(g *gateway) { g.behave = fails(503) })
				for i := range people {
					owner := push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:", i))}
					r.register(owner, push.Pushkey(fmt.Sprint(i)), urlA)
					r.submit(owner, "x")
				}
				r.gateway.set(func(g *gateway) {
					g.behave = func(_, _ string, items []dispatch.Item) ([]dispatch.Result, error) {
						for _, it := range items {
							if it.Device.Pushkey == "7" {
								return nil, &dispatch.CallError{Status: status, Reason: "status"}
							}
						}
						return nil, nil
					}
				})
				time.Sleep(15 * time.Minute)
				require.Len(t, r.gateway.taken(), people-1)
				time.Sleep(12 * time.Hour)
				require.EqualValues(t, 1, r.Account().Expired)
				require.Equal(t, people, func() (n int) {
					for i := range people {
						n += r.pushers(push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:", i))})
					}
					return n
				}())
			})
		})
	}
}

func TestPoison_AGatewayThatRefusesEverythingIsNotFlooded(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.gateway.set(func(g *gateway) { g.behave = fails(503) })
		for i := range 100 {
			owner := push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:", i))}
			r.register(owner, push.Pushkey(fmt.Sprint(i)), urlA)
			r.submit(owner, "x")
		}
		time.Sleep(time.Minute)
		r.gateway.set(func(g *gateway) { g.behave, g.calls = fails(400), 0 })
		time.Sleep(time.Hour)
		r.gateway.mu.Lock()
		defer r.gateway.mu.Unlock()
		require.Less(t, r.gateway.calls, 12*5)
	})
}

func TestStore_AwayWhileSettling(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		r.gateway.set(func(g *gateway) { g.delay = func(string) time.Duration { return time.Second } })
		r.submit(alice(), "x")
		time.Sleep(500 * time.Millisecond)
		r.store.Fail(errors.New("away"))
		time.Sleep(30 * time.Second)
		r.store.Fail(nil)
		time.Sleep(5 * time.Second)
		require.Len(t, r.gateway.taken(), 1, "the verdict is kept until the store takes it")
		require.Zero(t, r.store.Len())
	})
}

func TestRestart_TakesOver(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		p := r.register(alice(), "one", urlA)
		r.gateway.set(func(g *gateway) { g.behave = fails(503) })
		for i := range 5 {
			r.submit(alice(), fmt.Sprint(i))
		}
		settleDown()
		r.stop()
		r.store.Reopen()
		r.gateway.set(func(g *gateway) { g.behave = nil })
		time.Sleep(40 * 24 * time.Hour / 100)
		r.boot()
		time.Sleep(time.Minute)
		require.Len(t, opened(t, p, r.gateway.taken()), 5)
	})
}

// A stop that may not wait cuts calls off and gives the rows back.
func TestStop_GivesBack(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		r.gateway.set(func(g *gateway) { g.delay = func(string) time.Duration { return time.Hour } })
		r.submit(alice(), "x")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.ErrorIs(t, r.Stop(ctx), context.DeadlineExceeded)
		require.True(t, r.Account().Balanced())
		r.gateway.set(func(g *gateway) { g.delay = nil })
		r.boot()
		time.Sleep(time.Minute)
		require.Len(t, r.gateway.taken(), 1)
	})
}

// One device has one notification in flight, in the order of events; one that waits for its retry holds nothing back.
func TestOrder_OfOneDevice(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		p := r.register(alice(), "one", urlA)
		r.gateway.set(func(g *gateway) { g.delay = func(string) time.Duration { return 100 * time.Millisecond } })
		want := []string{}
		for i := range 20 {
			r.submit(alice(), fmt.Sprintf("%02d", i))
			want = append(want, fmt.Sprintf(`{"Message":"%02d","ChannelId":"erp.task.activate"}`, i))
		}
		time.Sleep(10 * time.Second)
		require.Equal(t, want, opened(t, p, r.gateway.taken()))
	})
}

// Two nodes share one database.
func TestShared_TwoNodes(t *testing.T) {
	inBubble(t, func(o *dispatch.Options) { o.Shared = true }, func(t *testing.T, r *rig) {
		other, err := dispatch.New(r.options)
		require.NoError(t, err)
		require.NoError(t, other.Start())
		r.gateway.set(func(g *gateway) { g.delay = func(string) time.Duration { return time.Second } })
		for i := range 50 {
			owner := push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:", i))}
			r.register(owner, push.Pushkey(fmt.Sprint(i)), urlA)
			for range 3 {
				r.submit(owner, "x")
			}
		}
		time.Sleep(time.Minute)
		require.Len(t, r.gateway.taken(), 150, "each once")
		require.NoError(t, other.Stop(context.Background()))
		require.True(t, other.Account().Balanced())
	})
}

var _ dispatch.Remover = (*pusher.Service)(nil)
