package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
)

// channelMember tells the app which channel a message belongs to (A_28124).
const channelMember = "ChannelId"

// shortenable are the members that lose text when a message does not fit its frame, in this order (design.md 7): what
// is only shown goes, what the app looks up stays.
func shortenable() []string { return []string{"Message", "message", "Product", "ActorName"} }

// ellipsis ends a text that was cut.
const ellipsis = "..."

var errNotObject = errors.New("not a JSON object")

// member is one member of an object with its value as it was written, without white space.
type member struct {
	name  string
	value []byte
}

// membersOf takes an object apart. Order and digits survive.
func membersOf(object []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errNotObject
	}
	var out []member
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errNotObject
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, errNotObject
		}
		var value bytes.Buffer
		if err := json.Compact(&value, raw); err != nil {
			return nil, errNotObject
		}
		out = append(out, member{name, value.Bytes()})
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotObject
	}
	return out, nil
}

// objectOf puts an object together again.
func objectOf(members []member) []byte {
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(m.name)...), ':'), m.value...)
	}
	return append(out, '}')
}

// quote returns the JSON text of a string, as short as it can be: every byte counts in a frame.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// compose returns what an event says as compact JSON, with the channel's id added if it is not there.
func compose(payload push.Object, channel string) ([]byte, error) {
	members, err := membersOf(payload.Bytes())
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.name == channelMember {
			return objectOf(members), nil
		}
	}
	return objectOf(append(members, member{channelMember, quote(channel)})), nil
}

// maxPlain bounds what goes out in clear: every gateway takes 3 KB of it, and no push provider takes more than 4 KB in
// all, so that more would be told 202 and never arrive.
const maxPlain = 3 << 10

// fit shortens a message to limit bytes. It returns monthkey.ErrTooLong when there is nothing left to shorten.
func fit(message []byte, limit int) ([]byte, error) {
	over := len(message) - limit
	if over <= 0 {
		return message, nil
	}
	members, err := membersOf(message)
	if err != nil {
		return nil, err
	}
	for i, m := range members { // an encoder that writes \u00fc for a letter takes three times its room
		members[i].value = unescape(m.value)
		over -= len(m.value) - len(members[i].value)
	}
	for _, name := range shortenable() {
		for i, m := range members {
			if m.name != name || over <= 0 {
				continue
			}
			var text string
			if json.Unmarshal(m.value, &text) != nil {
				continue // not a text
			}
			members[i].value = cut(text, len(m.value)-over)
			over -= len(m.value) - len(members[i].value)
		}
	}
	if over > 0 {
		return nil, monthkey.ErrTooLong
	}
	return objectOf(members), nil
}

// unescape returns a value with its text written as short as it can be. Other values, and texts that no JSON text can
// hold unharmed, stay as they are.
func unescape(value []byte) []byte {
	var text string
	if !bytes.HasPrefix(value, []byte{'"'}) || json.Unmarshal(value, &text) != nil {
		return value
	}
	if short := quote(text); len(short) < len(value) && !strings.ContainsRune(text, utf8.RuneError) {
		return short
	}
	return value
}

// cut returns the JSON text of the longest beginning of text, with an ellipsis, that takes at most room bytes; an empty
// string when not even the ellipsis fits. It cuts between characters as people see them, as far as marks and joiners tell.
func cut(text string, room int) []byte {
	best, size := 0, len(quote(ellipsis))
	if size > room {
		return quote("")
	}
	for i, r := range text {
		size += len(quote(string(r))) - len(`""`)
		if size > room {
			break
		}
		if end := i + utf8.RuneLen(r); border(text, end) {
			best = end
		}
	}
	return quote(strings.TrimRightFunc(text[:best], unicode.IsSpace) + ellipsis)
}

const (
	joiner = '\u200d'
	// A skin tone changes the character before it.
	firstTone, lastTone = '\U0001f3fb', '\U0001f3ff'
)

// border reports whether a character ends at end.
func border(text string, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:end])
	after, _ := utf8.DecodeRuneInString(text[end:])
	attaches := unicode.In(after, unicode.Mn, unicode.Me, unicode.Variation_Selector) || after >= firstTone && after <= lastTone
	return before != joiner && after != joiner && !attaches
}

// quoteWide returns the JSON text of a string with every escape that an encoder may choose.
func quoteWide(s string) []byte {
	text, _ := json.Marshal(s) // a string always encodes
	return text
}

// wideObject is the length of an object with every escape that an encoder may choose: <, > and & take six bytes.
func wideObject(o push.Object) int {
	n := len(o)
	for _, c := range []string{"<", ">", "&", "\u2028", "\u2029"} {
		n += 5 * strings.Count(string(o), c)
	}
	return n
}
