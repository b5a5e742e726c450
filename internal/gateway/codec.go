package gateway

import (
	"encoding/binary"
	"errors"

	"github.com/pushgate/pushgate/internal/push"
)

// The queue's own encoding of a notification: a version byte, a byte of flags, then fields in fixed order. Texts are
// length and bytes; an optional one has a byte before it, so that absent and empty stay different. Nothing is decoded
// and written anew on the way, so every byte of data, tweaks and content comes back as it was sent.
const codecVersion = 1

const (
	hasUnread = 1 << iota
	hasMissed
	hasEvent
	hasSealed
	isLow
	targetsUser
	knownFlags = 1<<iota - 1
)

var (
	errCodec = errors.New("gateway: stored notification is damaged")
	errNewer = errors.New("gateway: stored notification is from a newer version")
)

func encodeNotification(n push.Notification) []byte {
	e := encoder{buf: make([]byte, 0, sizeHint(n))}
	e.buf = append(e.buf, codecVersion, flagsOf(n))
	e.text(string(n.Device.AppID))
	e.text(n.Device.Pushkey.Reveal())
	e.number(n.Device.PushkeyTS)
	e.object(n.Device.Data)
	e.object(n.Device.Tweaks)
	if n.Counts.Unread != nil {
		e.number(*n.Counts.Unread)
	}
	if n.Counts.MissedCalls != nil {
		e.number(*n.Counts.MissedCalls)
	}
	if ev := n.Event; ev != nil {
		for _, t := range eventTexts(ev) {
			e.optional(*t)
		}
		e.object(ev.Content)
	}
	if s := n.Sealed; s != nil {
		e.optional(s.Ciphertext)
		e.text(s.Month)
		e.optional(s.KeyIdentifier)
		e.optional(s.Identifier)
	}
	return e.buf
}

func decodeNotification(b []byte) (push.Notification, error) {
	if len(b) > 0 && b[0] > codecVersion {
		return push.Notification{}, errNewer
	}
	if len(b) < 2 || b[0] != codecVersion || b[1]&^knownFlags != 0 {
		return push.Notification{}, errCodec
	}
	flags, d := b[1], decoder{buf: b[2:]}
	var n push.Notification
	if flags&isLow != 0 {
		n.Priority = push.Low
	}
	n.Device.AppID = push.AppID(d.text())
	n.Device.Pushkey = push.Pushkey(d.text())
	n.Device.PushkeyTS = d.number()
	n.Device.Data = d.object()
	n.Device.Tweaks = d.object()
	if flags&hasUnread != 0 {
		n.Counts.Unread = new(d.number())
	}
	if flags&hasMissed != 0 {
		n.Counts.MissedCalls = new(d.number())
	}
	if flags&hasEvent != 0 {
		n.Event = &push.Event{UserIsTarget: flags&targetsUser != 0}
		for _, t := range eventTexts(n.Event) {
			*t = d.optional()
		}
		n.Event.Content = d.object()
	}
	if flags&hasSealed != 0 {
		n.Sealed = &push.Sealed{Ciphertext: d.optional(), Month: d.text(), KeyIdentifier: d.optional(), Identifier: d.optional()}
	}
	if d.bad || len(d.buf) != 0 {
		return push.Notification{}, errCodec
	}
	return n, nil
}

// eventTexts lists the texts of an event in the order they are stored in.
func eventTexts(e *push.Event) [8]*push.Text {
	return [8]*push.Text{
		&e.ID, &e.RoomID, &e.Type, &e.Sender, &e.SenderDisplayName, &e.RoomName, &e.RoomAlias, &e.Membership,
	}
}

func flagsOf(n push.Notification) byte {
	var f byte
	for _, on := range []struct {
		flag byte
		set  bool
	}{
		{hasUnread, n.Counts.Unread != nil},
		{hasMissed, n.Counts.MissedCalls != nil},
		{hasEvent, n.Event != nil},
		{hasSealed, n.Sealed != nil},
		{isLow, n.Priority == push.Low},
		{targetsUser, n.Event != nil && n.Event.UserIsTarget},
	} {
		if on.set {
			f |= on.flag
		}
	}
	return f
}

func sizeHint(n push.Notification) int {
	size := 160 + len(n.Device.Pushkey) + len(n.Device.Data) + len(n.Device.Tweaks)
	if n.Event != nil {
		size += 256 + len(n.Event.Content)
	}
	if n.Sealed != nil {
		size += 64 + len(n.Sealed.Ciphertext.Reveal()) + len(n.Sealed.KeyIdentifier.Reveal()) + len(n.Sealed.Identifier.Reveal())
	}
	return size
}

type encoder struct{ buf []byte }

func (e *encoder) number(v int64) { e.buf = binary.AppendVarint(e.buf, v) }

func (e *encoder) text(s string) {
	e.buf = binary.AppendUvarint(e.buf, uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) optional(t push.Text) {
	if !t.Present() {
		e.buf = append(e.buf, 0)
		return
	}
	e.buf = append(e.buf, 1)
	e.text(t.Reveal())
}

func (e *encoder) object(o push.Object) {
	if o == nil {
		e.buf = append(e.buf, 0)
		return
	}
	e.buf = append(e.buf, 1)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(o)))
	e.buf = append(e.buf, o...)
}

// decoder reads what encoder wrote. After the first bad field everything else reads as zero and bad stays set.
type decoder struct {
	buf []byte
	bad bool
}

func (d *decoder) fail() { d.buf, d.bad = nil, true }

func (d *decoder) number() int64 {
	v, n := binary.Varint(d.buf)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) bytes() []byte {
	size, n := binary.Uvarint(d.buf)
	if n <= 0 || size > uint64(len(d.buf)-n) {
		d.fail()
		return nil
	}
	out := d.buf[n : n+int(size)] //nolint:gosec // size was just compared with what is left
	d.buf = d.buf[n+len(out):]
	return out
}

func (d *decoder) text() string { return string(d.bytes()) }

func (d *decoder) present() bool {
	if len(d.buf) == 0 || d.buf[0] > 1 {
		d.fail()
		return false
	}
	on := d.buf[0] == 1
	d.buf = d.buf[1:]
	return on
}

func (d *decoder) optional() push.Text {
	if !d.present() {
		return push.Text{}
	}
	return push.NewText(d.text())
}

func (d *decoder) object() push.Object {
	if !d.present() {
		return nil
	}
	return append(push.Object{}, d.bytes()...)
}
