package dispatch

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pushgate/pushgate/internal/push"
)

// MatrixNotice is one event of a Matrix server for one of its users, or new counts without an event.
type MatrixNotice struct {
	User     push.UserID
	Priority push.Priority
	// Event is what happened; one without an ID is a counts-only update.
	Event  *push.Event
	Counts push.Counts
	Tweaks push.Object
	// Key is the Idempotency-Key, empty when there is none.
	Key string
}

// Format keeps fmt out of a whole notice.
func (n MatrixNotice) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<matrix notice>")) }

// Members of a pusher's data that decide what it is sent.
const (
	memberURL     = "url"
	memberFormat  = "format"
	memberNoBadge = "org.matrix.msc4076.disable_badge_count"

	formatIDOnly = "event_id_only"
)

// SubmitMatrix turns an event into one row for every pusher of the user, in one transaction. Each pusher gets it in the
// format that it asked for. Users get no push for what they did themselves. Errors are those of Submit.
func (d *Dispatcher) SubmitMatrix(ctx context.Context, from Sender, n MatrixNotice) (Receipt, error) {
	receipt, err := d.submitMatrix(ctx, from, n)
	return receipt, d.observe(push.RealmMatrix, receipt, err)
}

func (d *Dispatcher) submitMatrix(ctx context.Context, from Sender, n MatrixNotice) (Receipt, error) {
	badge := n.Event == nil || n.Event.ID.Empty()
	switch {
	case d.isLeaving():
		return Receipt{}, errLeaving()
	case !from.May(MatrixChannel):
		return Receipt{}, refuse(push.Forbidden, CodeForbidden, "the caller may not send Matrix events")
	case n.User == "":
		return Receipt{}, refuse(push.Invalid, CodeInvalid, "user_id is not valid")
	case badge && !n.Counts.Present():
		return Receipt{}, refuse(push.Invalid, CodeInvalid, "event_id or counts must be given")
	case !badge && n.Event.RoomID.Empty():
		return Receipt{}, refuse(push.Invalid, CodeInvalid, "an event needs its room_id")
	}
	receipt := d.newReceipt()
	l := letter{id: receipt.ID, priority: n.Priority, event: n.Event, counts: n.Counts, tweaks: n.Tweaks}
	if badge {
		l.event, l.tweaks = &push.Event{}, nil
	}
	own := !badge && n.Event.Sender.Reveal() == n.User.Reveal()
	letterOnly := l
	letterOnly.id = "" // the same request again has another id
	s := Submission{
		Owner: push.Owner{Realm: push.RealmMatrix, User: n.User},
		Once:  d.once(from, n.Key, "matrix event", n.User.Reveal(), string(letterOnly.encode())),
	}
	model := NewRow{BadgeOnly: badge, HasCounts: n.Counts.Present()}
	s.Plan = func(devices []Device) (Plan, error) {
		return d.plan(devices, receipt, l.encode(), model, func(dev Device) bool {
			return !own && (!badge || !readWishes(dev.Pusher.Data).noBadge)
		})
	}
	return d.commit(ctx, s)
}

// wishes are what a pusher's data asks for.
type wishes struct {
	idOnly  bool
	noBadge bool // MSC4076: the app counts by itself
	// data is what the gateway gets: everything but the URL. Nil when nothing is left.
	data push.Object
}

func readWishes(data push.Object) wishes {
	members, err := membersOf(data.Bytes())
	if err != nil {
		return wishes{} // registered data is an object; an odd one is not passed on
	}
	var w wishes
	var rest []member
	for _, m := range members {
		switch m.name {
		case memberURL:
			continue
		case memberFormat:
			if string(m.value) == "null" {
				continue // registered as absent; a gateway may refuse the whole batch for it
			}
			var format string
			w.idOnly = json.Unmarshal(m.value, &format) == nil && format == formatIDOnly
		case memberNoBadge:
			w.noBadge = string(m.value) == "true"
		}
		rest = append(rest, m)
	}
	if len(rest) > 0 {
		w.data = push.Object(objectOf(rest))
	}
	return w
}
