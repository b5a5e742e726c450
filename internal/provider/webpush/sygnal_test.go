package webpush

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// TestSygnal_SameBytesAsJSON has a row for each payload rule of facts/sygnal.md 4. The expected values are what Sygnal
// sends, worked out from the facts by hand.
func TestSygnal_SameBytesAsJSON(t *testing.T) {
	t.Parallel()
	id := func(content string) push.Notification {
		return push.Notification{Event: &push.Event{ID: push.NewText("$e"), Content: push.Object(content)}}
	}
	for name, c := range map[string]struct {
		n        push.Notification
		defaults string
		want     string
	}{
		"4 every member that is not empty": {n: push.Notification{Event: &push.Event{
			ID: push.NewText("$e"), RoomID: push.NewText("!r"), Type: push.NewText("m.room.member"), Sender: push.NewText("@a:x"), SenderDisplayName: push.NewText("Ada"),
			RoomName: push.NewText("R"), RoomAlias: push.NewText("#r:x"), Membership: push.NewText("invite"), UserIsTarget: true,
		}}, want: `{"room_id":"!r","room_name":"R","room_alias":"#r:x","membership":"invite","event_id":"$e","sender":"@a:x","sender_display_name":"Ada","user_is_target":true,"type":"m.room.member"}`},
		"4 empty members are left out": {n: push.Notification{Event: &push.Event{ID: push.NewText("$e"), RoomID: push.NewText(""), Type: push.NewText(""), Sender: push.NewText("")}}, want: `{"event_id":"$e"}`},
		"4 prio is not included":       {n: push.Notification{Priority: push.Low, Event: &push.Event{ID: push.NewText("$e")}}, want: `{"event_id":"$e"}`},
		"4 counts are flat, zero kept": {n: push.Notification{Event: &push.Event{}, Counts: push.Counts{Unread: ptr(0), MissedCalls: ptr(0)}}, want: `{"unread":0,"missed_calls":0}`},
		"4 default_payload is the base, also of a badge": {n: push.Notification{Event: &push.Event{}, Counts: push.Counts{Unread: ptr(3)}}, defaults: `{"session":{"id":12345678901234567890},"unread":"old"}`,
			want: `{"session":{"id":12345678901234567890},"unread":3}`},
		"4 default_payload that is no object is ignored": {n: id(`{}`), defaults: `"x"`, want: `{"event_id":"$e"}`},
		"4 content without formatted_body":               {n: id(`{"body":"b","format":"org.matrix.custom.html","formatted_body":"<b>b</b>"}`), want: `{"event_id":"$e","content":{"body":"b","format":"org.matrix.custom.html"}}`},
		"4 body of 1000 characters is whole":             {n: id(`{"body":"` + strings.Repeat("ü", 1000) + `"}`), want: `{"event_id":"$e","content":{"body":"` + strings.Repeat("ü", 1000) + `"}}`},
		"4 body of 1001 is cut to 999 and an ellipsis":   {n: id(`{"body":"` + strings.Repeat("ü", 1001) + `"}`), want: `{"event_id":"$e","content":{"body":"` + strings.Repeat("ü", 999) + `…"}}`},
		"4 ciphertext of 2000 characters stays":          {n: id(`{"ciphertext":"` + strings.Repeat("c", 2000) + `"}`), want: `{"event_id":"$e","content":{"ciphertext":"` + strings.Repeat("c", 2000) + `"}}`},
		"4 ciphertext of 2001 is removed":                {n: id(`{"ciphertext":"` + strings.Repeat("c", 2001) + `","a":1.10}`), want: `{"event_id":"$e","content":{"a":1.10}}`},
		"4 ciphertext of another type stays":             {n: id(`{"ciphertext":{"x":"` + strings.Repeat("c", 2001) + `"}}`), want: `{"event_id":"$e","content":{"ciphertext":{"x":"` + strings.Repeat("c", 2001) + `"}}}`},
		"4 body of another type stays":                   {n: id(`{"body":[1]}`), want: `{"event_id":"$e","content":{"body":[1]}}`},

		// Where the facts call it a bug, we send what was meant.
		"4 differs: what no service takes is not sent": {n: id(`{"blob":"` + strings.Repeat("x", 6000) + `"}`), want: `{"event_id":"$e"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := payloadOf(c.n, json.RawMessage(c.defaults))
			require.True(t, ok)
			require.JSONEq(t, c.want, string(got))
			require.Equal(t, strings.Count(c.want, "12345678901234567890"), strings.Count(string(got), "12345678901234567890"), "numbers keep their digits")
		})
	}
}

// TestSygnal_Drops has the rules of facts/sygnal.md 4 by which nothing is sent.
func TestSygnal_Drops(t *testing.T) {
	t.Parallel()
	p256dh, auth := browser(t)
	badge := push.Notification{Event: &push.Event{}, Counts: push.Counts{Unread: ptr(1)}}
	for name, c := range map[string]struct {
		eventsOnly any
		n          push.Notification
		sent       bool
	}{
		"events_only drops a badge update":        {true, badge, false},
		"events_only lets an event through":       {true, push.Notification{Event: &push.Event{ID: push.NewText("$e")}}, true},
		"only exactly true counts":                {"true", badge, true},
		"absent sends everything":                 {nil, badge, true},
		"differs: nothing at all is not a push":   {nil, push.Notification{Event: &push.Event{}}, false},
		"differs: and default_payload is no news": {nil, push.Notification{Event: &push.Event{Type: push.NewText("")}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &recorder{status: 201}
			c.n.Device = device(t, p256dh, map[string]any{"endpoint": "https://fcm.googleapis.com/x", "auth": auth, "events_only": c.eventsOnly, "default_payload": map[string]any{"a": 1}})
			out, err := client(t, h).Send(t.Context(), c.n, push.Hash{})
			require.NoError(t, err)
			require.Equal(t, push.Delivered, out.Verdict)
			if c.sent {
				require.Len(t, h.requests, 1)
				body, err := io.ReadAll(h.requests[0].Body)
				require.NoError(t, err)
				require.NotEmpty(t, body)
				return
			}
			require.Equal(t, push.ReasonNothingToSend, out.Reason)
			require.Empty(t, h.requests)
		})
	}
}
