package dispatch

import (
	"encoding/binary"
	"errors"

	"github.com/pushgate/pushgate/internal/push"
)

// letter is what a row carries until it is sent. Who gets it, and with which key, is read when it is sent.
type letter struct {
	id       string // notification_id
	priority push.Priority

	// Of the Fachdienst realm:
	channel   string
	reference push.Text
	message   []byte // compact JSON, nil for Matrix

	// Of the Matrix realm:
	event  *push.Event
	counts push.Counts
	tweaks push.Object
}

// letterVersion begins every stored letter. A reader refuses what it does not know.
const letterVersion = 1

const (
	letterLow = 1 << iota
	letterMatrix
	letterUnread
	letterMissed
	letterTarget
	letterFlags = 1<<iota - 1
)

var errLetter = errors.New("stored letter is damaged or from a newer version")

func (l letter) flags() byte {
	var f byte
	for flag, on := range map[byte]bool{
		letterLow: l.priority == push.Low, letterMatrix: l.event != nil, letterUnread: l.counts.Unread != nil,
		letterMissed: l.counts.MissedCalls != nil, letterTarget: l.event != nil && l.event.UserIsTarget,
	} {
		if on {
			f |= flag
		}
	}
	return f
}

// encode writes version, flags and then fields in fixed order: texts as length and bytes, optional ones as length plus
// one, where zero is absent.
func (l letter) encode() []byte {
	b := []byte{letterVersion, l.flags()}
	b = appendText(b, l.id)
	if l.event == nil {
		b = appendText(b, l.channel)
		b = appendOptional(b, l.reference)
		return appendText(b, string(l.message))
	}
	if l.counts.Unread != nil {
		b = binary.AppendVarint(b, *l.counts.Unread)
	}
	if l.counts.MissedCalls != nil {
		b = binary.AppendVarint(b, *l.counts.MissedCalls)
	}
	for _, t := range eventTexts(l.event) {
		b = appendOptional(b, *t)
	}
	return appendObject(appendObject(b, l.event.Content), l.tweaks)
}

func decodeLetter(b []byte) (letter, error) {
	if len(b) < 2 || b[0] != letterVersion || b[1]&^letterFlags != 0 {
		return letter{}, errLetter
	}
	flags, r := b[1], reader{rest: b[2:]}
	l := letter{id: r.text()}
	if flags&letterLow != 0 {
		l.priority = push.Low
	}
	if flags&letterMatrix == 0 {
		l.channel, l.reference, l.message = r.text(), r.optional(), []byte(r.text())
		return l, r.end()
	}
	if flags&letterUnread != 0 {
		l.counts.Unread = new(r.number())
	}
	if flags&letterMissed != 0 {
		l.counts.MissedCalls = new(r.number())
	}
	l.event = &push.Event{UserIsTarget: flags&letterTarget != 0}
	for _, t := range eventTexts(l.event) {
		*t = r.optional()
	}
	l.event.Content, l.tweaks = r.object(), r.object()
	return l, r.end()
}

// eventTexts lists the texts of an event in the order they are stored in.
func eventTexts(e *push.Event) []*push.Text {
	return []*push.Text{&e.ID, &e.RoomID, &e.Type, &e.Sender, &e.SenderDisplayName, &e.RoomName, &e.RoomAlias, &e.Membership}
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendOptional(b []byte, t push.Text) []byte {
	if !t.Present() {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(t.Reveal()))+1), t.Reveal()...)
}

func appendObject(b []byte, o push.Object) []byte {
	if o == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(o))+1), o...)
}

// reader reads a letter; the first mistake empties it.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) length() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) text() string { return string(r.bytes(r.length())) }

func (r *reader) optional() push.Text {
	n := r.length()
	if n == 0 {
		return push.Text{}
	}
	return push.NewText(string(r.bytes(n - 1)))
}

func (r *reader) object() push.Object {
	n := r.length()
	if n == 0 {
		return nil
	}
	return append(push.Object{}, r.bytes(n-1)...)
}

func (r *reader) number() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) end() error {
	if r.bad || len(r.rest) != 0 {
		return errLetter
	}
	return nil
}
