package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
)

func carol() push.Owner { return push.Owner{Realm: push.RealmMatrix, User: "@carol:example.org"} }

func (r *rig) matrixPusher(key push.Pushkey, members string) {
	r.t.Helper()
	r.set(carol(), key, urlM, `{"url":"`+urlM+`"`+members+`}`, nil)
}

func matrixEvent(id string, unread int64) dispatch.MatrixNotice {
	return dispatch.MatrixNotice{
		User: carol().User, Priority: push.High, Tweaks: push.Object(`{"sound":"bing"}`), Counts: push.Counts{Unread: &unread},
		Event: &push.Event{
			ID: push.NewText(id), RoomID: push.NewText("!r"), Type: push.NewText("m.room.message"), Sender: push.NewText("@a:example.org"),
			Content: push.Object(`{"n":1.10}`),
		},
	}
}

func badgeUpdate(unread int64) dispatch.MatrixNotice {
	return dispatch.MatrixNotice{User: carol().User, Counts: push.Counts{Unread: &unread}}
}

func (r *rig) tell(n dispatch.MatrixNotice) dispatch.Receipt {
	r.t.Helper()
	receipt, err := r.SubmitMatrix(context.Background(), anyone(), n)
	require.NoError(r.t, err)
	return receipt
}

func TestMatrix_EachPusherInItsFormat(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.matrixPusher("full", `,"custom":1e400`)
		r.matrixPusher("ids", `,"format":"event_id_only"`)
		r.matrixPusher("counts", `,"org.matrix.msc4076.disable_badge_count":true`)
		r.matrixPusher("odd", `,"format":"id_event_only"`)
		r.matrixPusher("null", `,"format":null,"x":null`)
		require.Equal(t, dispatch.StatusAccepted, r.tell(matrixEvent("$1", 0)).Status)
		settleDown()
		got := map[push.Pushkey]push.Notification{}
		for _, s := range r.gateway.taken() {
			require.Equal(t, urlM, s.url)
			got[s.n.Device.Pushkey] = s.n
		}
		require.Len(t, got, 5)
		require.Equal(t, `{"x":null}`, string(got["null"].Device.Data), "a format that is null is none")
		full := got["full"]
		require.Equal(t, `{"n":1.10}`, string(full.Event.Content))
		require.Equal(t, `{"sound":"bing"}`, string(full.Device.Tweaks))
		require.Equal(t, `{"custom":1e400}`, string(full.Device.Data))
		require.EqualValues(t, 0, *full.Counts.Unread, "zero clears a badge")
		require.InDelta(t, time.Now().Unix(), full.Device.PushkeyTS, 2)
		ids := got["ids"]
		require.Equal(t, push.Event{ID: push.NewText("$1"), RoomID: push.NewText("!r")}, *ids.Event)
		require.Nil(t, ids.Device.Tweaks)
		require.True(t, ids.Counts.Present())
		require.False(t, got["counts"].Counts.Present())
		require.False(t, got["odd"].Event.Type.Empty(), "an unknown format is the full one")
	})
}

func TestMatrix_Refuses(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		ctx := context.Background()
		_, err := r.SubmitMatrix(ctx, anyone(), matrixEvent("$1", 0))
		require.Equal(t, dispatch.CodeUserNotFound, codeOf(t, err))
		r.matrixPusher("one", "")
		_, err = r.SubmitMatrix(ctx, dispatch.Sender{Channels: []string{"erp.*"}}, matrixEvent("$1", 0))
		require.Equal(t, dispatch.CodeForbidden, codeOf(t, err))
		noRoom := matrixEvent("$1", 0)
		noRoom.Event.RoomID = push.Text{}
		_, err = r.SubmitMatrix(ctx, anyone(), noRoom)
		require.Equal(t, dispatch.CodeInvalid, codeOf(t, err))
		_, err = r.SubmitMatrix(ctx, anyone(), dispatch.MatrixNotice{User: carol().User})
		require.Equal(t, dispatch.CodeInvalid, codeOf(t, err))
		own := matrixEvent("$1", 0)
		own.Event.Sender = push.NewText(carol().User.Reveal())
		require.Equal(t, dispatch.StatusNoActiveChannel, r.tell(own).Status, "no push for what one did oneself")
		keyed := matrixEvent("$2", 0)
		keyed.Key = "key"
		require.Equal(t, r.tell(keyed).ID, r.tell(keyed).ID)
		other := matrixEvent("$3", 0)
		other.Key = "key"
		_, err = r.SubmitMatrix(ctx, anyone(), other)
		require.Equal(t, dispatch.CodeKeyReused, codeOf(t, err))
		settleDown()
		require.Len(t, r.gateway.taken(), 1)
	})
}

func TestMatrix_NewerBadgeReplacesOlder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.matrixPusher("one", "")
		r.matrixPusher("own count", `,"org.matrix.msc4076.disable_badge_count":true`)
		r.gateway.set(func(g *gateway) { g.delay = func(string) time.Duration { return time.Second } })
		for i := range int64(10) {
			r.tell(badgeUpdate(10 - i))
		}
		r.tell(badgeUpdate(0))
		time.Sleep(time.Minute)
		got := r.gateway.taken()
		require.LessOrEqual(t, len(got), 2)
		last := got[len(got)-1].n
		require.EqualValues(t, 0, *last.Counts.Unread)
		require.True(t, last.Event.ID.Empty())
		require.Nil(t, last.Device.Tweaks)
		require.GreaterOrEqual(t, r.Account().Superseded, uint64(9))
	})
}

// A badge that fails beside a newer one is not sent again.
func TestMatrix_OldBadgeEndsBesideNewer(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.matrixPusher("one", "")
		r.gateway.set(func(g *gateway) {
			g.delay = func(string) time.Duration { return time.Second }
			g.matrix = func(string, push.Notification) ([]push.Pushkey, error) {
				return nil, &dispatch.CallError{Reason: "timeout"}
			}
		})
		r.tell(badgeUpdate(5))
		time.Sleep(500 * time.Millisecond)
		r.tell(badgeUpdate(0))
		time.Sleep(time.Second)
		r.gateway.set(func(g *gateway) { g.matrix = nil })
		time.Sleep(time.Hour)
		got := r.gateway.taken()
		require.Len(t, got, 1)
		require.EqualValues(t, 0, *got[0].n.Counts.Unread)
	})
}

func TestMatrix_RejectedOnlyItsOwn(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.matrixPusher("one", "")
		r.matrixPusher("two", "")
		r.gateway.set(func(g *gateway) {
			g.matrix = func(_ string, n push.Notification) ([]push.Pushkey, error) {
				if n.Device.Pushkey == "one" {
					return []push.Pushkey{"two", "other"}, nil
				}
				return nil, nil
			}
		})
		r.tell(matrixEvent("$1", 1))
		settleDown()
		require.Equal(t, 2, r.pushers(carol()), "other keys are ignored")
		r.gateway.set(func(g *gateway) {
			g.matrix = func(_ string, n push.Notification) ([]push.Pushkey, error) { return []push.Pushkey{"one"}, nil }
		})
		r.tell(badgeUpdate(0))
		settleDown()
		require.Equal(t, 1, r.pushers(carol()), "on badge updates too")
	})
}

// A 4xx is about the event: it goes after brief retries, blocks nothing, and the pusher stays.
func TestMatrix_RefusedEventIsDropped(t *testing.T) {
	for _, status := range []int{400, 404, 410, 413} {
		inBubbleNow(t, func(t *testing.T, r *rig) {
			r.matrixPusher("one", "")
			r.gateway.set(func(g *gateway) {
				g.matrix = func(_ string, n push.Notification) ([]push.Pushkey, error) {
					if n.Event.ID.Reveal() == "$bad" {
						return nil, &dispatch.CallError{Status: status, Reason: "status"}
					}
					return nil, nil
				}
			})
			r.tell(matrixEvent("$bad", 1))
			settleDown()
			r.tell(matrixEvent("$good", 1))
			settleDown()
			require.Len(t, r.gateway.taken(), 1, "what waits holds nothing back")
			time.Sleep(time.Minute)
			require.Len(t, r.gateway.attempts(), 7, "six of the bad one")
			require.EqualValues(t, 1, r.Account().Dropped)
			require.Equal(t, 1, r.pushers(carol()))
			require.Zero(t, r.Load().Paused)
		})
	}
}

// A proxy answers 404 for a gateway that is being replaced.
func TestMatrix_ReplacedGatewayLosesNothing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.matrixPusher("one", "")
		r.gateway.set(func(g *gateway) {
			g.matrix = func(string, push.Notification) ([]push.Pushkey, error) {
				return nil, &dispatch.CallError{Status: 404, Reason: "status"}
			}
		})
		r.tell(matrixEvent("$one", 1))
		time.Sleep(20 * time.Second)
		r.gateway.set(func(g *gateway) { g.matrix = nil })
		time.Sleep(time.Minute)
		require.Len(t, r.gateway.taken(), 1)
	})
}

func TestMatrix_OutageIsRiddenOut(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.matrixPusher("one", "")
		r.gateway.set(func(g *gateway) {
			g.matrix = func(string, push.Notification) ([]push.Pushkey, error) {
				return nil, &dispatch.CallError{Status: 502, Reason: "status"}
			}
		})
		for i := range 30 {
			r.tell(matrixEvent("$"+string(rune('a'+i)), 1))
		}
		time.Sleep(time.Hour)
		require.LessOrEqual(t, len(r.gateway.attempts()), 22, "one call by the ladder, then one every 5 minutes")
		r.gateway.set(func(g *gateway) { g.matrix = nil })
		time.Sleep(10 * time.Minute)
		require.Len(t, r.gateway.taken(), 30)
	})
}
