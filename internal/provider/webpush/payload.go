package webpush

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// maxBody is what a push service must accept (RFC 8030 7.2); overhead is the aes128gcm header (86), the tag (16) and
	// the padding delimiter (1).
	maxBody    = 4096
	overhead   = 86 + 16 + 1
	maxPayload = maxBody - overhead

	maxBodyText   = 1000 // characters of content.body, as Sygnal cuts it
	maxCiphertext = 2000 // characters of a room's ciphertext; longer ones are left out, the client fetches the event
)

// object is one JSON object whose members stay as they were sent.
type object map[string]json.RawMessage

// payloadOf builds the JSON that the service worker receives, nil when the notification has nothing for it: a push that
// shows nothing makes browsers show a warning of their own. ok is false when even the barest form is too large.
func payloadOf(n push.Notification, defaults json.RawMessage) (body []byte, ok bool) {
	out := object{}
	if n.Sealed != nil {
		out.sealed(n)
		return fit(out)
	}
	if n.Event != nil {
		out.event(n.Event)
	}
	out.counts(n.Counts)
	if len(out) == 0 {
		return nil, true
	}
	// A default_payload that is not an object is ignored, and gives way to the event.
	var base object
	if json.Unmarshal(defaults, &base) == nil {
		for name, value := range base {
			if _, taken := out[name]; !taken {
				out[name] = value
			}
		}
	}
	return fit(out)
}

// event sets what an event has; empty members are left out, as Sygnal leaves them out.
func (o object) event(e *push.Event) {
	o.text("room_id", e.RoomID)
	o.text("room_name", e.RoomName)
	o.text("room_alias", e.RoomAlias)
	o.text("membership", e.Membership)
	o.text("event_id", e.ID)
	o.text("sender", e.Sender)
	o.text("sender_display_name", e.SenderDisplayName)
	o.text("type", e.Type)
	if e.UserIsTarget {
		o["user_is_target"] = json.RawMessage("true")
	}
	if content := contentOf(e.Content); content != nil {
		o["content"] = content
	}
}

func (o object) sealed(n push.Notification) {
	o.text("ciphertext", n.Sealed.Ciphertext)
	o.text("time_message_encrypted", push.NewText(n.Sealed.Month))
	o.text("key_identifier", n.Sealed.KeyIdentifier)
	o.text("identifier", n.Sealed.Identifier)
	o.counts(n.Counts)
}

func (o object) counts(c push.Counts) {
	if c.Unread != nil {
		o["unread"] = strconv.AppendInt(nil, *c.Unread, 10)
	}
	if c.MissedCalls != nil {
		o["missed_calls"] = strconv.AppendInt(nil, *c.MissedCalls, 10)
	}
}

// text sets a member from a text that is not empty.
func (o object) text(name string, t push.Text) {
	if !t.Empty() {
		o[name] = encode(t.Reveal())
	}
}

// contentOf copies the event's content without what a notification cannot show. Content that is no object, or an empty
// one, is left out.
func contentOf(raw push.Object) json.RawMessage {
	var content object
	if len(raw) == 0 || json.Unmarshal(raw, &content) != nil || len(content) == 0 {
		return nil
	}
	delete(content, "formatted_body")
	if body, ok := content.str("body"); ok {
		if cut, was := cutRunes(body, maxBodyText); was {
			content["body"] = encode(cut)
		}
	}
	if ciphertext, ok := content.str("ciphertext"); ok && utf8.RuneCountInString(ciphertext) > maxCiphertext {
		delete(content, "ciphertext")
	}
	return encode(content)
}

// str returns a member that is a JSON string.
func (o object) str(name string) (string, bool) {
	raw, ok := o[name]
	if !ok || len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// cutRunes shortens a text to limit characters, the last of which is then an ellipsis.
func cutRunes(s string, limit int) (string, bool) {
	if utf8.RuneCountInString(s) <= limit {
		return s, false
	}
	count := 0
	for i := range s {
		if count == limit-1 {
			return s[:i] + "…", true
		}
		count++
	}
	return s, false
}

// fit encodes the payload within the size that every push service takes. Too large, it gives up the content first
// (the client can fetch the event by its id), then the names; the ids and counts always stay.
func fit(o object) ([]byte, bool) {
	body := encode(o)
	for _, member := range []string{"content", "room_alias", "room_name", "sender_display_name"} {
		if len(body) <= maxPayload {
			return body, true
		}
		delete(o, member)
		body = encode(o)
	}
	return body, len(body) <= maxPayload
}

// encode writes compact JSON without HTML escapes. Nothing given to it can fail.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return json.RawMessage("null")
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// isTrue reports whether a member of device.data is exactly true.
func isTrue(raw json.RawMessage) bool { return string(raw) == "true" }

// topicOf names the room towards the push service so that a newer message replaces an older one that still waits
// (RFC 8030 5.4: at most 32 characters of the URL-safe alphabet). It is keyed, so the service cannot guess rooms.
func topicOf(key []byte, room string) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(room))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:24])
}
