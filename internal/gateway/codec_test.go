package gateway

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func fullEvent() push.Notification {
	return push.Notification{
		Device: push.Device{
			AppID: "com.example.app", Pushkey: "k/+=é\x00", PushkeyTS: 1_750_000_000,
			Data: push.Object(`{"n":1.10,"big":12345678901234567890,"e":1E5}`), Tweaks: push.Object(`{ "sound" : "x" }`),
		},
		Priority: push.Low,
		Counts:   push.Counts{Unread: new(int64(0)), MissedCalls: new(int64(-7))},
		Event: &push.Event{
			ID: push.NewText("$e"), RoomID: push.NewText("!r"), Type: push.NewText(""), Sender: push.NewText("@s"),
			SenderDisplayName: push.NewText("S \u2028"), RoomName: push.Text{}, RoomAlias: push.NewText("#a"), Membership: push.NewText("join"),
			UserIsTarget: true, Content: push.Object(`{"body":"\u0000"}`),
		},
	}
}

func sealedFor(key string) push.Notification {
	return push.Notification{
		Device: push.Device{AppID: "com.example.app", Pushkey: push.Pushkey(key)},
		Sealed: &push.Sealed{Ciphertext: push.NewText("AAAA"), Month: "2026-11", KeyIdentifier: push.NewText("kid"), Identifier: push.Text{}},
	}
}

func TestCodec_RoundTrip(t *testing.T) {
	t.Parallel()
	empty := fullEvent()
	empty.Device.Data, empty.Device.Tweaks, empty.Event.Content = push.Object{}, nil, push.Object("null")
	badge := push.Notification{Device: push.Device{AppID: "a", Pushkey: "k"}, Counts: push.Counts{Unread: new(int64(3))}, Event: &push.Event{ID: push.NewText("")}}
	withID := sealedFor("k")
	withID.Sealed.Identifier = push.NewText("")
	tests := []struct {
		name string
		n    push.Notification
	}{
		{"every field", fullEvent()},
		{"empty differs from absent", empty},
		{"badge only", badge},
		{"sealed", sealedFor("k")},
		{"sealed with empty identifier", withID},
		{"zero", push.Notification{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeNotification(encodeNotification(tt.n))
			require.NoError(t, err)
			require.Equal(t, tt.n, got)
			require.Equal(t, tt.n.Device.Data == nil, got.Device.Data == nil)
		})
	}
}

func TestCodec_RefusesDamage(t *testing.T) {
	t.Parallel()
	good := encodeNotification(fullEvent())
	for cut := range good {
		_, err := decodeNotification(good[:cut])
		require.ErrorIs(t, err, errCodec, "cut at %d", cut)
	}
	_, err := decodeNotification(append(bytes.Clone(good), 0))
	require.ErrorIs(t, err, errCodec, "trailing byte")
	newer := bytes.Clone(good)
	newer[0]++
	_, err = decodeNotification(newer)
	require.ErrorIs(t, err, errNewer)
	flags := bytes.Clone(good)
	flags[1] |= 0x80
	_, err = decodeNotification(flags)
	require.ErrorIs(t, err, errCodec, "unknown flag")
}

func TestCodec_DoesNotAliasTheStoredBytes(t *testing.T) {
	t.Parallel()
	stored := encodeNotification(fullEvent())
	n, err := decodeNotification(stored)
	require.NoError(t, err)
	clear(stored)
	require.Equal(t, fullEvent(), n)
}

// Whatever decodes must encode and decode to the same again: no two stored forms may mean one thing to us and another
// to the next version.
func FuzzCodec(f *testing.F) {
	f.Add(encodeNotification(fullEvent()))
	f.Add(encodeNotification(sealedFor("k")))
	f.Add([]byte{codecVersion, hasEvent | hasSealed})
	f.Fuzz(func(t *testing.T, stored []byte) {
		n, err := decodeNotification(stored)
		if err != nil {
			require.ErrorIs(t, err, errCodec)
			return
		}
		again, err := decodeNotification(encodeNotification(n))
		require.NoError(t, err)
		require.Equal(t, n, again)
	})
}

func BenchmarkCodec(b *testing.B) {
	n := fullEvent()
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = encodeNotification(n)
		}
	})
	stored := encodeNotification(n)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = decodeNotification(stored)
		}
	})
}
