package fcm

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"firebase.google.com/go/v4/messaging"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

var update = flag.Bool("update", false, "write the golden files")

func count(n int64) *int64 { return &n }

func newBuilder(t testing.TB, options map[string]any) builder {
	t.Helper()
	checkOptions(options, func(path, problem string) { t.Fatalf("%s: %s", path, problem) })
	template, err := newTemplate(options)
	require.NoError(t, err)
	return builder{template: template, counts: true}
}

// dataOf returns a built message's data as FCM reads it.
func dataOf(t testing.TB, body []byte) map[string]string {
	t.Helper()
	var doc struct {
		Message struct {
			Data map[string]string `json:"data"`
		} `json:"message"`
	}
	require.NoError(t, json.Unmarshal(body, &doc))
	return doc.Message.Data
}

// fullEvent is a message with every member that Sygnal passes on.
func fullEvent() push.Notification {
	return push.Notification{
		Device: push.Device{
			AppID:   "com.example.android",
			Pushkey: `fMock:APA91b"token\`,
			Data:    push.Object(`{"format":"custom","default_payload":{"aps":{"mutable-content":1,"badge" : 1E2,"big":9007199254740993},"ratio":1.10,"list":[1, "two"],"flag":true,"none":null,"text":"as is \u00e9","from":"x","message_type":"x","google.c.a.e":"1","gcm.x":"1","sender":"overridden","content":{"body":"overridden too"}}}`),
			Tweaks:  push.Object(`{"sound":"default"}`),
		},
		Counts: push.Counts{Unread: count(2), MissedCalls: count(1)},
		Event: &push.Event{
			ID:                push.NewText("$3957tyerfgewrf384"),
			RoomID:            push.NewText("!slw48wfj34rtnrf:example.com"),
			Type:              push.NewText("m.room.message"),
			Sender:            push.NewText("@exampleuser:matrix.org"),
			SenderDisplayName: push.NewText("Major Tom"),
			RoomName:          push.NewText("Mission Control"),
			RoomAlias:         push.NewText("#exampleroom:matrix.org"),
			Membership:        push.NewText(""),
			UserIsTarget:      true,
			Content:           push.Object(`{"msgtype":"m.text","body":"I'm floating in a most peculiar way.\n<b>&\u0007\ud83d\ude80","count":7,"m.mentions":{"user_ids":[]},"empty":""}`),
		},
	}
}

func sealedMessage() push.Notification {
	return push.Notification{
		Device: push.Device{AppID: "com.example.android", Pushkey: "fMock:APA91b", Data: push.Object(`{"default_payload":{"aps":{}}}`)},
		Counts: push.Counts{Unread: count(4)},
		Sealed: &push.Sealed{
			Ciphertext:    push.NewText(strings.Repeat("Q2lw", 350) + "Q2k="),
			Month:         "2026-11",
			KeyIdentifier: push.NewText("5EBB1486-7430-42C0-B9AA-B57CA6C90EA4"),
			Identifier:    push.NewText("audit-event-1"),
		},
	}
}

func allOptions() map[string]any {
	return map[string]any{
		"android":      map[string]any{"priority": "normal", "ttl": "3600s", "notification": map[string]any{"channel_id": "messages"}},
		"notification": map[string]any{"title": "New <message>"},
		"data":         map[string]any{"origin": "pushgate", "event_id": "loses"},
		"apns":         map[string]any{"payload": map[string]any{"aps": map[string]any{"mutable-content": 1}}},
		"fcmOptions":   map[string]any{"analyticsLabel": "matrix"},
		"webpush":      map[string]any{"headers": map[string]any{"Urgency": "high"}, "notification": map[string]any{"title": "x"}},
	}
}

func TestBuild_Golden(t *testing.T) {
	t.Parallel()
	change := func(n push.Notification, f func(*push.Notification)) push.Notification {
		f(&n)
		return n
	}
	badge := push.Notification{
		Device: push.Device{Pushkey: "token"},
		Event:  &push.Event{ID: push.NewText(""), Sender: push.NewText("")}, // as Synapse sends it
		Counts: push.Counts{Unread: count(0)},
	}
	for name, tt := range map[string]struct {
		options map[string]any
		n       push.Notification
	}{
		"event":                {nil, fullEvent()},
		"event-low":            {nil, change(fullEvent(), func(n *push.Notification) { n.Priority = push.Low })},
		"event-options":        {allOptions(), fullEvent()},
		"event-id-only":        {nil, push.Notification{Device: push.Device{Pushkey: "token"}, Event: &push.Event{ID: push.NewText("$e"), RoomID: push.NewText("!r")}, Counts: push.Counts{Unread: count(1)}}},
		"badge-zero":           {nil, badge},
		"badge-options":        {allOptions(), badge},
		"default-content":      {nil, push.Notification{Device: push.Device{Pushkey: "token", Data: push.Object(`{"default_payload":{"content":{"body":"flattened","n":1}}}`)}, Event: &push.Event{ID: push.NewText("$e")}}},
		"default-content-text": {nil, push.Notification{Device: push.Device{Pushkey: "token", Data: push.Object(`{"default_payload":{"content":"text"}}`)}, Event: &push.Event{ID: push.NewText("$e")}}},
		"sealed":               {nil, sealedMessage()},
		"sealed-low":           {nil, change(sealedMessage(), func(n *push.Notification) { n.Priority = push.Low })},
		"sealed-options":       {allOptions(), sealedMessage()},
		"sealed-no-identifier": {nil, change(sealedMessage(), func(n *push.Notification) { s := *n.Sealed; s.Identifier = push.Text{}; n.Sealed = &s })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(t, tt.options)
			body, fault := b.build(tt.n)
			require.Nil(t, fault)
			path := filepath.Join("testdata", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(path, append(body, '\n'), 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(bytes.TrimSpace(want)), string(body))

			// The SDK's own type reads it: the shape is the v1 message's.
			var doc struct {
				Message messaging.Message `json:"message"`
			}
			require.NoError(t, json.Unmarshal(body, &doc))
			require.Equal(t, tt.n.Device.Pushkey.Reveal(), doc.Message.Token)
			require.NotContains(t, string(body), "collapse")
		})
	}
}

func TestBuild_NothingToSend(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		n      push.Notification
		silent bool // send_badge_counts off
		sent   bool
	}{
		"no ids and no counts":             {n: push.Notification{Event: &push.Event{}}},
		"empty id and no counts":           {n: push.Notification{Event: &push.Event{ID: push.NewText("")}}},
		"zero counts":                      {n: push.Notification{Event: &push.Event{}, Counts: push.Counts{Unread: count(0)}}, sent: true},
		"missed calls only":                {n: push.Notification{Event: &push.Event{}, Counts: push.Counts{MissedCalls: count(0)}}, sent: true},
		"counts switched off":              {n: push.Notification{Event: &push.Event{}, Counts: push.Counts{Unread: count(3)}}, silent: true},
		"an event with counts off":         {n: push.Notification{Event: &push.Event{ID: push.NewText("$e")}, Counts: push.Counts{Unread: count(3)}}, silent: true, sent: true},
		"room id only":                     {n: push.Notification{Event: &push.Event{RoomID: push.NewText("!r")}}, sent: true},
		"room id of the default payload":   {n: push.Notification{Device: push.Device{Data: push.Object(`{"default_payload":{"room_id":"!r"}}`)}, Event: &push.Event{}}, sent: true},
		"default payload without an id":    {n: push.Notification{Device: push.Device{Data: push.Object(`{"default_payload":{"aps":{}}}`)}, Event: &push.Event{}}},
		"default payload null":             {n: push.Notification{Device: push.Device{Data: push.Object(`{"default_payload":null}`)}, Event: &push.Event{ID: push.NewText("$e")}}, sent: true},
		"default payload not an object":    {n: push.Notification{Device: push.Device{Data: push.Object(`{"default_payload":[{"room_id":"!r"}]}`)}, Event: &push.Event{}}},
		"a member that ends like the name": {n: push.Notification{Device: push.Device{Data: push.Object(`{"my_default_payload":{"room_id":"!r"},"Default_Payload":{"room_id":"!r"}}`)}, Event: &push.Event{}}},
		"a member name in escapes":         {n: push.Notification{Device: push.Device{Data: push.Object(`{"default\u005fpayload":{"room_id":"!r"}}`)}, Event: &push.Event{}}, sent: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(t, nil)
			b.counts = !tt.silent
			tt.n.Device.Pushkey = "token"
			body, fault := b.build(tt.n)
			require.Nil(t, fault)
			require.Equal(t, tt.sent, body != nil)
			if tt.silent && tt.sent {
				require.NotContains(t, dataOf(t, body), "unread")
			}
		})
	}
}

func TestBuild_MessageFaults(t *testing.T) {
	t.Parallel()
	many := &strings.Builder{}
	for i := range 2000 {
		_, _ = fmt.Fprintf(many, `,"member-%d":""`, i)
	}
	big := sealedMessage()
	big.Sealed.KeyIdentifier = push.NewText(strings.Repeat("k", 4096))
	for name, tt := range map[string]struct {
		n    push.Notification
		want string
	}{
		"no pushkey":                        {push.Notification{Event: &push.Event{ID: push.NewText("$e")}}, reasonBadPushkey},
		"pushkey that is not UTF-8":         {message("to\xffken"), reasonBadPushkey},
		"neither event nor ciphertext":      {push.Notification{Device: push.Device{Pushkey: "t"}}, reasonEmpty},
		"sealed over 4096 bytes":            {big, reasonTooLarge},
		"default payload over 4096 bytes":   {push.Notification{Device: push.Device{Pushkey: "t", Data: push.Object(`{"default_payload":{"x":"` + strings.Repeat("x", 4096) + `"}}`)}, Event: &push.Event{ID: push.NewText("$e")}}, reasonTooLarge},
		"names alone over 4096 bytes":       {push.Notification{Device: push.Device{Pushkey: "t"}, Event: &push.Event{ID: push.NewText("$e"), Content: push.Object(`{"a":""` + many.String() + `}`)}}, reasonTooLarge},
		"names alone, in a default payload": {push.Notification{Device: push.Device{Pushkey: "t", Data: push.Object(`{"default_payload":{"a":""` + many.String() + `}}`)}, Event: &push.Event{ID: push.NewText("$e")}}, reasonTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(t, nil)
			body, fault := b.build(tt.n)
			require.Nil(t, body)
			require.Equal(t, &push.Fault{Kind: push.FaultMessage, Reason: tt.want}, fault)
		})
	}
}

func TestBuild_LongTextsAreCutAsSygnalCutsThem(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"exactly 1024":          {strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		"1025":                  {strings.Repeat("x", 1025), strings.Repeat("x", 1021) + "…"},
		"border inside a rune":  {strings.Repeat("x", 1020) + "é" + strings.Repeat("x", 9), strings.Repeat("x", 1020) + "…"},
		"border behind a rune":  {strings.Repeat("x", 1019) + "é" + strings.Repeat("x", 9), strings.Repeat("x", 1019) + "é…"},
		"four bytes a rune":     {strings.Repeat("🚀", 300), strings.Repeat("🚀", 255) + "…"},
		"counted when unescape": {strings.Repeat("\n", 1024), strings.Repeat("\n", 1024)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBuilder(t, nil)
			content, err := json.Marshal(map[string]string{"body": tt.in})
			require.NoError(t, err)
			n := message("token")
			n.Event.Content = content
			n.Event.RoomName = push.NewText(tt.in)
			body, fault := b.build(n)
			require.Nil(t, fault)
			require.Equal(t, tt.want, dataOf(t, body)["content_body"])
			require.Equal(t, tt.want, dataOf(t, body)["room_name"])
		})
	}
}

func TestBuild_TheMessageFitsFCM(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ünïcode text ", 100)
	content, err := json.Marshal(map[string]string{"body": long, "formatted_body": long, "short": "stays", "third": long, "fourth": long})
	require.NoError(t, err)
	n := message("token")
	n.Event.Content = content
	n.Event.SenderDisplayName = push.NewText(long)
	n.Device.Data = push.Object(`{"default_payload":{"theirs":"` + strings.Repeat("t", 1500) + `"}}`)

	for name, options := range map[string]map[string]any{
		"alone":                     nil,
		"with a notification block": {"notification": map[string]any{"title": strings.Repeat("n", 500)}},
	} {
		b := newBuilder(t, options)
		body, fault := b.build(n)
		require.Nil(t, fault, name)
		data := dataOf(t, body)
		total, shortest, longest := 0, len(long), 0
		for key, value := range data {
			total += len(key) + len(value)
			require.True(t, utf8.ValidString(value))
			require.NotContains(t, value, "\ufffd")
		}
		for _, key := range []string{"content_body", "content_formatted_body", "content_third", "content_fourth", "sender_display_name"} {
			shortest, longest = min(shortest, len(data[key])), max(longest, len(data[key]))
			require.True(t, strings.HasSuffix(data[key], "…"), name)
		}
		require.LessOrEqual(t, total, maxData-b.template.fixed, name)
		require.Greater(t, total, maxData-b.template.fixed-50, "%s: no more is cut than needed", name)
		require.LessOrEqual(t, longest-shortest, 4, "%s: all lose alike", name)
		require.Equal(t, "stays", data["content_short"])
		require.Len(t, data["theirs"], 1500)
		require.Equal(t, "$event", data["event_id"])
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cut, kept []int // lengths
		limit     int
		want      []int // nil: does not fit
	}{
		"fits":              {[]int{10, 20}, []int{5}, 100, []int{10, 20}},
		"exactly":           {[]int{10, 20}, []int{5}, 38, []int{10, 20}}, // 3 names of 1 byte
		"the longest first": {[]int{10, 50}, nil, 42, []int{10, 30}},
		"then all alike":    {[]int{10, 50, 50}, nil, 50, []int{10, 18, 18}},
		"down to nothing":   {[]int{10, 10}, []int{30}, 33, []int{0, 0}},
		"not enough":        {[]int{10, 10}, []int{30}, 32, nil},
		"nothing to cut":    {nil, []int{30}, 20, nil},
		"limit below zero":  {[]int{10}, nil, -5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var fields []field
			for _, n := range tt.cut {
				fields = append(fields, field{name: "c", value: strings.Repeat("x", n), cut: true})
			}
			for _, n := range tt.kept {
				fields = append(fields, field{name: "k", value: strings.Repeat("x", n)})
			}
			ok := fit(fields, tt.limit)
			require.Equal(t, tt.want != nil, ok)
			for i, want := range tt.want {
				require.Len(t, fields[i].value, want)
			}
		})
	}
}

// FuzzBuild holds what must be true of every message, whatever strangers put into it.
func FuzzBuild(f *testing.F) {
	full := fullEvent()
	f.Add(full.Device.Data.Bytes(), full.Event.Content.Bytes(), "token", "name", int64(1))
	f.Add([]byte(`{"default_payload":{"a":[1,{"b":"}"}],"content":{"x":"y"}}}`), []byte(nil), "t", strings.Repeat("é", 600), int64(0))
	f.Add([]byte(`[]`), []byte(`"text"`), "t\x00", "\xff", int64(-1))
	f.Fuzz(func(t *testing.T, data, content []byte, pushkey, name string, unread int64) {
		b := newBuilder(t, nil)
		n := message(pushkey)
		n.Device.Data = data
		n.Event.RoomName = push.NewText(name)
		n.Event.Content = content
		n.Counts.Unread = &unread
		body, fault := b.build(n)
		if fault != nil {
			require.Equal(t, push.FaultMessage, fault.Kind)
			return
		}
		var doc struct {
			Message struct {
				Token   string            `json:"token"`
				Android map[string]string `json:"android"`
				Data    map[string]string `json:"data"`
			} `json:"message"`
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&doc))
		require.Equal(t, pushkey, doc.Message.Token)
		require.Equal(t, map[string]string{"priority": "high"}, doc.Message.Android)
		total := 0
		for key, value := range doc.Message.Data {
			require.False(t, reservedKey(key))
			total += len(key) + len(value)
		}
		if utf8.Valid(data) && utf8.Valid(content) && utf8.ValidString(name) {
			require.LessOrEqual(t, total, maxData)
		}
		require.Equal(t, "$event", doc.Message.Data["event_id"])
		require.Equal(t, fmt.Sprint(unread), doc.Message.Data["unread"])
	})
}

func BenchmarkBuild(b *testing.B) {
	bare := message("fMockToken:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx")
	for name, n := range map[string]push.Notification{"sealed": sealedMessage(), "event": bare, "event with everything": fullEvent()} {
		b.Run(name, func(b *testing.B) {
			builder := newBuilder(b, nil)
			b.ReportAllocs()
			for b.Loop() {
				if body, fault := builder.build(n); fault != nil || body == nil {
					b.Fail()
				}
			}
		})
	}
}
