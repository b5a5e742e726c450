package gatewayclient

import (
	"encoding/json"

	wire "github.com/pushgate/pushgate/gen/client/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
)

func toEncrypted(n push.Notification) wire.EncryptedNotification {
	out := wire.EncryptedNotification{Device: toDevice(n.Device), Prio: prio(n.Priority)}
	if s := n.Sealed; s != nil {
		out.Ciphertext, out.TimeMessageEncrypted = s.Ciphertext.Reveal(), s.Month
		out.KeyIdentifier, out.Identifier = s.KeyIdentifier.Reveal(), s.Identifier.RevealPointer()
	}
	if n.Counts.Present() {
		out.Counts = &wire.Counts{Unread: n.Counts.Unread, MissedCalls: n.Counts.MissedCalls}
	}
	return out
}

func toPlain(n push.Notification) wire.PlainNotification {
	out := wire.PlainNotification{Devices: []wire.Device{toDevice(n.Device)}, Prio: prio(n.Priority)}
	if e := n.Event; e != nil {
		out.EventID, out.RoomID, out.Type, out.Sender = e.ID.RevealPointer(), e.RoomID.RevealPointer(), e.Type.RevealPointer(), e.Sender.RevealPointer()
		out.SenderDisplayName, out.RoomName, out.RoomAlias = e.SenderDisplayName.RevealPointer(), e.RoomName.RevealPointer(), e.RoomAlias.RevealPointer()
		out.Content = raw(e.Content)
	}
	if n.Counts.Present() {
		out.Counts = &wire.Counts{Unread: n.Counts.Unread, MissedCalls: n.Counts.MissedCalls}
	}
	return out
}

// toMatrix leaves out what was not given: a counts-only update has neither event_id nor room_id, and a count of zero is
// sent, as it clears a badge.
func toMatrix(n push.Notification) wire.MatrixNotification {
	out := wire.MatrixNotification{Devices: []wire.MatrixDevice{wire.MatrixDevice(toDevice(n.Device))}, Prio: prio(n.Priority)}
	if e := n.Event; e != nil {
		out.EventID, out.RoomID, out.Type, out.Sender = e.ID.RevealPointer(), e.RoomID.RevealPointer(), e.Type.RevealPointer(), e.Sender.RevealPointer()
		out.SenderDisplayName, out.RoomName, out.RoomAlias = label(e.SenderDisplayName), label(e.RoomName), label(e.RoomAlias)
		out.Membership, out.Content = e.Membership.RevealPointer(), raw(e.Content)
		if e.UserIsTarget {
			out.UserIsTarget = &e.UserIsTarget
		}
	}
	if n.Counts.Present() {
		out.Counts = &wire.MatrixCounts{Unread: n.Counts.Unread, MissedCalls: n.Counts.MissedCalls}
	}
	return out
}

func toDevice(d push.Device) wire.Device {
	out := wire.Device{AppID: string(d.AppID), Pushkey: d.Pushkey.Reveal(), Data: raw(d.Data), Tweaks: raw(d.Tweaks)}
	if d.PushkeyTS > 0 {
		out.PushkeyTS = &d.PushkeyTS
	}
	return out
}

func prio(p push.Priority) *wire.Priority {
	out := wire.PriorityHigh
	if p == push.Low {
		out = wire.PriorityLow
	}
	return &out
}

// label returns what the Matrix contract takes for a name, nil for one that was not given.
func label(t push.Text) any {
	if !t.Present() {
		return nil
	}
	return t.Reveal()
}

func raw(o push.Object) json.RawMessage { return json.RawMessage(o) }
