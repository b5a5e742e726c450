package apns

import (
	"strings"
	"unicode/utf8"

	"github.com/pushgate/pushgate/internal/push"
)

// Apple's limits in bytes of JSON.
const (
	payloadLimit     = 4096
	payloadLimitVoIP = 5120
)

// maxName is how many characters of a sender's or a room's name go out, as in Sygnal.
const maxName = 1024

// result says what became of building a payload. The zero value is safe: nothing is sent.
type result uint8

const (
	resultTooLarge result = iota
	resultNothing         // no text and no badge: nothing that a phone could show
	resultSend
)

// payloads builds what goes to the phone.
type payloads struct {
	limit  int
	badges bool
	sealed string // the beginning of every encrypted payload, the same for everybody
}

func newPayloads(cfg Config, badges bool) payloads {
	p := payloads{limit: payloadLimit, badges: badges}
	if cfg.PushType == pushTypeVoIP {
		p.limit = payloadLimitVoIP
	}
	w := writer{buf: []byte(`{"aps":{"alert":{`)}
	if cfg.EncryptedAlert.Title != "" {
		w.name("title")
		w.str(cfg.EncryptedAlert.Title)
	}
	w.name("body")
	w.str(cfg.EncryptedAlert.Body)
	// 1 and not true: the apps and Apple's documents say a number.
	w.buf = append(w.buf, `},"mutable-content":1`...)
	p.sealed = string(w.buf)
	return p
}

// build writes the payload of n over buf.
func (p *payloads) build(buf []byte, n push.Notification) ([]byte, result) {
	switch {
	case n.Sealed != nil:
		return p.buildSealed(buf, n)
	case n.Event == nil:
		return buf, resultNothing
	case n.Event.IDOnly():
		return p.buildIDOnly(buf, n)
	default:
		return p.buildFull(buf, n)
	}
}

// badge returns the badge number and whether one is sent.
func (p *payloads) badge(c push.Counts) (int64, bool) { return c.Sum(), p.badges && c.Present() }

// buildSealed writes exactly what the gematik apps read, and nothing else of the request (A_27539).
func (p *payloads) buildSealed(buf []byte, n push.Notification) ([]byte, result) {
	w := writer{buf: append(buf[:0], p.sealed...)}
	if badge, ok := p.badge(n.Counts); ok {
		w.name("badge")
		w.num(badge)
	}
	w.end('}')
	w.name("ciphertext")
	w.str(n.Sealed.Ciphertext.Reveal())
	w.name("time_message_encrypted")
	w.str(n.Sealed.Month)
	w.name("key_identifier")
	w.str(n.Sealed.KeyIdentifier.Reveal())
	if !n.Sealed.Identifier.Empty() {
		w.name("identifier")
		w.str(n.Sealed.Identifier.Reveal())
	}
	w.end('}')
	if len(w.buf) > p.limit {
		return w.buf, resultTooLarge
	}
	return w.buf, resultSend
}

// buildIDOnly writes the event_id_only form: the app fetches the event itself. As in Sygnal, what is shown can only come
// from default_payload and counts are no badge. Without an aps in default_payload ours is empty, where Sygnal sends none.
func (p *payloads) buildIDOnly(buf []byte, n push.Notification) ([]byte, result) {
	base := defaultPayload(n.Device.Data)
	doc := document{
		aps: parseAPS(find(base, "aps")), rest: base, roomID: n.Event.RoomID.Reveal(), eventID: n.Event.ID.Reveal(),
	}
	if p.badges {
		doc.unread, doc.missedCalls = n.Counts.Unread, n.Counts.MissedCalls
	}
	return doc.fit(buf, p.limit)
}

// buildFull writes the form with a localised text, and badge-only updates.
func (p *payloads) buildFull(buf []byte, n push.Notification) ([]byte, result) {
	key, args := localise(n.Event)
	badge, hasBadge := p.badge(n.Counts)
	if key == "" && !hasBadge {
		return buf, resultNothing
	}
	var doc document
	if !n.Event.Type.Empty() {
		doc.rest = defaultPayload(n.Device.Data)
		doc.aps = parseAPS(find(doc.rest, "aps"))
	}
	if hasBadge {
		doc.aps.badge = &badge
	}
	if key != "" {
		doc.aps.alert.localise(key, args)
		doc.roomID, doc.eventID = n.Event.RoomID.Reveal(), n.Event.ID.Reveal()
	}
	return doc.fit(buf, p.limit)
}

// defaultPayload returns the members of data.default_payload, none when it is absent, null or not an object: a malformed
// one costs its own content, never the push or the pushkey.
func defaultPayload(data push.Object) []member {
	if len(data) == 0 {
		return nil
	}
	all, _ := object(data.Bytes())
	base, _ := validObject(find(all, "default_payload"))
	return base
}

// localise returns the loc-key and loc-args of an event, an empty key when it has no text of its own.
func localise(e *push.Event) (string, []string) {
	sender, room := senderName(e), roomName(e)
	switch e.Type.Reveal() {
	case "":
		return "", nil
	case "m.room.message", "m.room.encrypted":
		return localiseMessage(e, sender, room)
	case "m.call.invite":
		if isVideo(e.Content) {
			return "VIDEO_CALL_FROM_USER", []string{sender}
		}
		return "VOICE_CALL_FROM_USER", []string{sender}
	case "m.room.member":
		if !e.UserIsTarget || e.Membership.Reveal() != "invite" {
			return "", nil
		}
		if room != "" {
			return "USER_INVITE_TO_NAMED_ROOM", []string{sender, room}
		}
		return "USER_INVITE_TO_CHAT", []string{sender}
	default:
		return "MSG_FROM_USER", []string{sender}
	}
}

// localiseMessage picks among the texts of a message. The order of the arguments is what the apps' translations expect,
// odd as it is for actions in rooms.
func localiseMessage(e *push.Event, sender, room string) (string, []string) {
	msgtype, body := messageText(e.Content)
	switch {
	case room != "" && msgtype == "m.image":
		return "IMAGE_FROM_USER_IN_ROOM", []string{sender, body, room}
	case room != "" && body != "" && msgtype == "m.emote":
		return "ACTION_FROM_USER_IN_ROOM", []string{room, sender, body}
	case room != "" && body != "":
		return "MSG_FROM_USER_IN_ROOM_WITH_CONTENT", []string{sender, room, body}
	case room != "":
		return "MSG_FROM_USER_IN_ROOM", []string{sender, room}
	case msgtype == "m.image":
		return "IMAGE_FROM_USER", []string{sender, body}
	case body != "" && msgtype == "m.emote":
		return "ACTION_FROM_USER", []string{sender, body}
	case body != "":
		return "MSG_FROM_USER_WITH_CONTENT", []string{sender, body}
	default:
		return "MSG_FROM_USER", []string{sender}
	}
}

// messageText returns msgtype and body of a message, both empty unless content has both. A msgtype that is no string is
// one that nobody knows.
func messageText(content push.Object) (msgtype, body string) {
	all, _ := object(content.Bytes())
	rawType, rawBody := find(all, "msgtype"), find(all, "body")
	if rawType == nil || rawBody == nil {
		return "", ""
	}
	body, ok := text(rawBody)
	if !ok {
		return "", ""
	}
	msgtype, _ = text(rawType)
	return msgtype, body
}

// isVideo reports whether a call offers video.
func isVideo(content push.Object) bool {
	all, _ := object(content.Bytes())
	offer, _ := validObject(find(all, "offer"))
	sdp, _ := text(find(offer, "sdp"))
	return strings.Contains(sdp, "m=video")
}

// senderName returns the display name, even an empty one that was sent, before the user id.
func senderName(e *push.Event) string {
	switch {
	case e.SenderDisplayName.Empty() && e.Sender.Empty():
		return " "
	case e.SenderDisplayName.Present():
		return firstRunes(e.SenderDisplayName.Reveal(), maxName)
	default:
		return firstRunes(e.Sender.Reveal(), maxName)
	}
}

func roomName(e *push.Event) string {
	if !e.RoomName.Empty() {
		return firstRunes(e.RoomName.Reveal(), maxName)
	}
	return firstRunes(e.RoomAlias.Reveal(), maxName)
}

// firstRunes returns the first n characters of s.
func firstRunes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// lastRune returns the size in bytes of the last character of s and of its form in JSON.
func lastRune(s string) (size, escaped int) {
	r, size := utf8.DecodeLastRuneInString(s)
	return size, escapedLen(r)
}
