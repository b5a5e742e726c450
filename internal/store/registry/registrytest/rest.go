package registrytest

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// secret is in every value that must not be readable at rest.
const secret = "canary-7d21"

func full(t *testing.T, realm push.Realm) pusher.Pusher {
	p := pushertest.Sample(push.Owner{Realm: realm, User: secret + "-user"}, "com.example.readable", secret+"-pushkey")
	p.AppDisplayName, p.DeviceDisplayName, p.Lang, p.DeviceID = secret+"-app", secret+"-device", secret+"-lang", secret+"-session"
	p.ProfileTag, p.URL = push.NewText(secret+"-tag"), "https://"+secret+".example.com/push/v1/"
	p.Data = push.Object(`{"url":"` + p.URL + `","custom":"` + secret + `"}`)
	keys := []byte(secret + strings.Repeat("k", monthkey.KeysSize))[:monthkey.KeysSize]
	generation, err := monthkey.RestoreGeneration(pushertest.SampleEncryption(t, 1).Generation.Month(), keys)
	require.NoError(t, err)
	p.Encryption = &pusher.Encryption{KeyID: push.NewText(secret + "-key"), Generation: generation}
	return p
}

// Sealed checks that nothing personal can be read in what raw returns: all bytes that the store keeps,
// or a listing that shows them in hex.
func Sealed(t *testing.T, s pusher.Store, o dispatch.Store, raw func(t *testing.T) []byte) {
	t.Helper()
	for _, realm := range []push.Realm{push.RealmFachdienst, push.RealmMatrix} {
		p := full(t, realm)
		for range 2 { // registered, and updated
			require.NoError(t, s.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
		}
		require.NoError(t, s.ChooseChannels(t.Context(), p.Owner, p.Pushkey, map[string]pusher.ChannelStatus{"c": pusher.ChannelEnabled}))
	}
	Held(t, s, o)
	all := raw(t)
	require.True(t, bytes.Contains(all, []byte("com.example.readable")), "the place that was searched is the right one")
	for name, text := range map[string]string{"a member": secret, "a key": strings.Repeat("k", monthkey.KeysSize/2)} {
		require.Falsef(t, bytes.Contains(all, []byte(text)), "%s lies in the open", name)
		require.Falsef(t, bytes.Contains(all, []byte(hex.EncodeToString([]byte(text)))), "%s lies in the open, in hex", name)
	}
}

// Restarted checks that everything is there after a restart, and found by the same hashes.
func Restarted(t *testing.T, s pusher.Store, restart func(t *testing.T) pusher.Store) {
	t.Helper()
	p := full(t, push.RealmFachdienst)
	on := map[string]pusher.ChannelStatus{"a": pusher.ChannelEnabled, "b": pusher.ChannelDisabled, "c": pusher.ChannelNotSet}
	require.NoError(t, s.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
	require.NoError(t, s.ChooseChannels(t.Context(), p.Owner, p.Pushkey, on))
	before, err := s.ListPushers(t.Context(), p.Owner)
	require.NoError(t, err)

	s = restart(t)
	after, err := s.ListPushers(t.Context(), p.Owner)
	require.NoError(t, err)
	require.Equal(t, before, after)
	choices, err := s.ListChoices(t.Context(), p.Owner, p.Pushkey)
	require.NoError(t, err)
	require.Equal(t, []map[string]pusher.ChannelStatus{on}, choices)
	n, err := s.DeleteOwner(t.Context(), p.Owner, p.DeviceID)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
