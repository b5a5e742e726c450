package webpush

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func ptr(n int64) *int64 { return &n }

func event(content string) *push.Event {
	return &push.Event{
		ID: push.NewText("$e"), RoomID: push.NewText("!r:x"), Type: push.NewText("m.room.message"), Sender: push.NewText("@a:x"),
		SenderDisplayName: push.NewText("Ada"), RoomName: push.NewText("Room"), RoomAlias: push.NewText(""), Content: push.Object(content),
	}
}

func TestPayload_AsWebClientsReadIt(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 1001)
	for name, c := range map[string]struct {
		n        push.Notification
		defaults string
		want     string
	}{
		"message": {
			n:    push.Notification{Event: event(`{"msgtype":"m.text","body":"hi <b>","formatted_body":"x","n":1.10}`), Counts: push.Counts{Unread: ptr(0)}},
			want: `{"content":{"body":"hi <b>","msgtype":"m.text","n":1.10},"event_id":"$e","room_id":"!r:x","room_name":"Room","sender":"@a:x","sender_display_name":"Ada","type":"m.room.message","unread":0}`,
		},
		"default payload is the base and keeps its numbers": {
			n:        push.Notification{Event: &push.Event{ID: push.NewText("$e"), RoomID: push.NewText("!r:x")}},
			defaults: `{"session":12345678901234567890,"event_id":"overridden"}`,
			want:     `{"event_id":"$e","room_id":"!r:x","session":12345678901234567890}`,
		},
		"default payload that is no object is ignored": {
			n: push.Notification{Event: &push.Event{ID: push.NewText("$e")}}, defaults: `[1]`, want: `{"event_id":"$e"}`,
		},
		"default payload null is ignored": {
			n: push.Notification{Event: &push.Event{ID: push.NewText("$e")}}, defaults: `null`, want: `{"event_id":"$e"}`,
		},
		"badge only": {
			n: push.Notification{Event: &push.Event{}, Counts: push.Counts{Unread: ptr(3), MissedCalls: ptr(1)}}, want: `{"missed_calls":1,"unread":3}`,
		},
		"invite": {
			n:    push.Notification{Event: &push.Event{ID: push.NewText("$e"), Membership: push.NewText("invite"), UserIsTarget: true}},
			want: `{"event_id":"$e","membership":"invite","user_is_target":true}`,
		},
		"long body is cut to 999 characters and an ellipsis": {
			n:    push.Notification{Event: &push.Event{Content: push.Object(`{"body":"` + long + `"}`)}},
			want: `{"content":{"body":"` + strings.Repeat("ä", 999) + `…"}}`,
		},
		"long ciphertext is left out": {
			n:    push.Notification{Event: &push.Event{Content: push.Object(`{"ciphertext":"` + strings.Repeat("a", 2001) + `","alg":"x"}`)}},
			want: `{"content":{"alg":"x"}}`,
		},
		"content that is no object is left out": {
			n: push.Notification{Event: &push.Event{ID: push.NewText("$e"), Content: push.Object(`"text"`)}}, want: `{"event_id":"$e"}`,
		},
		"sealed": {
			n:    push.Notification{Sealed: &push.Sealed{Ciphertext: push.NewText("AAAA"), Month: "2026-07", KeyIdentifier: push.NewText("K"), Identifier: push.NewText("i")}},
			want: `{"ciphertext":"AAAA","identifier":"i","key_identifier":"K","time_message_encrypted":"2026-07"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, ok := payloadOf(c.n, json.RawMessage(c.defaults))
			require.True(t, ok)
			require.Equal(t, c.want, string(body))
		})
	}
}

func TestPayload_FitsEveryService(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 6000)
	body, ok := payloadOf(push.Notification{Event: event(`{"blob":"` + big + `"}`)}, nil)
	require.True(t, ok, "the content is given up, the ids stay")
	require.LessOrEqual(t, len(body), maxPayload)
	require.Contains(t, string(body), `"event_id":"$e"`)

	_, ok = payloadOf(push.Notification{Event: event(`{}`)}, json.RawMessage(`{"blob":"`+big+`"}`))
	require.False(t, ok, "a default payload that cannot fit is a message fault")
}

func TestTopic_IsLegalAndStable(t *testing.T) {
	t.Parallel()
	a := topicOf([]byte("k"), "!room:x")
	require.Len(t, a, 32)
	require.NotContains(t, a, "=")
	require.Equal(t, a, topicOf([]byte("k"), "!room:x"))
	require.NotEqual(t, a, topicOf([]byte("k"), "!other:x"))
	require.NotEqual(t, a, topicOf([]byte("l"), "!room:x"))
}

func FuzzPayload_NeverPanicsAndFits(f *testing.F) {
	f.Add(`{"body":"x"}`, `{"a":1}`, "name")
	f.Add(`{"body":null}`, `null`, "\xff")
	f.Fuzz(func(t *testing.T, content, defaults, name string) {
		if !utf8.ValidString(content) || !utf8.ValidString(defaults) {
			t.Skip("the edge takes UTF-8 only")
		}
		e := event(content)
		e.RoomName = push.NewText(name)
		body, ok := payloadOf(push.Notification{Event: e}, json.RawMessage(defaults))
		if !ok {
			return
		}
		require.LessOrEqual(t, len(body), maxPayload)
		require.True(t, json.Valid(body))
		require.True(t, utf8.Valid(body))
	})
}
