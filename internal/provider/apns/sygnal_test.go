package apns

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// TestSygnal_SameBytesAsJSON has a row for each payload rule of facts/sygnal.md 2.1 and 2.2, its section in the name. The
// expected values are what Sygnal sends, worked out from the facts by hand.
func TestSygnal_SameBytesAsJSON(t *testing.T) {
	t.Parallel()
	absent := push.Text{}
	edit := func(edits ...func(*push.Event)) push.Notification {
		return event(func(e *push.Event) {
			for _, f := range edits {
				f(e)
			}
		})
	}
	kind := func(name string) func(*push.Event) { return func(e *push.Event) { e.Type = push.NewText(name) } }
	content := func(text string) func(*push.Event) { return func(e *push.Event) { e.Content = push.Object(text) } }
	roomless := func(e *push.Event) { e.RoomName, e.RoomAlias = absent, absent }
	member := func(membership string, target bool) func(*push.Event) {
		return func(e *push.Event) {
			e.Type, e.Membership, e.UserIsTarget = push.NewText("m.room.member"), push.NewText(membership), target
		}
	}
	const ids = `,"room_id":"!room:example.org","event_id":"$event:example.org"}`
	alert := func(key, args string) string {
		return `{"aps":{"alert":{"loc-key":"` + key + `","loc-args":[` + args + `]}}` + ids
	}
	const body = `"I'm floating in a most peculiar way."`
	// Sygnal sends no aps at all when the client gives none; ours is empty then, as Apple's format wants one.
	idOnly := push.Notification{Event: &push.Event{ID: push.NewText("$e"), RoomID: push.NewText("!r")}}

	for name, c := range map[string]struct {
		n    push.Notification
		want string
	}{
		"2.1.2 id only: default_payload and the ids; differs by an empty aps": {withData(idOnly, `{"default_payload":{"x":[1.10],"event_id":"old"}}`), `{"aps":{},"x":[1.10],"event_id":"$e","room_id":"!r"}`},
		"2.1.2 id only: counts under their own names, zero included":          {with(idOnly, func(n *push.Notification) { n.Counts = counts(0, 2) }), `{"aps":{},"event_id":"$e","room_id":"!r","unread_count":0,"missed_calls":2}`},
		"2.1.2 id only: an empty room_id is left out":                         {push.Notification{Event: &push.Event{ID: push.NewText("$e"), RoomID: push.NewText("")}}, `{"aps":{},"event_id":"$e"}`},
		"2.1.2 id only: no badge is set in the client's aps":                  {with(withData(idOnly, elementData), func(n *push.Notification) { n.Counts = counts(3, 0) }), `{"aps":{"mutable-content":1,"alert":{"loc-key":"Notification","loc-args":[]}},"event_id":"$e","room_id":"!r","unread_count":3,"missed_calls":0}`},
		"2.1.2 id only: an empty type counts as none":                         {push.Notification{Event: &push.Event{ID: push.NewText("$e"), Type: push.NewText(""), RoomID: push.NewText("!r"), Content: push.Object(`{"body":"x"}`)}}, `{"aps":{},"event_id":"$e","room_id":"!r"}`},
		"2.2 room, text":                                              {edit(), alert("MSG_FROM_USER_IN_ROOM_WITH_CONTENT", `"Alice","Mission Control",`+body)},
		"2.2 room, image":                                             {edit(content(`{"msgtype":"m.image","body":"e.jpg"}`)), alert("IMAGE_FROM_USER_IN_ROOM", `"Alice","e.jpg","Mission Control"`)},
		"2.2 room, emote: room before sender":                         {edit(content(`{"msgtype":"m.emote","body":"waves"}`)), alert("ACTION_FROM_USER_IN_ROOM", `"Mission Control","Alice","waves"`)},
		"2.2 room, no text":                                           {edit(content(`{}`)), alert("MSG_FROM_USER_IN_ROOM", `"Alice","Mission Control"`)},
		"2.2 a body without a msgtype is no text":                     {edit(content(`{"body":"x"}`)), alert("MSG_FROM_USER_IN_ROOM", `"Alice","Mission Control"`)},
		"2.2 no room, image":                                          {edit(roomless, content(`{"msgtype":"m.image","body":"e.jpg"}`)), alert("IMAGE_FROM_USER", `"Alice","e.jpg"`)},
		"2.2 no room, text":                                           {edit(roomless), alert("MSG_FROM_USER_WITH_CONTENT", `"Alice",`+body)},
		"2.2 no room, emote":                                          {edit(roomless, content(`{"msgtype":"m.emote","body":"waves"}`)), alert("ACTION_FROM_USER", `"Alice","waves"`)},
		"2.2 no room, no text":                                        {edit(roomless, content(`{}`)), alert("MSG_FROM_USER", `"Alice"`)},
		"2.2 encrypted":                                               {edit(kind("m.room.encrypted"), content(`{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"x"}`)), alert("MSG_FROM_USER_IN_ROOM", `"Alice","Mission Control"`)},
		"2.2 video call":                                              {edit(kind("m.call.invite"), content(`{"offer":{"sdp":"a\r\nm=video 9"}}`)), alert("VIDEO_CALL_FROM_USER", `"Alice"`)},
		"2.2 voice call":                                              {edit(kind("m.call.invite"), content(`{"offer":{"sdp":"m=audio"}}`)), alert("VOICE_CALL_FROM_USER", `"Alice"`)},
		"2.2 invite to a room":                                        {edit(member("invite", true)), alert("USER_INVITE_TO_NAMED_ROOM", `"Alice","Mission Control"`)},
		"2.2 invite to a room that has an alias only":                 {edit(member("invite", true), func(e *push.Event) { e.RoomName = absent }), alert("USER_INVITE_TO_NAMED_ROOM", `"Alice","#control:example.org"`)},
		"2.2 invite to a chat":                                        {edit(member("invite", true), roomless), alert("USER_INVITE_TO_CHAT", `"Alice"`)},
		"2.2 any other type":                                          {edit(kind("org.example.x")), alert("MSG_FROM_USER", `"Alice"`)},
		"2.2 sender: display name even when it is empty":              {edit(kind("x"), func(e *push.Event) { e.SenderDisplayName = push.NewText("") }), alert("MSG_FROM_USER", `""`)},
		"2.2 sender: the id without a display name":                   {edit(kind("x"), func(e *push.Event) { e.SenderDisplayName = absent }), alert("MSG_FROM_USER", `"@alice:example.org"`)},
		"2.2 sender: one space when both are empty":                   {edit(kind("x"), func(e *push.Event) { e.SenderDisplayName, e.Sender = push.NewText(""), push.NewText("") }), alert("MSG_FROM_USER", `" "`)},
		"2.2 sender and room: first 1024 characters, the body uncut":  {edit(content(`{"msgtype":"m.text","body":"`+strings.Repeat("b", 1100)+`"}`), func(e *push.Event) { e.RoomName = push.NewText(strings.Repeat("r", 1030)) }), alert("MSG_FROM_USER_IN_ROOM_WITH_CONTENT", `"Alice","`+strings.Repeat("r", 1024)+`","`+strings.Repeat("b", 1100)+`"`)},
		"2.2 badge: the sum of the counts":                            {with(edit(kind("x")), func(n *push.Notification) { n.Counts = counts(3, 2) }), `{"aps":{"badge":5,"alert":{"loc-key":"MSG_FROM_USER","loc-args":["Alice"]}}` + ids},
		"2.2 badge: zero is sent":                                     {with(edit(kind("x")), func(n *push.Notification) { n.Counts = counts(0, 0) }), `{"aps":{"badge":0,"alert":{"loc-key":"MSG_FROM_USER","loc-args":["Alice"]}}` + ids},
		"2.2 badge only: no ids, default_payload does not count":      {withData(push.Notification{Event: &push.Event{}, Counts: counts(4, 0)}, elementData), `{"aps":{"badge":4}}`},
		"2.2 assembly: alert and badge over the client's, rest kept":  {with(withData(edit(kind("x")), `{"default_payload":{"aps":{"badge":9,"sound":"s","alert":{"loc-key":"old","title":"t"}},"room_id":"old","y":{"z":null}}}`), func(n *push.Notification) { n.Counts = counts(1, 0) }), `{"aps":{"badge":1,"sound":"s","alert":{"loc-key":"MSG_FROM_USER","loc-args":["Alice"],"title":"t"}},"y":{"z":null}` + ids},
		"2.2 a leave with counts: badge, the client's alert, no ids":  {with(withData(edit(member("leave", true)), elementData), func(n *push.Notification) { n.Counts = counts(1, 0) }), `{"aps":{"badge":1,"mutable-content":1,"alert":{"loc-key":"Notification","loc-args":[]}}}`},
		"2.2 an invite for somebody else is another membership event": {with(edit(member("invite", false)), func(n *push.Notification) { n.Counts = counts(1, 0) }), `{"aps":{"badge":1}}`},
		"2.2 tweaks set no sound":                                     {with(edit(kind("x")), func(n *push.Notification) { n.Device.Tweaks = push.Object(`{"sound":"ring"}`) }), alert("MSG_FROM_USER", `"Alice"`)},

		// Where the facts call it a bug, we send what was meant.
		"2.1.1 differs: a default_payload that is no object is ignored": {withData(edit(kind("x")), `{"default_payload":null}`), alert("MSG_FROM_USER", `"Alice"`)},
		"2.2 differs: a text for an alert does not crash":               {withData(edit(kind("x")), `{"default_payload":{"aps":{"alert":"text","sound":"s"}}}`), `{"aps":{"sound":"s","alert":{"body":"text","loc-key":"MSG_FROM_USER","loc-args":["Alice"]}}` + ids},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPayloads(DefaultConfig(), true)
			got, what := p.build(nil, c.n)
			require.Equal(t, resultSend, what)
			require.JSONEq(t, c.want, string(got))
		})
	}
}
