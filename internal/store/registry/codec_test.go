package registry_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/registry"
	"github.com/pushgate/pushgate/internal/store/storetest"
)

// facts is the database's memory of its keys.
type facts map[string][]byte

func (f facts) Get(_ context.Context, name string) ([]byte, bool, error) {
	value, ok := f[name]
	return value, ok, nil
}

func (f facts) Put(_ context.Context, name string, value []byte) error {
	f[name] = value
	return nil
}

func newCodec(t *testing.T) registry.Codec {
	t.Helper()
	sealer, err := keyring.Load(keyring.Files{Current: storetest.NewKeyFile(t)}, true, nil)
	require.NoError(t, err)
	hasher, err := keyring.Unlock(t.Context(), sealer, facts{})
	require.NoError(t, err)
	return registry.Codec{Sealer: sealer, Hasher: hasher}
}

func alice() push.Owner { return push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400001"} }

func TestOpen_EveryByteComesBack(t *testing.T) {
	t.Parallel()
	c := newCodec(t)
	full := pushertest.Sample(alice(), "de.example.ios", "key")
	full.Lang = "\xff\x00 no UTF-8"
	full.Created, full.Updated = time.UnixMicro(1_790_000_000_000_001).UTC(), time.UnixMicro(1_790_000_000_000_002).UTC()
	for name, change := range map[string]func(p *pusher.Pusher){
		"full":              func(*pusher.Pusher) {},
		"no profile tag":    func(p *pusher.Pusher) { p.ProfileTag = push.Text{} },
		"empty profile tag": func(p *pusher.Pusher) { p.ProfileTag = push.NewText("") },
		"no session":        func(p *pusher.Pusher) { p.DeviceID = "" },
		"long":              func(p *pusher.Pusher) { p.Data = push.Object(strings.Repeat("x", 1<<16)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := full
			change(&want)
			row := c.Seal(want)
			row.Created, row.Updated = registry.Stamp(want.Created), registry.Stamp(want.Updated)
			got, err := c.Open(row)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestOpen_NothingMovesToAnotherRow(t *testing.T) {
	t.Parallel()
	c := newCodec(t)
	mine := c.Seal(pushertest.Sample(alice(), "app", "key"))
	for name, other := range map[string]registry.Row{
		"person":  c.Seal(pushertest.Sample(push.Owner{Realm: alice().Realm, User: "kvnr:X110400002"}, "app", "key")),
		"realm":   c.Seal(pushertest.Sample(push.Owner{Realm: push.RealmMatrix, User: alice().User}, "app", "key")),
		"pushkey": c.Seal(pushertest.Sample(alice(), "app", "KEY")),
		"app":     c.Seal(pushertest.Sample(alice(), "App", "key")),
	} {
		body, device := other, other
		body.Body, device.Device = mine.Body, mine.Device
		for _, row := range []registry.Row{body, device} {
			_, err := c.Open(row)
			require.ErrorIsf(t, err, keyring.ErrCorrupt, "%s", name)
		}
	}
	swapped := mine
	swapped.Body, swapped.Device = mine.Device, mine.Body
	_, err := c.Open(swapped)
	require.ErrorIs(t, err, keyring.ErrCorrupt)
}

func TestOpenKeys_BelongToPusherAndMonth(t *testing.T) {
	t.Parallel()
	c := newCodec(t)
	want := pushertest.SampleEncryption(t, 7)
	key := c.Key(pusher.Key{Owner: alice(), AppID: "app", Pushkey: "key"})
	month, sealed := c.SealKeys(key, *want)
	got, err := c.OpenKeys(key, month, sealed)
	require.NoError(t, err)
	require.Equal(t, want.KeyID, got.KeyID)
	require.True(t, want.Generation.Equal(got.Generation))

	_, err = c.OpenKeys(key, month+1, sealed)
	require.ErrorIs(t, err, keyring.ErrCorrupt, "an old key under a new month")
	other := c.Key(pusher.Key{Owner: alice(), AppID: "app", Pushkey: "other"})
	_, err = c.OpenKeys(other, month, sealed)
	require.ErrorIs(t, err, keyring.ErrCorrupt, "somebody else's key")
}

func TestStamp_TimesComeBackExactly(t *testing.T) {
	t.Parallel()
	require.Zero(t, registry.Stamp(time.Time{}), "no time is before every update")
	now := time.Now()
	require.Equal(t, registry.Stamp(now), registry.Stamp(registry.Time(registry.Stamp(now))))
}
