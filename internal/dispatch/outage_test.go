package dispatch_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// An event that is alone in its call waits no longer for a gateway that is back than one in company.
func TestOutage_IsSoonOverForALoneEvent(t *testing.T) {
	for _, status := range []int{401, 403, 404, 502, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.register(alice(), "one", urlA)
				r.gateway.set(func(g *gateway) { g.behave = fails(status) })
				r.submit(alice(), "x")
				time.Sleep(9 * time.Hour)
				r.gateway.set(func(g *gateway) { g.behave = nil })
				time.Sleep(7 * time.Minute)
				require.Len(t, r.gateway.taken(), 1, "one pause of 5 minutes, stretched by at most a fifth")
			})
		})
	}
}

// Whoever can name a gateway can name a million that do not exist.
func TestOutage_IsForgottenWithItsRows(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.gateway.set(func(g *gateway) { g.behave = fails(503) })
		for i := range 20 {
			owner := push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:", i))}
			r.register(owner, push.Pushkey(fmt.Sprint(i)), fmt.Sprintf("https://h%d.example.com/push/v1/", i))
			r.submit(owner, "x")
		}
		time.Sleep(time.Hour)
		require.Equal(t, 20, r.Load().Gateways)
		time.Sleep(13 * time.Hour)
		require.EqualValues(t, 20, r.Account().Expired)
		require.Zero(t, r.Load().Gateways)
	})
}

// counting counts what is asked of a Remover.
type counting struct {
	dispatch.Remover
	asked atomic.Int32
}

func (c *counting) RemoveRejected(ctx context.Context, r pusher.Rejected) (int, error) {
	c.asked.Add(1)
	return c.Remover.RemoveRejected(ctx, r)
}

// A gateway that rejects the whole world must not keep the others waiting.
func TestSettle_RejectedWithoutEnd(t *testing.T) {
	count := &counting{}
	inBubble(t, func(o *dispatch.Options) { count.Remover, o.Remover = o.Remover, count }, func(t *testing.T, r *rig) {
		keys := []push.Pushkey{"7", "7", "7", "8"}
		for i := range 5000 {
			keys = append(keys, push.Pushkey(fmt.Sprint("stranger ", i)))
		}
		r.gateway.set(func(g *gateway) { g.behave = fails(503) })
		for i := range 50 {
			owner := push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprint("kvnr:", i))}
			r.register(owner, push.Pushkey(fmt.Sprint(i)), urlA)
			r.submit(owner, "x")
		}
		r.gateway.set(func(g *gateway) { g.behave = answers(dispatch.ResultSuccess, keys...) })
		time.Sleep(time.Hour)
		require.EqualValues(t, 2, r.Account().Rejected, "7 and 8")
		require.EqualValues(t, 48, r.Account().Delivered)
		require.LessOrEqual(t, count.asked.Load(), int32(2*dispatch.MaxItems))
	})
}

// What the operator has taken off the list gets nothing any more, whoever is registered with it (A_27652, A_27859).
func TestGateways_OnlyThoseOnTheList(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.register(alice(), "a", urlA)
		p := r.register(alice(), "b", urlB)
		r.register(bob(), "a", urlA)
		r.gateway.set(func(g *gateway) { g.behave = fails(503) })
		r.submit(alice(), "before")
		settleDown()
		r.stop()
		r.gateway.set(func(g *gateway) { g.behave, g.tried = nil, nil })
		r.options.Fachdienst.Gateways = []string{urlB}
		r.boot()
		require.Equal(t, dispatch.StatusNoActiveChannel, r.submit(bob(), "x").Status)
		require.Equal(t, dispatch.StatusAccepted, r.submit(alice(), "after").Status)
		time.Sleep(time.Hour)
		require.ElementsMatch(t, []string{
			`{"Message":"before","ChannelId":"erp.task.activate"}`, `{"Message":"after","ChannelId":"erp.task.activate"}`,
		}, opened(t, p, r.gateway.taken()))
		require.Len(t, r.gateway.attempts(), 2)
		require.EqualValues(t, 1, r.Account().Dropped)
		require.Equal(t, 2, r.pushers(alice()), "a registration stays: the list may be changed back")
		require.NotContains(t, r.log.String(), "X110400001")
	})
}
