package pushgateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// deep is a value that nests about as deep as encoding/json still reads.
var deep = strings.Repeat(`[`, 4900) + strings.Repeat(`{"a":[`, 2450) + "1" + strings.Repeat(`]}`, 2450) + strings.Repeat(`]`, 4900) //nolint:gochecknoglobals // a constant

func number(n int64) *int64 { return &n }

// The bodies that homeservers really send (Synapse 1.x, Dendrite 0.13), badge updates included.
func TestMatrix_BodiesOfRealHomeservers(t *testing.T) {
	t.Parallel()
	device := push.Device{AppID: "im.example.ios", Pushkey: "V2h5IG9uIGVhcnRo+/8=", PushkeyTS: 1750000000, Data: push.Object(`{"default_payload":{"aps":{"mutable-content":1}}}`)}
	for name, c := range map[string]struct {
		body string
		want push.Notification
	}{
		"synapse event": {
			`{"notification":{"id":"$e","event_id":"$e","room_id":"!r:example.com","type":"m.room.message","sender":"@a:example.com","prio":"low","counts":{"unread":2},
			"content":{"msgtype":"m.text","body":"hi"},"sender_display_name":"A","room_name":"R","devices":[{"app_id":"im.example.ios","pushkey":"V2h5IG9uIGVhcnRo+/8=",
			"pushkey_ts":1750000000,"data":{"default_payload":{"aps":{"mutable-content":1}}},"tweaks":{"sound":"default"}}]}}`,
			push.Notification{
				Device:   func() push.Device { d := device; d.Tweaks = push.Object(`{"sound":"default"}`); return d }(),
				Priority: push.Low, Counts: push.Counts{Unread: number(2)},
				Event: &push.Event{
					ID: push.NewText("$e"), RoomID: push.NewText("!r:example.com"), Type: push.NewText("m.room.message"), Sender: push.NewText("@a:example.com"),
					SenderDisplayName: push.NewText("A"), RoomName: push.NewText("R"), Content: push.Object(`{"msgtype":"m.text","body":"hi"}`),
				},
			},
		},
		"synapse invite": {
			`{"notification":{"id":"$e","event_id":"$e","room_id":"!r:example.com","type":"m.room.member","sender":"@a:example.com","prio":"high","membership":"invite","user_is_target":true,
			"counts":{"unread":1},"content":{"membership":"invite"},"devices":[{"app_id":"im.example.ios","pushkey":"V2h5IG9uIGVhcnRo+/8=","pushkey_ts":1750000000,"data":{}}]}}`,
			push.Notification{
				Device: push.Device{AppID: device.AppID, Pushkey: device.Pushkey, PushkeyTS: device.PushkeyTS, Data: push.Object(`{}`)},
				Counts: push.Counts{Unread: number(1)},
				Event: &push.Event{
					ID: push.NewText("$e"), RoomID: push.NewText("!r:example.com"), Type: push.NewText("m.room.member"), Sender: push.NewText("@a:example.com"),
					Membership: push.NewText("invite"), UserIsTarget: true, Content: push.Object(`{"membership":"invite"}`),
				},
			},
		},
		"synapse event_id_only": {
			`{"notification":{"event_id":"$e","room_id":"!r:example.com","counts":{"unread":2},"prio":"high","devices":[{"app_id":"im.example.ios","pushkey":"V2h5IG9uIGVhcnRo+/8=","pushkey_ts":1750000000,"data":{"format":"event_id_only"}}]}}`,
			push.Notification{
				Device: push.Device{AppID: device.AppID, Pushkey: device.Pushkey, PushkeyTS: device.PushkeyTS, Data: push.Object(`{"format":"event_id_only"}`)},
				Counts: push.Counts{Unread: number(2)},
				Event:  &push.Event{ID: push.NewText("$e"), RoomID: push.NewText("!r:example.com")},
			},
		},
		"synapse badge": {
			`{"notification":{"id":"","type":null,"sender":"","counts":{"unread":0},"devices":[{"app_id":"im.example.ios","pushkey":"V2h5IG9uIGVhcnRo+/8=","pushkey_ts":1750000000,"data":{}}]}}`,
			push.Notification{
				Device: push.Device{AppID: device.AppID, Pushkey: device.Pushkey, PushkeyTS: device.PushkeyTS, Data: push.Object(`{}`)},
				Counts: push.Counts{Unread: number(0)},
				Event:  &push.Event{Sender: push.NewText("")},
			},
		},
		"dendrite event": {
			`{"notification":{"content":{"body":"hi","msgtype":"m.text"},"counts":{"unread":1},"devices":[{"app_id":"im.example.ios","data":null,"pushkey":"V2h5IG9uIGVhcnRo+/8=","pushkey_ts":1750000000,"tweaks":{"highlight":false}}],
			"event_id":"$e","id":"$e","membership":"","room_id":"!r:example.com","room_name":"R","sender":"@a:example.com","type":"m.room.message"}}`,
			push.Notification{
				Device: push.Device{AppID: device.AppID, Pushkey: device.Pushkey, PushkeyTS: device.PushkeyTS, Tweaks: push.Object(`{"highlight":false}`)},
				Counts: push.Counts{Unread: number(1)},
				Event: &push.Event{
					ID: push.NewText("$e"), RoomID: push.NewText("!r:example.com"), Type: push.NewText("m.room.message"), Sender: push.NewText("@a:example.com"),
					RoomName: push.NewText("R"), Membership: push.NewText(""), Content: push.Object(`{"body":"hi","msgtype":"m.text"}`),
				},
			},
		},
		"dendrite badge": {
			`{"notification":{"counts":{"unread":3},"devices":[{"app_id":"im.example.ios","data":null,"pushkey":"V2h5IG9uIGVhcnRo+/8=","pushkey_ts":1750000000}]}}`,
			push.Notification{
				Device: push.Device{AppID: device.AppID, Pushkey: device.Pushkey, PushkeyTS: device.PushkeyTS},
				Counts: push.Counts{Unread: number(3)}, Event: &push.Event{},
			},
		},
		// Synapse passes names on as their events hold them, and events come from strangers.
		"synapse names of other types": {
			`{"notification":{"event_id":"$e","room_id":"!r:example.com","type":"m.room.message","sender":"@a:example.com","sender_display_name":[{"x":[1]}],"room_name":{"a":` + deep + `},"room_alias":1e999,
			"content":{},"devices":[{"app_id":"a","pushkey":"k"}]}}`,
			push.Notification{
				Device: push.Device{AppID: "a", Pushkey: "k"},
				Event: &push.Event{
					ID: push.NewText("$e"), RoomID: push.NewText("!r:example.com"), Type: push.NewText("m.room.message"), Sender: push.NewText("@a:example.com"), Content: push.Object(`{}`),
				},
			},
		},
		"content that nests deep": {
			`{"notification":{"event_id":"$e","content":{"msgtype":"m.text","body":"hi","x":` + deep + `},"devices":[{"app_id":"a","pushkey":"k","data":{"default_payload":` + deep + `}}]}}`,
			push.Notification{
				Device: push.Device{AppID: "a", Pushkey: "k", Data: push.Object(`{"default_payload":` + deep + `}`)},
				Event:  &push.Event{ID: push.NewText("$e"), Content: push.Object(`{"msgtype":"m.text","body":"hi","x":` + deep + `}`)},
			},
		},
		"all null": {
			`{"notification":{"id":null,"event_id":null,"room_id":null,"type":null,"sender":null,"sender_display_name":null,"room_name":null,"room_alias":null,"membership":null,"user_is_target":null,
			"prio":null,"content":null,"counts":null,"devices":[{"app_id":"a","pushkey":"k","pushkey_ts":null,"data":null,"tweaks":null}]}}`,
			push.Notification{Device: push.Device{AppID: "a", Pushkey: "k"}, Event: &push.Event{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, nil)
			w := e.post(pathMatrix, c.body)
			require.Equalf(t, http.StatusOK, w.Code, "body: %s", w.Body)
			require.JSONEq(t, `{"rejected":[]}`, w.Body.String())
			require.True(t, equal(c.want, e.gateway.got[0]), "notification differs") // require.Equal would print placeholders
			require.Len(t, e.gateway.got, 1)
		})
	}
}

// equal compares what the types refuse to print.
func equal(a, b push.Notification) bool {
	return a.Device.AppID == b.Device.AppID && a.Device.Pushkey.Reveal() == b.Device.Pushkey.Reveal() && a.Device.PushkeyTS == b.Device.PushkeyTS &&
		string(a.Device.Data) == string(b.Device.Data) && (a.Device.Data == nil) == (b.Device.Data == nil) &&
		string(a.Device.Tweaks) == string(b.Device.Tweaks) && (a.Device.Tweaks == nil) == (b.Device.Tweaks == nil) &&
		a.Priority == b.Priority && same(a.Counts.Unread, b.Counts.Unread) && same(a.Counts.MissedCalls, b.Counts.MissedCalls) &&
		same(a.Sealed, b.Sealed) && (a.Event == nil) == (b.Event == nil) && (a.Event == nil || sameEvent(*a.Event, *b.Event))
}

func sameEvent(a, b push.Event) bool {
	return a.ID == b.ID && a.RoomID == b.RoomID && a.Type == b.Type && a.Sender == b.Sender && a.SenderDisplayName == b.SenderDisplayName &&
		a.RoomName == b.RoomName && a.RoomAlias == b.RoomAlias && a.Membership == b.Membership && a.UserIsTarget == b.UserIsTarget &&
		string(a.Content) == string(b.Content) && (a.Content == nil) == (b.Content == nil)
}

func same[T comparable](a, b *T) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func TestPlain_EveryMemberArrives(t *testing.T) {
	t.Parallel()
	const notification = `{"event_id":"e","room_id":"r","type":"t","sender":"s","sender_display_name":"sd","room_name":"rn","room_alias":"ra","user_is_target":true,
		"prio":"low","content":{"c":1},"counts":{"unread":1,"missed_calls":0},"devices":[
		{"app_id":"a1","pushkey":"k1","pushkey_ts":1,"data":{"d":1},"tweaks":{"t":1}},{"app_id":"a2","pushkey":"k2"}]}`
	event := push.Event{
		ID: push.NewText("e"), RoomID: push.NewText("r"), Type: push.NewText("t"), Sender: push.NewText("s"), SenderDisplayName: push.NewText("sd"),
		RoomName: push.NewText("rn"), RoomAlias: push.NewText("ra"), UserIsTarget: true, Content: push.Object(`{"c":1}`),
	}
	want := []push.Notification{
		{Device: push.Device{AppID: "a1", Pushkey: "k1", PushkeyTS: 1, Data: push.Object(`{"d":1}`), Tweaks: push.Object(`{"t":1}`)}},
		{Device: push.Device{AppID: "a2", Pushkey: "k2"}},
	}
	for path, body := range map[string]string{
		pathMatrix: `{"notification":` + notification + `}`,
		pathNotify: `{"notification":` + notification + `}`,
		pathBatch:  `{"notifications":[{"id":"x","notification":` + notification + `}]}`,
	} {
		e := newEdge(t, nil)
		require.Equal(t, http.StatusOK, e.post(path, body).Code)
		require.Len(t, e.gateway.got, 2)
		for i, n := range e.gateway.got {
			w := want[i]
			w.Priority, w.Counts, w.Event = push.Low, push.Counts{Unread: number(1), MissedCalls: number(0)}, &event
			require.True(t, equal(w, n), "%s: device %d differs", path, i)
		}
		require.Same(t, e.gateway.got[0].Event, e.gateway.got[1].Event, "the devices share the event")
	}
}

func TestEncrypted_EveryMemberArrives(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	require.Equal(t, http.StatusOK, e.post(pathEncrypted, `{"notifications":[{"id":"1","notification":{"ciphertext":"`+ciphertext()+`","time_message_encrypted":"2026-07",
		"key_identifier":"5EBB","identifier":"i","prio":"low","counts":{"unread":4},"device":{"app_id":"a","pushkey":"k","pushkey_ts":7,"data":{"format":"f"},"tweaks":{}}}}]}`).Code)
	want := push.Notification{
		Device:   push.Device{AppID: "a", Pushkey: "k", PushkeyTS: 7, Data: push.Object(`{"format":"f"}`), Tweaks: push.Object(`{}`)},
		Priority: push.Low, Counts: push.Counts{Unread: number(4)},
		Sealed: &push.Sealed{Ciphertext: push.NewText(ciphertext()), Month: "2026-07", KeyIdentifier: push.NewText("5EBB"), Identifier: push.NewText("i")},
	}
	require.True(t, equal(want, e.gateway.got[0]))

	require.Equal(t, http.StatusOK, e.post(pathEncrypted, validBody(pathEncrypted)).Code)
	require.Equal(t, push.High, e.gateway.got[0].Priority, "prio may be missing")
	require.False(t, e.gateway.got[0].Sealed.Identifier.Present())
}

func TestCustomMembers_SurviveWithTheirDigits(t *testing.T) {
	t.Parallel()
	const custom = `{"format":"event_id_only","n":1.10,"big":12345678901234567890,"exp":1E5,"neg":-0,"tiny":0.1e-7,"max":9007199254740993,"deep":{"a":[null,true,{"b":"é"}]},"endpoint":"https://push.example/a?b=c"}`
	for _, path := range paths() {
		e := newEdge(t, nil)
		body := strings.Replace(validBody(path), `"app_id"`, `"data":`+custom+`,"tweaks":`+custom+`,"app_id"`, 1)
		if path != pathEncrypted {
			body = strings.Replace(body, `"event_id"`, `"content":`+custom+`,"event_id"`, 1)
			require.Equal(t, http.StatusOK, e.post(path, body).Code)
			require.Equal(t, custom, string(e.gateway.got[0].Event.Content.Bytes()))
		} else {
			require.Equal(t, http.StatusOK, e.post(path, body).Code)
		}
		require.Equal(t, custom, string(e.gateway.got[0].Device.Data.Bytes()))
		require.Equal(t, custom, string(e.gateway.got[0].Device.Tweaks.Bytes()))
	}
}
