package fcm

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// maxData is FCM's limit: keys plus values of data and notification, in bytes of UTF-8.
	maxData = 4096
	// maxText is how long one text of an event may be; a longer one is cut and ends in an ellipsis (facts: sygnal 3.3).
	maxText  = 1024
	ellipsis = "\u2026"
)

// field is one member of a message's data. FCM carries texts only.
type field struct {
	name, value string
	// cut marks what people read: it may be shortened further to make the message fit. Ids and the app's own
	// default_payload may not.
	cut bool
}

// builder writes the messages of one app.
type builder struct {
	template *template
	counts   bool // send badge counts
}

// build returns the request body for one notification: nil without a fault when there is nothing to tell the phone.
func (b *builder) build(n push.Notification) ([]byte, *push.Fault) {
	switch key := n.Device.Pushkey.Reveal(); {
	case key == "" || !utf8.ValidString(key): // JSON cannot carry it, and a mended token is another phone's
		return nil, &push.Fault{Kind: push.FaultMessage, Reason: reasonBadPushkey}
	case n.Sealed != nil:
		return b.sealed(n)
	case n.Event != nil:
		return b.plain(n)
	default:
		return nil, &push.Fault{Kind: push.FaultMessage, Reason: reasonEmpty}
	}
}

// sealed carries exactly what the app needs to decrypt (facts: gematik 5): no counts, no options.data, no prio.
func (b *builder) sealed(n push.Notification) ([]byte, *push.Fault) {
	s := n.Sealed
	fields := [4]field{
		{name: "ciphertext", value: s.Ciphertext.Reveal()},
		{name: "time_message_encrypted", value: s.Month},
		{name: "key_identifier", value: s.KeyIdentifier.Reveal()},
		{name: "identifier", value: s.Identifier.Reveal()},
	}
	given := fields[:]
	if s.Identifier.Empty() { // an app drops a message with a blank member
		given = fields[:3]
	}
	if size(given) > maxData {
		return nil, tooLarge()
	}
	return write(b.template.sealed.of(n.Priority), given, n.Device.Pushkey), nil
}

// plain shapes an event or a badge update as Sygnal shapes it for FCM v1 (facts: sygnal 3.1 to 3.3), and departs from it
// where that is called a bug: a zero count is delivered, a badge-only update does not wake the phone, default_payload
// may hold anything, and the message is kept below FCM's limit.
func (b *builder) plain(n push.Notification) ([]byte, *push.Fault) {
	prio := n.Priority
	if n.BadgeOnly() {
		prio = push.Low // no homeserver sends a prio with these, and an absent one reads as high
	}
	d := data{fields: make([]field, 0, 24)}
	d.addDefaults(defaultPayload(n.Device.Data), n.Event.Content)
	d.addEvent(n.Event)
	d.set(field{name: "prio", value: androidPriority(prio)})
	counted := b.counts && n.Counts.Present()
	if counted {
		d.addCounts(n.Counts)
	}
	if d.overflow {
		return nil, tooLarge()
	}
	if !counted && d.get("event_id") == "" && d.get("room_id") == "" {
		return nil, nil
	}
	for _, f := range b.template.data {
		if d.index(f.name) < 0 {
			d.set(f)
		}
	}
	if d.overflow || !fit(d.fields, maxData-b.template.fixed) {
		return nil, tooLarge()
	}
	return write(b.template.plain.of(prio), d.fields, n.Device.Pushkey), nil
}

func tooLarge() *push.Fault { return &push.Fault{Kind: push.FaultMessage, Reason: reasonTooLarge} }

// data is the data object of a message under construction.
type data struct {
	fields []field
	names  int // bytes of all names
	// overflow is set once the names alone pass the limit. It keeps the list short, so that looking up is linear at
	// no risk: a stranger's content may have thousands of members.
	overflow bool
}

func (d *data) index(name string) int {
	return slices.IndexFunc(d.fields, func(f field) bool { return f.name == name })
}

func (d *data) get(name string) string {
	if i := d.index(name); i >= 0 {
		return d.fields[i].value
	}
	return ""
}

// set adds a field or replaces the one of that name.
func (d *data) set(f field) {
	if d.overflow {
		return
	}
	if i := d.index(f.name); i >= 0 {
		d.fields[i] = f
		return
	}
	if d.names += len(f.name); d.names > maxData {
		d.overflow = true
		return
	}
	d.fields = append(d.fields, f)
}

// addDefaults adds the app's default_payload. Its content member stands in when the event has no content of its own.
func (d *data) addDefaults(payload []byte, content push.Object) {
	var standIn []byte
	eachMember(payload, func(name string, value []byte) {
		switch {
		case name == "content":
			standIn = value
		case !reservedKey(name): // FCM would refuse the whole message
			d.set(field{name: name, value: textOf(value)})
		}
	})
	switch {
	case content != nil:
		d.addContent(content.Bytes())
	case standIn != nil && !d.addContent(standIn):
		d.set(field{name: "content", value: textOf(standIn)})
	}
}

// addContent flattens an object: each text becomes content_NAME, anything else is left out as Sygnal leaves it out.
// It reports whether content is an object.
func (d *data) addContent(content []byte) bool {
	return eachMember(content, func(name string, value []byte) {
		if value[0] == '"' {
			d.set(field{name: "content_" + name, value: shorten(decodeString(value), maxText), cut: true})
		}
	})
}

func (d *data) addEvent(e *push.Event) {
	for _, m := range [...]struct {
		name string
		text push.Text
		cut  bool
	}{
		{"event_id", e.ID, false},
		{"type", e.Type, false},
		{"sender", e.Sender, false},
		{"room_name", e.RoomName, true},
		{"room_alias", e.RoomAlias, false},
		{"membership", e.Membership, false},
		{"sender_display_name", e.SenderDisplayName, true},
		{"room_id", e.RoomID, false},
	} {
		if m.text.Present() { // an empty text is passed on, an absent one is not
			d.set(field{name: m.name, value: shorten(m.text.Reveal(), maxText), cut: m.cut})
		}
	}
}

func (d *data) addCounts(c push.Counts) {
	if c.Unread != nil {
		d.set(field{name: "unread", value: strconv.FormatInt(*c.Unread, 10)})
	}
	if c.MissedCalls != nil {
		d.set(field{name: "missed_calls", value: strconv.FormatInt(*c.MissedCalls, 10)})
	}
}

// defaultPayload returns the default_payload of a pusher's data, nil when it is absent or anything but an object:
// homeservers and clients that send null are common, and no reason to lose a push (facts: sygnal 5, row 7).
func defaultPayload(data push.Object) []byte {
	raw := data.Bytes()
	if !bytes.Contains(raw, []byte("default_payload")) && bytes.IndexByte(raw, '\\') < 0 {
		return nil
	}
	var payload []byte
	eachMember(raw, func(name string, value []byte) {
		if name == "default_payload" {
			payload = value
		}
	})
	return payload
}

// reservedKey reports whether FCM refuses a message with this member in data.
func reservedKey(name string) bool {
	return name == "" || name == "from" || name == "message_type" || strings.HasPrefix(name, "google.") || strings.HasPrefix(name, "gcm.")
}

// shorten cuts s to at most limit bytes, on the border of a character and with an ellipsis where there is room for one.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	if limit < len(ellipsis) {
		return ""
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

func size(fields []field) int {
	n := 0
	for _, f := range fields {
		n += len(f.name) + len(f.value)
	}
	return n
}

// fit shortens what people read until keys plus values are at most limit, the longest first, so that several long texts
// end up about equal. It reports whether that was enough.
func fit(fields []field, limit int) bool {
	excess := size(fields) - limit
	if excess <= 0 {
		return true
	}
	var lengths []int
	for _, f := range fields {
		if f.cut {
			lengths = append(lengths, len(f.value))
		}
	}
	slices.Sort(lengths)
	slices.Reverse(lengths)
	// Lower the level that all longer texts are cut to: first the longest alone, then with it the second, and so on.
	level, reached := 0, false
	for i, length := range lengths {
		next := 0
		if i+1 < len(lengths) {
			next = lengths[i+1]
		}
		step := (length - next) * (i + 1)
		if step >= excess {
			level, reached = length-(excess+i)/(i+1), true
			break
		}
		excess -= step
	}
	if !reached {
		return false
	}
	for i := range fields {
		if fields[i].cut {
			fields[i].value = shorten(fields[i].value, level)
		}
	}
	return true
}

// write puts a message together: what the template opens with, the data, the token.
func write(opening []byte, fields []field, pushkey push.Pushkey) []byte {
	token := pushkey.Reveal()
	// Room for the quotes, and for escapes in an ordinary text.
	body := make([]byte, 0, len(opening)+size(fields)+6*len(fields)+len(token)+64)
	body = append(append(body, opening...), '{')
	for i, f := range fields {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendQuoted(body, f.name)
		body = append(body, ':')
		body = appendQuoted(body, f.value)
	}
	body = append(body, `},"token":`...)
	body = appendQuoted(body, token)
	return append(body, `}}`...)
}
