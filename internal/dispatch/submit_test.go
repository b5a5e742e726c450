package dispatch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

func codeOf(t *testing.T, err error) string {
	t.Helper()
	e, ok := errors.AsType[*push.Error](err)
	require.True(t, ok, "%v", err)
	return e.Code
}

func TestSubmit_ReachesEveryDeviceThatWantsIt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		one := r.register(alice(), "one", urlA)
		r.register(alice(), "two", urlB)
		r.register(alice(), "off", urlA)
		r.choose(alice(), "off", channel, pusher.ChannelDisabled)
		r.register(bob(), "bob", urlA)

		receipt := r.submit(alice(), "hello")
		require.Equal(t, dispatch.StatusAccepted, receipt.Status)
		require.Len(t, receipt.ID, 36)
		settleDown()
		got := r.gateway.taken()
		require.Len(t, got, 2)
		for _, s := range got {
			require.Equal(t, "sealed", s.op)
			require.Equal(t, s.url == urlA, s.n.Device.Pushkey == "one")
			require.Equal(t, push.AppID("app"), s.n.Device.AppID)
			require.Equal(t, push.Low, s.n.Priority)
			require.Equal(t, `{"n":9007199254740993}`, string(s.n.Device.Data), "data without url, digits kept")
			require.Equal(t, keyID, s.n.Sealed.KeyIdentifier.Reveal())
			require.Equal(t, "ref", s.n.Sealed.Identifier.Reveal())
			require.Equal(t, "2000-01", s.n.Sealed.Month)
			require.InDelta(t, time.Now().Unix(), s.n.Device.PushkeyTS, 2)
		}
		require.NotEqual(t, got[0].n.Sealed.Ciphertext, got[1].n.Sealed.Ciphertext)
		require.Equal(t, `{"Message":"hello","ChannelId":"erp.task.activate"}`, opened(t, one, got)[0])
		require.Zero(t, r.store.Len())
		a := r.Account()
		require.EqualValues(t, 2, a.Accepted)
		require.EqualValues(t, 2, a.Delivered)
	})
}

func TestSubmit_Refuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		from   dispatch.Sender
		change func(*dispatch.Notice)
		kind   push.Kind
		code   string
	}{
		{"a channel that is not the sender's", dispatch.Sender{Channels: []string{"epa.*"}}, nil, push.Forbidden, dispatch.CodeForbidden},
		{"an unknown channel", anyone(), func(n *dispatch.Notice) { n.Channel = "nope" }, push.Invalid, dispatch.CodeUnknown},
		{"a person without devices", anyone(), func(n *dispatch.Notice) { n.Owner = bob() }, push.NotFound, dispatch.CodeUserNotFound},
		{"nobody", anyone(), func(n *dispatch.Notice) { n.Owner.User = "" }, push.Invalid, dispatch.CodeInvalid},
		{"a user of the other realm", anyone(), func(n *dispatch.Notice) { n.Owner.Realm = push.RealmMatrix }, push.Invalid, dispatch.CodeInvalid},
		{"what does not fit", anyone(), func(n *dispatch.Notice) { n.Payload = push.Object(`{"x":"` + strings.Repeat("x", 1018) + `"}`) }, push.TooLarge, dispatch.CodeTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.register(alice(), "one", urlA)
				n := notice(alice(), "x")
				if tt.change != nil {
					tt.change(&n)
				}
				_, err := r.Submit(context.Background(), tt.from, n)
				require.Equal(t, tt.kind, push.KindOf(err))
				require.Equal(t, tt.code, codeOf(t, err))
				settleDown()
				require.Empty(t, r.gateway.attempts())
			})
		})
	}
}

func TestSubmit_NobodyWantsIt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		r.choose(alice(), "one", channel, pusher.ChannelNotSet)
		require.Equal(t, dispatch.StatusNoActiveChannel, r.submit(alice(), "x").Status)
		n := notice(alice(), "x")
		n.Channel = "erp.on" // enabled by default
		receipt, err := r.Submit(context.Background(), anyone(), n)
		require.NoError(t, err)
		require.Equal(t, dispatch.StatusAccepted, receipt.Status)
		settleDown()
		require.Len(t, r.gateway.taken(), 1)
	})
}

func TestSubmit_RepeatsAreOne(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		n := notice(alice(), "x")
		n.Key = "key"
		first, err := r.Submit(context.Background(), anyone(), n)
		require.NoError(t, err)
		time.Sleep(23 * time.Hour)
		again, err := r.Submit(context.Background(), anyone(), n)
		require.NoError(t, err)
		require.Equal(t, first, again)

		other := n
		other.Payload = push.Object(`{"Message":"other"}`)
		_, err = r.Submit(context.Background(), anyone(), other)
		require.Equal(t, dispatch.CodeKeyReused, codeOf(t, err))
		_, err = r.Submit(context.Background(), dispatch.Sender{Name: "another", Channels: []string{"*"}}, other)
		require.NoError(t, err, "keys are the caller's own")
		settleDown()
		require.Len(t, r.gateway.taken(), 2)
		time.Sleep(25 * time.Hour)
		_, err = r.Submit(context.Background(), anyone(), n)
		require.NoError(t, err)
		settleDown()
		require.Len(t, r.gateway.taken(), 3, "forgotten after a day")
	})
}

func TestSubmit_StoreAwayOrFull(t *testing.T) {
	inBubble(t, func(o *dispatch.Options) { o.MaxQueued = 10 }, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		r.register(alice(), "two", urlB)
		r.gateway.set(func(g *gateway) {
			g.behave = func(string, string, []dispatch.Item) ([]dispatch.Result, error) {
				return nil, &dispatch.CallError{Reason: "timeout"}
			}
		})
		for range 5 {
			r.submit(alice(), "x")
		}
		_, err := r.Submit(context.Background(), anyone(), notice(alice(), "x"))
		require.Equal(t, push.Unavailable, push.KindOf(err))
		e, _ := errors.AsType[*push.Error](err)
		require.GreaterOrEqual(t, e.RetryAfter, time.Second)
		require.True(t, r.Load().Full)
		r.gateway.set(func(g *gateway) { g.behave = nil })
		time.Sleep(10 * time.Minute)
		require.Len(t, r.gateway.taken(), 10)
		r.submit(alice(), "room again")

		r.store.Fail(errors.New("disk full"))
		_, err = r.Submit(context.Background(), anyone(), notice(alice(), "x"))
		require.Equal(t, push.Unavailable, push.KindOf(err))
		require.NotContains(t, err.Error(), "disk")
		r.store.Fail(nil)
		time.Sleep(time.Minute)
		require.Len(t, r.gateway.taken(), 12)
	})
}

// One dead gateway fills its half of the outbox, and nobody else's.
func TestSubmit_OneHostHoldsHalf(t *testing.T) {
	inBubble(t, func(o *dispatch.Options) { o.MaxQueued = 20 }, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		r.register(bob(), "dead", urlB)
		r.register(bob(), "dead too", "https://B.example.com:8443/other/push/v1/")
		r.gateway.set(func(g *gateway) {
			g.behave = func(url, _ string, _ []dispatch.Item) ([]dispatch.Result, error) {
				if url != urlA {
					return nil, &dispatch.CallError{Reason: "timeout"}
				}
				return nil, nil
			}
		})
		for range 5 {
			r.submit(bob(), "x")
		}
		for range 3 {
			_, err := r.Submit(context.Background(), anyone(), notice(bob(), "x"))
			require.Equal(t, push.Unavailable, push.KindOf(err))
			require.True(t, r.Load().Full)
			for range 10 {
				r.submit(alice(), "x")
				settleDown()
			}
			time.Sleep(time.Minute) // the store was asked what waits
			require.Equal(t, 10, r.Load().Rows)
		}
		r.gateway.set(func(g *gateway) { g.behave = nil })
		time.Sleep(10 * time.Minute)
		require.Zero(t, r.Load().Rows)
		r.submit(bob(), "room again")
		settleDown()
		require.False(t, r.Load().Full)
		require.EqualValues(t, 42, r.Account().Delivered)
	})
}

func TestSubmit_AfterStop(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "one", urlA)
		require.NoError(t, r.Stop(context.Background()))
		_, err := r.Submit(context.Background(), anyone(), notice(alice(), "x"))
		require.Equal(t, push.Unavailable, push.KindOf(err))
		_, err = r.SubmitMatrix(context.Background(), anyone(), dispatch.MatrixNotice{User: "@a:b", Counts: push.Counts{Unread: new(int64)}})
		require.Equal(t, push.Unavailable, push.KindOf(err))
	})
}

func TestChannels(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		_, err := r.Channels(context.Background(), anyone(), alice(), true)
		require.Equal(t, dispatch.CodeUserNotFound, codeOf(t, err))
		r.register(alice(), "one", urlA)
		r.register(alice(), "two", urlA)
		r.choose(alice(), "one", channel, pusher.ChannelDisabled)
		r.choose(alice(), "one", "epa.documents.new", pusher.ChannelDisabled)
		got, err := r.Channels(context.Background(), anyone(), alice(), true)
		require.NoError(t, err)
		require.Equal(t, dispatch.Overview{Devices: 2, Channels: []pusher.Channel{
			{ID: channel, Status: pusher.ChannelEnabled}, {ID: "erp.on", Status: pusher.ChannelEnabled}, {ID: "epa.documents.new", Status: pusher.ChannelDisabled},
		}}, got)
		got, err = r.Channels(context.Background(), dispatch.Sender{Channels: []string{"erp.t*", "epa.*"}}, alice(), false)
		require.NoError(t, err)
		require.Equal(t, []pusher.Channel{{ID: channel, Status: pusher.ChannelEnabled}}, got.Channels, "the sender's own, and enabled")
	})
}

func TestPlain_WithoutKey(t *testing.T) {
	optional := func(o *dispatch.Options) { o.Fachdienst.Encryption = pusher.EncryptionOptional }
	t.Run("optional", func(t *testing.T) {
		inBubble(t, optional, func(t *testing.T, r *rig) {
			r.set(alice(), "plain", urlA, `{"url":"`+urlA+`"}`, nil)
			r.choose(alice(), "plain", channel, pusher.ChannelEnabled)
			p := r.register(alice(), "sealed", urlA)
			long := strings.Repeat("ö", 700)
			receipt := r.submit(alice(), long)
			settleDown()
			got := r.gateway.taken()
			require.Len(t, got, 2)
			for _, s := range got {
				if s.op == "sealed" {
					require.Less(t, len(opened(t, p, []sent{s})[0]), 1019)
					continue
				}
				require.Equal(t, push.Pushkey("plain"), s.n.Device.Pushkey)
				require.Equal(t, `{"Message":"`+long+`","ChannelId":"erp.task.activate"}`, string(s.n.Event.Content), "whole where it is not sealed")
				require.Equal(t, receipt.ID, s.n.Event.ID.Reveal())
				require.Equal(t, channel, s.n.Event.RoomID.Reveal(), "the reference gateway drops what has none")
				require.Equal(t, channel, s.n.Event.Type.Reveal())
				require.Nil(t, s.n.Device.Data)
			}
		})
	})
	t.Run("no more than a provider takes", func(t *testing.T) {
		inBubble(t, optional, func(t *testing.T, r *rig) {
			r.set(alice(), "plain", urlA, `{"url":"`+urlA+`"}`, nil)
			r.choose(alice(), "plain", channel, pusher.ChannelEnabled)
			r.submit(alice(), strings.Repeat("ö", 5000))
			settleDown()
			content := string(r.gateway.taken()[0].n.Event.Content)
			require.LessOrEqual(t, len(content), 3<<10)
			require.Greater(t, len(content), 3<<10-8)
			require.Contains(t, content, `ö...","ChannelId":"erp.task.activate"}`)
		})
	})
	t.Run("too much is refused", func(t *testing.T) {
		forbidden := func(o *dispatch.Options) { o.Fachdienst.Encryption = pusher.EncryptionForbidden }
		inBubble(t, forbidden, func(t *testing.T, r *rig) {
			r.set(alice(), "plain", urlA, `{"url":"`+urlA+`"}`, nil)
			r.choose(alice(), "plain", channel, pusher.ChannelEnabled)
			n := notice(alice(), "x")
			n.Payload = push.Object(`{"Identifier":"` + strings.Repeat("1", 3000) + `"}`)
			_, err := r.Submit(t.Context(), anyone(), n)
			require.NoError(t, err)
			n.Payload = push.Object(`{"Identifier":"` + strings.Repeat("1", 3<<10) + `"}`)
			_, err = r.Submit(t.Context(), anyone(), n)
			require.Equal(t, push.TooLarge, push.KindOf(err), "before any 202: it could never arrive")
		})
	})
	t.Run("ids only", func(t *testing.T) {
		inBubble(t, optional, func(t *testing.T, r *rig) {
			r.set(alice(), "plain", urlA, `{"url":"`+urlA+`","format":"event_id_only"}`, nil)
			r.choose(alice(), "plain", channel, pusher.ChannelEnabled)
			receipt := r.submit(alice(), "nobody's business")
			settleDown()
			got := r.gateway.taken()
			require.Len(t, got, 1)
			require.Equal(t, &push.Event{ID: push.NewText(receipt.ID), RoomID: push.NewText(channel)}, got[0].n.Event)
		})
	})
	t.Run("required", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.set(alice(), "plain", urlA, `{"url":"`+urlA+`"}`, nil)
			r.choose(alice(), "plain", channel, pusher.ChannelEnabled)
			require.Equal(t, dispatch.StatusNoActiveChannel, r.submit(alice(), "x").Status)

			r.gateway.set(func(g *gateway) {
				g.behave = func(string, string, []dispatch.Item) ([]dispatch.Result, error) {
					return nil, &dispatch.CallError{Reason: "timeout"}
				}
			})
			r.register(alice(), "one", urlA)
			r.submit(alice(), "x")
			settleDown()
			r.set(alice(), "one", urlA, `{"url":"`+urlA+`"}`, nil) // registered again, without a key
			r.gateway.set(func(g *gateway) { g.behave = nil })
			time.Sleep(time.Hour)
			require.Empty(t, r.gateway.taken(), "nothing goes out in clear (A_27436)")
			require.EqualValues(t, 1, r.Account().Dropped)
		})
	})
}
