package fcm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// TestSygnal_SameBytesAsJSON has a row for each payload rule of facts/sygnal.md 3.1 to 3.4 (the v1 column), its section in
// the name. The expected values are what Sygnal sends, worked out from the facts by hand.
func TestSygnal_SameBytesAsJSON(t *testing.T) {
	t.Parallel()
	message := func(edit func(*push.Notification, *push.Event)) push.Notification {
		n := push.Notification{Device: push.Device{Pushkey: "token"}, Event: &push.Event{ID: push.NewText("$e"), RoomID: push.NewText("!r")}}
		if edit != nil {
			edit(&n, n.Event)
		}
		return n
	}
	data := func(text string) func(*push.Notification, *push.Event) {
		return func(n *push.Notification, _ *push.Event) { n.Device.Data = push.Object(text) }
	}
	content := func(text string) func(*push.Notification, *push.Event) {
		return func(_ *push.Notification, e *push.Event) { e.Content = push.Object(text) }
	}
	// sent is a high-priority message with these members in data, beside event_id, room_id and prio.
	sent := func(members string) string {
		return `{"message":{"token":"token","android":{"priority":"high"},"data":{"event_id":"$e","room_id":"!r","prio":"high"` + members + `}}}`
	}
	long := strings.Repeat("x", 1030)
	cut := strings.Repeat("x", 1021) + "…"

	for name, c := range map[string]struct {
		options map[string]any
		n       push.Notification
		want    string
	}{
		"3.1 every member that is not null": {n: message(func(_ *push.Notification, e *push.Event) {
			e.Type, e.Sender, e.RoomName, e.RoomAlias = push.NewText("t"), push.NewText("@a:x"), push.NewText("R"), push.NewText("#r:x")
			e.Membership, e.SenderDisplayName = push.NewText("join"), push.NewText("Ada")
		}), want: sent(`,"type":"t","sender":"@a:x","room_name":"R","room_alias":"#r:x","membership":"join","sender_display_name":"Ada"`)},
		"3.1 an empty text is copied": {n: message(func(_ *push.Notification, e *push.Event) { e.Type, e.Sender = push.NewText(""), push.NewText("") }), want: sent(`,"type":"","sender":""`)},
		"3.1 user_is_target and tweaks are never sent": {n: message(func(n *push.Notification, e *push.Event) {
			e.UserIsTarget, n.Device.Tweaks = true, push.Object(`{"sound":"x","highlight":true}`)
		}), want: sent(``)},
		"3.1 counts, and 3.2 as texts": {n: message(func(n *push.Notification, _ *push.Event) {
			n.Counts = push.Counts{Unread: count(2), MissedCalls: count(1)}
		}), want: sent(`,"unread":"2","missed_calls":"1"`)},
		"3.1 low priority": {n: message(func(n *push.Notification, _ *push.Event) { n.Priority = push.Low }),
			want: `{"message":{"token":"token","android":{"priority":"normal"},"data":{"event_id":"$e","room_id":"!r","prio":"normal"}}}`},
		"3.1 default_payload is the base and gives way": {n: message(data(`{"default_payload":{"session":"s","event_id":"old","prio":"old"}}`)), want: sent(`,"session":"s"`)},
		"3.1 an id of default_payload's counts": {n: push.Notification{Device: push.Device{Pushkey: "token", Data: push.Object(`{"default_payload":{"room_id":"!d"}}`)}, Event: &push.Event{Type: push.NewText("t")}, Priority: push.Low},
			want: `{"message":{"token":"token","android":{"priority":"normal"},"data":{"room_id":"!d","type":"t","prio":"normal"}}}`},
		"3.2 content: each text under its name, others dropped": {n: message(content(`{"msgtype":"m.text","body":"hi","n":1,"o":{"a":"b"},"t":true,"z":null,"e":""}`)), want: sent(`,"content_msgtype":"m.text","content_body":"hi","content_e":""`)},
		"3.2 content of another type is left out":               {n: message(content(`"text"`)), want: sent(``)},
		"3.2 fcm_options are the base of the message": {options: map[string]any{"notification": map[string]any{"title": "t"}, "android": map[string]any{"priority": "normal", "ttl": "5s"}, "apns": map[string]any{"payload": map[string]any{"aps": map[string]any{}}}},
			n:    message(nil),
			want: `{"message":{"notification":{"title":"t"},"android":{"priority":"high","ttl":"5s"},"apns":{"payload":{"aps":{}}},"token":"token","data":{"event_id":"$e","room_id":"!r","prio":"high"}}}`},
		"3.3 texts over 1024 bytes": {n: message(func(_ *push.Notification, e *push.Event) {
			e.RoomName, e.Content = push.NewText(long), push.Object(`{"body":"`+long+`"}`)
		}), want: sent(`,"room_name":"` + cut + `","content_body":"` + cut + `"`)},
		"3.3 1024 bytes are untouched":                                        {n: message(func(_ *push.Notification, e *push.Event) { e.RoomName = push.NewText(long[:1024]) }), want: sent(`,"room_name":"` + long[:1024] + `"`)},
		"3.4 content of default_payload is flattened when the event has none": {n: message(data(`{"default_payload":{"content":{"body":"d","n":1}}}`)), want: sent(`,"content_body":"d"`)},

		// Where the facts call it a bug, we send what was meant.
		"3.1 differs: a zero badge reaches Android, quietly": {n: push.Notification{Device: push.Device{Pushkey: "token"}, Event: &push.Event{}, Counts: push.Counts{Unread: count(0)}},
			want: `{"message":{"token":"token","android":{"priority":"normal"},"data":{"prio":"normal","unread":"0"}}}`},
		"3.4 differs: values of default_payload become texts":         {n: message(data(`{"default_payload":{"aps":{"mutable-content":1},"n":1.10}}`)), want: sent(`,"aps":"{\"mutable-content\":1}","n":"1.10"`)},
		"3.4 differs: names that FCM reserves are left out":           {n: message(data(`{"default_payload":{"":"x","from":"x","google.a":"x","gcm.b":"x","message_type":"x"}}`)), want: sent(``)},
		"1.3.2 differs: a default_payload that is null costs nothing": {n: message(data(`{"default_payload":null}`)), want: sent(``)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(t, c.options)
			got, fault := b.build(c.n)
			require.Nil(t, fault)
			require.JSONEq(t, c.want, string(got))
		})
	}
}
