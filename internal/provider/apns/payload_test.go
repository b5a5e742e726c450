package apns

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

var update = flag.Bool("update", false, "write testdata/payload anew")

// event returns a text message in a room, changed by edit.
func event(edit func(*push.Event)) push.Notification {
	e := &push.Event{
		ID:                push.NewText("$event:example.org"),
		RoomID:            push.NewText("!room:example.org"),
		Type:              push.NewText("m.room.message"),
		Sender:            push.NewText("@alice:example.org"),
		SenderDisplayName: push.NewText("Alice"),
		RoomName:          push.NewText("Mission Control"),
		RoomAlias:         push.NewText("#control:example.org"),
		Content:           push.Object(`{"msgtype":"m.text","body":"I'm floating in a most peculiar way."}`),
	}
	if edit != nil {
		edit(e)
	}
	return push.Notification{Event: e}
}

// with changes a notification.
func with(n push.Notification, edit func(*push.Notification)) push.Notification {
	edit(&n)
	return n
}

func counts(unread, missed int64) push.Counts {
	return push.Counts{Unread: &unread, MissedCalls: &missed}
}

func withData(n push.Notification, data string) push.Notification {
	n.Device.Data = push.Object(data)
	return n
}

func sealedNotification() push.Notification {
	return push.Notification{Sealed: &push.Sealed{
		Ciphertext:    push.NewText(strings.Repeat("QUJD", 350) + "QUI="),
		Month:         "2026-11",
		KeyIdentifier: push.NewText("2F8E6C1A-0000-4000-8000-000000000001"),
		Identifier:    push.NewText("160.000.033.491.280.78"),
	}}
}

const elementData = `{"default_payload":{"aps":{"mutable-content":1,"alert":{"loc-key":"Notification","loc-args":[]}}}}`

// payloadCases name the golden files.
func payloadCases() map[string]push.Notification {
	roomless := func(e *push.Event) { e.RoomName, e.RoomAlias = push.Text{}, push.Text{} }
	content := func(text string) func(*push.Event) {
		return func(e *push.Event) { e.Content = push.Object(text) }
	}
	both := func(a, b func(*push.Event)) func(*push.Event) { return func(e *push.Event) { a(e); b(e) } }
	kind := func(kind string) func(*push.Event) {
		return func(e *push.Event) { e.Type, e.Content = push.NewText(kind), nil }
	}
	invite := func(e *push.Event) {
		e.Type, e.Content = push.NewText("m.room.member"), push.Object(`{"membership":"invite"}`)
		e.UserIsTarget, e.Membership = true, push.NewText("invite")
	}
	idOnly := push.Notification{Event: &push.Event{ID: push.NewText("$event:example.org"), RoomID: push.NewText("!room:example.org")}}
	idOnly.Counts = counts(2, 0)

	return map[string]push.Notification{
		"message-room-text":          event(nil),
		"message-room-emote":         event(content(`{"msgtype":"m.emote","body":"is floating"}`)),
		"message-room-image":         event(content(`{"msgtype":"m.image","body":"earth.jpg"}`)),
		"message-room-file":          event(content(`{"msgtype":"m.file","body":"plan.pdf"}`)),
		"message-room-notext":        event(content(`{"msgtype":"m.text"}`)),
		"message-room-emptybody":     event(content(`{"msgtype":"m.text","body":""}`)),
		"message-room-numberbody":    event(content(`{"msgtype":"m.image","body":7}`)),
		"message-room-alias":         event(func(e *push.Event) { e.RoomName = push.NewText("") }),
		"message-room-encrypted":     event(kind("m.room.encrypted")),
		"message-direct-text":        event(roomless),
		"message-direct-emote":       event(both(roomless, content(`{"msgtype":"m.emote","body":"waves"}`))),
		"message-direct-image":       event(both(roomless, content(`{"msgtype":"m.image","body":"earth.jpg"}`))),
		"message-direct-notext":      event(both(roomless, content(`{}`))),
		"message-no-content":         event(func(e *push.Event) { e.Content = nil }),
		"message-string-content":     event(content(`"msgtype body"`)),
		"message-sender-id":          event(func(e *push.Event) { e.SenderDisplayName = push.Text{} }),
		"message-sender-emptyname":   event(func(e *push.Event) { e.SenderDisplayName = push.NewText("") }),
		"message-sender-none":        event(func(e *push.Event) { e.SenderDisplayName, e.Sender = push.Text{}, push.NewText("") }),
		"message-escapes":            event(content(`{"msgtype":"m.text","body":"\"quoted\" \\ <b>&amp;<\/b> \u00e4 \ud83d\ude80 \u0000\u001f\t\n\u2028\u007f"}`)),
		"message-long-name":          event(func(e *push.Event) { e.RoomName = push.NewText(strings.Repeat("ä", 1100)) }),
		"call-voice":                 event(both(kind("m.call.invite"), content(`{"offer":{"sdp":"v=0\r\nm=audio 9"}}`))),
		"call-video":                 event(both(kind("m.call.invite"), content(`{"offer":{"sdp":"v=0\r\nm=audio 9\r\nm=video 9"}}`))),
		"call-odd":                   event(both(kind("m.call.invite"), content(`{"offer":"m=video"}`))),
		"member-invite-room":         event(invite),
		"member-invite-chat":         event(both(invite, roomless)),
		"member-join-counts":         with(event(both(invite, func(e *push.Event) { e.Membership = push.NewText("join") })), func(n *push.Notification) { n.Counts = counts(1, 0); n.Device.Data = push.Object(elementData) }),
		"member-other-invite-counts": with(event(both(invite, func(e *push.Event) { e.UserIsTarget = false })), func(n *push.Notification) { n.Counts = counts(1, 0) }),
		"other-type":                 event(kind("org.example.custom")),
		"no-event-id":                with(event(func(e *push.Event) { e.ID = push.Text{} }), func(n *push.Notification) { n.Counts = counts(1, 2) }),

		"badge-only":         {Event: &push.Event{}, Counts: counts(4, 1)},
		"badge-zero":         {Event: &push.Event{}, Counts: counts(0, 0)},
		"badge-unread-only":  {Event: &push.Event{}, Counts: push.Counts{Unread: counts(7, 0).Unread}},
		"badge-ignores-data": withData(push.Notification{Event: &push.Event{}, Counts: counts(4, 1)}, elementData),
		"message-badge":      with(event(nil), func(n *push.Notification) { n.Counts = counts(3, 2) }),

		"default-payload":           withData(event(nil), elementData),
		"default-payload-verbatim":  withData(event(nil), `{"format":"x","default_payload":{"aps":{"sound":"default","badge":99,"alert":{"title":"T","body":"fallback","loc-key":"old"}},"big":12345678901234567890,"exact":1.10,"exp":1E5,"nested":{"a":[1, 2 , {"b":null}],"s":"\u00e4\/"},"room_id":"overridden"}}`),
		"default-payload-null":      withData(event(nil), `{"default_payload":null}`),
		"default-payload-list":      withData(event(nil), `{"default_payload":[1]}`),
		"default-payload-text":      withData(event(nil), `{"default_payload":"aps"}`),
		"default-payload-twice":     withData(event(nil), `{"default_payload":{"x":1},"default_payload":{"y":2}}`),
		"default-payload-case":      withData(event(nil), `{"Default_Payload":{"x":1}}`),
		"default-aps-null":          withData(event(nil), `{"default_payload":{"aps":null,"x":1}}`),
		"default-aps-text":          withData(event(nil), `{"default_payload":{"aps":"text","x":1}}`),
		"default-alert-text":        withData(event(nil), `{"default_payload":{"aps":{"alert":"You have a message","sound":"x"}}}`),
		"default-alert-number":      withData(event(nil), `{"default_payload":{"aps":{"alert":5}}}`),
		"default-alert-text-nokey":  with(withData(event(both(invite, func(e *push.Event) { e.Membership = push.NewText("leave") })), `{"default_payload":{"aps":{"alert":"You have a message"}}}`), func(n *push.Notification) { n.Counts = counts(1, 0) }),
		"default-alert-args-nokey":  with(withData(event(both(invite, func(e *push.Event) { e.Membership = push.NewText("leave") })), `{"default_payload":{"aps":{"alert":{"loc-key":"K","loc-args":["a",1,null],"x":{}}}}}`), func(n *push.Notification) { n.Counts = counts(1, 0) }),
		"default-alert-null-nokey":  with(withData(event(both(invite, func(e *push.Event) { e.Membership = push.NewText("leave") })), `{"default_payload":{"aps":{"alert":null}}}`), func(n *push.Notification) { n.Counts = counts(1, 0) }),
		"default-payload-malformed": withData(event(nil), `{"default_payload":{`),

		"id-only":                 idOnly,
		"id-only-default-payload": withData(idOnly, elementData),
		"id-only-overrides":       withData(idOnly, `{"default_payload":{"event_id":"old","unread_count":"old","missed_calls":9,"keep":true,"aps":{"alert":"Hello","badge":5}}}`),
		"id-only-odd-aps":         withData(idOnly, `{"default_payload":{"aps":[],"keep":true}}`),
		"id-only-no-room":         {Event: &push.Event{ID: push.NewText("$event:example.org")}},

		"sealed":               sealedNotification(),
		"sealed-counts":        with(sealedNotification(), func(n *push.Notification) { n.Counts = counts(3, 0) }),
		"sealed-zero-counts":   with(sealedNotification(), func(n *push.Notification) { n.Counts = counts(0, 0) }),
		"sealed-no-identifier": with(sealedNotification(), func(n *push.Notification) { n.Sealed.Identifier = push.Text{} }),
		"sealed-nothing-else":  withData(with(sealedNotification(), func(n *push.Notification) { n.Device.Tweaks = push.Object(`{"sound":"x"}`) }), elementData),
		"sealed-escapes":       with(sealedNotification(), func(n *push.Notification) { n.Sealed.KeyIdentifier = push.NewText("a\"b\\c/ä") }),
	}
}

func TestPayload_Golden(t *testing.T) {
	t.Parallel()
	p := newPayloads(DefaultConfig(), true)
	for name, n := range payloadCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, what := p.build(nil, n)
			require.Equal(t, resultSend, what)
			file := filepath.Join("testdata", "payload", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(file, append(got, '\n'), 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(bytes.TrimSuffix(want, []byte("\n"))), string(got))
			require.True(t, json.Valid(got))
			require.LessOrEqual(t, len(got), payloadLimit)
		})
	}
}

func TestPayload_GoldenFilesAreAllUsed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "payload", "*.json"))
	require.NoError(t, err)
	require.Len(t, files, len(payloadCases()))
}

func TestPayload_WithoutBadgeCounts(t *testing.T) {
	t.Parallel()
	p := newPayloads(DefaultConfig(), false)
	for name, n := range payloadCases() {
		n.Device.Data = nil
		got, _ := p.build(nil, n)
		for _, member := range []string{`"badge"`, `"unread_count"`, `"missed_calls"`} {
			require.NotContains(t, string(got), member, name)
		}
	}
}

func TestPayload_NothingToSend(t *testing.T) {
	t.Parallel()
	leave := event(func(e *push.Event) { e.Type, e.Membership = push.NewText("m.room.member"), push.NewText("leave") })
	for name, test := range map[string]struct {
		n      push.Notification
		badges bool
		want   result
	}{
		"an empty event":                        {push.Notification{Event: &push.Event{}}, true, resultNothing},
		"no event at all":                       {push.Notification{}, true, resultNothing},
		"counts that may not be sent":           {push.Notification{Event: &push.Event{}, Counts: counts(1, 1)}, false, resultNothing},
		"a member leaves":                       {leave, true, resultNothing},
		"a member leaves, with default_payload": {withData(leave, elementData), true, resultNothing},
		"a member leaves, with counts":          {with(leave, func(n *push.Notification) { n.Counts = counts(1, 1) }), true, resultSend},
		"zero is a badge":                       {push.Notification{Event: &push.Event{}, Counts: counts(0, 0)}, true, resultSend},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPayloads(DefaultConfig(), test.badges)
			_, what := p.build(nil, test.n)
			require.Equal(t, test.want, what)
		})
	}
}

func TestPayload_EncryptedAlert(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.EncryptedAlert = EncryptedAlert{Title: "Grüße & <mehr>", Body: `Neue "Nachricht"`}
	p := newPayloads(cfg, true)
	got, what := p.build(nil, sealedNotification())
	require.Equal(t, resultSend, what)
	require.True(t, strings.HasPrefix(string(got), `{"aps":{"alert":{"title":"Grüße & <mehr>","body":"Neue \"Nachricht\""},"mutable-content":1},"ciphertext":"QUJD`))
}

func TestPayload_SealedTooLarge(t *testing.T) {
	t.Parallel()
	n := sealedNotification()
	n.Sealed.Identifier = push.NewText(strings.Repeat("x", payloadLimit))
	p := newPayloads(DefaultConfig(), true)
	_, what := p.build(nil, n)
	require.Equal(t, resultTooLarge, what)
}

// TestPayload_BufferIsReused guards the pooled buffers: a payload must not shine through in the next one.
func TestPayload_BufferIsReused(t *testing.T) {
	t.Parallel()
	p := newPayloads(DefaultConfig(), true)
	buf := make([]byte, 0, 64)
	for range 3 {
		for name, n := range payloadCases() {
			fresh, _ := p.build(nil, n)
			var again []byte
			again, _ = p.build(buf, n)
			require.Equal(t, string(fresh), string(again), name)
			buf = again[:0]
		}
	}
}

func BenchmarkPayload(b *testing.B) {
	p := newPayloads(DefaultConfig(), true)
	long := event(func(e *push.Event) {
		e.Content = push.Object(`{"msgtype":"m.text","body":"` + strings.Repeat("äöü ", 4000) + `"}`)
	})
	for name, n := range map[string]push.Notification{
		"sealed":          sealedNotification(),
		"message":         event(nil),
		"default_payload": withData(event(nil), elementData),
		"truncated":       long,
	} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, payloadLimit)
			b.ReportAllocs()
			for b.Loop() {
				out, what := p.build(buf, n)
				if what != resultSend {
					b.Fatal(what)
				}
				buf = out[:0]
			}
		})
	}
}
