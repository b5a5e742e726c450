package pushgateway

import (
	wire "github.com/pushgate/pushgate/gen/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
)

// item is one item of a batch.
type item struct {
	id            string
	notifications []push.Notification // one for each device
}

// fromMatrix returns one notification for each device, all with the same event. Members that were null are nil here.
func fromMatrix(n *wire.MatrixNotification) []push.Notification {
	event := &push.Event{
		ID: push.TextFrom(n.EventID), RoomID: push.TextFrom(n.RoomID), Type: push.TextFrom(n.Type),
		Sender: push.TextFrom(n.Sender), SenderDisplayName: label(n.SenderDisplayName),
		RoomName: label(n.RoomName), RoomAlias: label(n.RoomAlias), Membership: push.TextFrom(n.Membership),
		UserIsTarget: n.UserIsTarget != nil && *n.UserIsTarget, Content: push.Object(n.Content),
	}
	var counts push.Counts
	if n.Counts != nil {
		counts = push.Counts{Unread: n.Counts.Unread, MissedCalls: n.Counts.MissedCalls}
	}
	out := make([]push.Notification, len(n.Devices))
	for i := range n.Devices {
		// The two device schemas differ in whether they allow null, not in what they hold.
		device := fromDevice((*wire.Device)(&n.Devices[i]))
		out[i] = push.Notification{Device: device, Priority: priority(n.Prio), Counts: counts, Event: event}
	}
	return out
}

// label returns a name that the contract takes in any type, because anybody in the room may have set it: whatever is no
// string is none.
func label(v any) push.Text {
	if s, ok := v.(string); ok {
		return push.NewText(s)
	}
	return push.Text{}
}

// fromPlain returns one notification for each device, all with the same event.
func fromPlain(n *wire.PlainNotification) []push.Notification {
	event := &push.Event{
		ID: push.TextFrom(n.EventID), RoomID: push.TextFrom(n.RoomID), Type: push.TextFrom(n.Type),
		Sender: push.TextFrom(n.Sender), SenderDisplayName: push.TextFrom(n.SenderDisplayName),
		RoomName: push.TextFrom(n.RoomName), RoomAlias: push.TextFrom(n.RoomAlias),
		UserIsTarget: n.UserIsTarget != nil && *n.UserIsTarget, Content: push.Object(n.Content),
	}
	out := make([]push.Notification, len(n.Devices))
	for i := range n.Devices {
		out[i] = push.Notification{
			Device: fromDevice(&n.Devices[i]), Priority: priority(n.Prio), Counts: counts(n.Counts), Event: event,
		}
	}
	return out
}

// fromEncrypted returns the one notification of an encrypted item.
func fromEncrypted(n *wire.EncryptedNotification) []push.Notification {
	return []push.Notification{{
		Device: fromDevice(&n.Device), Priority: priority(n.Prio), Counts: counts(n.Counts),
		Sealed: &push.Sealed{
			Ciphertext: push.NewText(n.Ciphertext), Month: n.TimeMessageEncrypted,
			KeyIdentifier: push.NewText(n.KeyIdentifier), Identifier: push.TextFrom(n.Identifier),
		},
	}}
}

func fromDevice(d *wire.Device) push.Device {
	out := push.Device{
		AppID: push.AppID(d.AppID), Pushkey: push.Pushkey(d.Pushkey),
		Data: push.Object(d.Data), Tweaks: push.Object(d.Tweaks),
	}
	if d.PushkeyTS != nil {
		out.PushkeyTS = *d.PushkeyTS
	}
	return out
}

func counts(c *wire.Counts) push.Counts {
	if c == nil {
		return push.Counts{}
	}
	return push.Counts{Unread: c.Unread, MissedCalls: c.MissedCalls}
}

// priority returns high for an absent prio, as both APIs say.
func priority(p *wire.Priority) push.Priority {
	if p != nil && *p == wire.PriorityLow {
		return push.Low
	}
	return push.High
}
