package notificationservice

import (
	wire "github.com/pushgate/pushgate/gen/notificationservice"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// fromNotification translates an event of a Fachdienst. Its normal priority is the gateways' low (A_27167).
func fromNotification(r *wire.NotificationRequest, key *string) dispatch.Notice {
	n := dispatch.Notice{
		Owner: owner(r.User.IDType, r.User.Value), Channel: r.Channel, Priority: push.Low,
		Payload: push.Object(r.Payload), Reference: push.TextFrom(r.Reference), Key: given(key),
	}
	if r.Prio != nil && *r.Prio == wire.NotificationRequestPrioHigh {
		n.Priority = push.High
	}
	return n
}

// fromMatrixEvent translates an event of a Matrix server; one without an event_id only carries counts.
func fromMatrixEvent(r *wire.MatrixEventRequest, key *string) dispatch.MatrixNotice {
	n := dispatch.MatrixNotice{
		User: push.UserID(r.UserID), Tweaks: push.Object(r.Tweaks), Key: given(key),
		Event: &push.Event{
			ID: push.TextFrom(r.EventID), RoomID: push.TextFrom(r.RoomID), Type: push.TextFrom(r.Type),
			Sender: push.TextFrom(r.Sender), SenderDisplayName: push.TextFrom(r.SenderDisplayName),
			RoomName: push.TextFrom(r.RoomName), RoomAlias: push.TextFrom(r.RoomAlias), Membership: push.TextFrom(r.Membership),
			UserIsTarget: r.UserIsTarget != nil && *r.UserIsTarget, Content: push.Object(r.Content),
		},
	}
	if r.Prio != nil && *r.Prio == wire.MatrixEventRequestPrioLow {
		n.Priority = push.Low
	}
	if r.Counts != nil {
		n.Counts = push.Counts{Unread: r.Counts.Unread, MissedCalls: r.Counts.MissedCalls}
	}
	return n
}

// owner names a person as the registry does: <id_type>:<value>.
func owner(idType wire.IDType, value string) push.Owner {
	return push.Owner{Realm: push.RealmFachdienst, User: push.UserID(string(idType) + ":" + value)}
}

func toChannels(list []pusher.Channel) []wire.Channel {
	out := make([]wire.Channel, len(list))
	for i, ch := range list {
		out[i] = wire.Channel{ID: ch.ID, Status: wire.ChannelStatus(ch.Status.String())}
	}
	return out
}

func given(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
