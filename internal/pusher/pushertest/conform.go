package pushertest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Subject is one implementation under test, with an empty registry.
type Subject struct {
	Store pusher.Store
	// Encryption reads the key chain of a pusher, which the port itself never returns; nil when it has none. A nil
	// function leaves key chains unchecked.
	Encryption func(t *testing.T, key pusher.Key) *pusher.Encryption
}

// Conform checks an implementation of pusher.Store. Each case opens an empty registry of its own.
func Conform(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	for name, run := range map[string]func(*testing.T, Subject){
		"a new pusher is listed as it was registered":           newPusher,
		"the list is the owner's, oldest first":                 listOrder,
		"an update replaces the whole pusher":                   update,
		"an update keeps the session unless there was none":     updateSession,
		"an update later than the one before, always":           updateStamps,
		"a key chain is replaced, and removed":                  chainReplaced,
		"keys are tuples of exact bytes":                        exactKeys,
		"evict takes exactly the pair of other users":           evict,
		"realms do not meet":                                    realms,
		"delete takes one pusher with everything that is on it": deletePusher,
		"choices add up and survive updates":                    choices,
		"a pushkey of several apps":                             severalApps,
		"no choice without a pusher":                            choiceWithoutPusher,
		"a logout takes the session, an erasure the person":     deleteOwner,
		"rejected takes what was not renewed":                   rejectedRenewed,
		"rejected takes no more than it says":                   rejectedNarrow,
		"sets of one pusher at once leave one":                  concurrentSets,
		"users who race for a pair leave one":                   concurrentEvict,
		"choices and deletions at once leave nothing behind":    concurrentDelete,
		"a cancelled caller changes nothing":                    cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

// Sample returns a pusher with every member set. Tests change what they are about.
func Sample(owner push.Owner, app push.AppID, key push.Pushkey) pusher.Pusher {
	return pusher.Pusher{
		Key:               pusher.Key{Owner: owner, AppID: app, Pushkey: key},
		Kind:              pusher.KindHTTP,
		AppDisplayName:    "E-Rezept",
		DeviceDisplayName: "Jürgen's iPhone 🦊",
		Lang:              "de-DE",
		ProfileTag:        push.NewText("xyz"),
		Data:              push.Object(`{"url":"https://gw.example.com/push/v1/", "custom":{"n":9007199254740993,"f":1.10,"e":1E5}, "nul":"\u0000"}`),
		URL:               "https://gw.example.com/push/v1/",
		DeviceID:          "SESSION",
	}
}

// SampleEncryption returns a key chain that differs with its number.
func SampleEncryption(t *testing.T, number byte) *pusher.Encryption {
	t.Helper()
	month, err := monthkey.ParseMonth("2026-11")
	require.NoError(t, err)
	keys := make([]byte, monthkey.KeysSize)
	keys[0] = number
	g, err := monthkey.RestoreGeneration(month, keys)
	require.NoError(t, err)
	return &pusher.Encryption{KeyID: push.NewText("5EBB1486-7430-42C0-B9AA-B57CA6C90EA4"), Generation: g}
}

// Alice and Bob are two people of one realm.
func alice() push.Owner { return push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400001"} }
func bob() push.Owner   { return push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400002"} }

func set(t *testing.T, s Subject, p pusher.Pusher) {
	t.Helper()
	require.NoError(t, s.Store.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
}

func list(t *testing.T, s Subject, owner push.Owner) []pusher.Pusher {
	t.Helper()
	all, err := s.Store.ListPushers(t.Context(), owner)
	require.NoError(t, err)
	return all
}

func only(t *testing.T, s Subject, owner push.Owner) pusher.Pusher {
	t.Helper()
	all := list(t, s, owner)
	require.Len(t, all, 1)
	return all[0]
}

// same compares what was registered with what is listed; the store owns the times, and Encryption is write-only.
func same(t *testing.T, want, got pusher.Pusher) {
	t.Helper()
	want.Created, want.Updated, got.Created, got.Updated = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	want.Encryption = nil
	require.True(t, want.Key == got.Key, "key")
	require.Equal(t, string(want.Data), string(got.Data))
	require.Equal(t, want, got)
}

func newPusher(t *testing.T, s Subject) {
	require.Empty(t, list(t, s, alice()))
	full := Sample(alice(), "de.example.ios", "key")
	full.Encryption = SampleEncryption(t, 1)
	before := time.Now().Add(-time.Minute)
	set(t, s, full)
	got := only(t, s, alice())
	same(t, full, got)
	require.Nil(t, got.Encryption, "encryption is write-only")
	require.Equal(t, got.Created, got.Updated)
	require.WithinRange(t, got.Created, before, time.Now().Add(time.Minute))

	bare := pusher.Pusher{
		Key: pusher.Key{Owner: bob(), AppID: "a", Pushkey: "k"}, Kind: pusher.KindHTTP,
		Data: push.Object(`{"url":"https://gw.example.com/push/v1/"}`), URL: "https://gw.example.com/push/v1/",
	}
	set(t, s, bare)
	same(t, bare, only(t, s, bob()))

	bare.ProfileTag = push.NewText("")
	set(t, s, bare)
	require.True(t, only(t, s, bob()).ProfileTag.Present(), "an empty profile_tag is not an absent one")
}

func listOrder(t *testing.T, s Subject) {
	want := []push.AppID{"z", "a", "m"}
	for _, app := range want {
		set(t, s, Sample(alice(), app, "key"))
		set(t, s, Sample(bob(), app, "key"))
	}
	set(t, s, Sample(alice(), "z", "key")) // an update does not move it
	var got []push.AppID
	last := time.Time{}
	for _, p := range list(t, s, alice()) {
		require.Equal(t, alice(), p.Owner)
		require.False(t, p.Created.Before(last))
		last = p.Created
		got = append(got, p.AppID)
	}
	require.ElementsMatch(t, want, got)
}

func update(t *testing.T, s Subject) {
	set(t, s, Sample(alice(), "app", "key"))
	first := only(t, s, alice())
	changed := pusher.Pusher{
		Key: first.Key, Kind: pusher.KindHTTP, AppDisplayName: "B", DeviceDisplayName: "C", Lang: "en", DeviceID: "SESSION",
		Data: push.Object(`{"url":"https://other.example.com/push/v1/"}`), URL: "https://other.example.com/push/v1/",
	}
	set(t, s, changed)
	got := only(t, s, alice())
	same(t, changed, got)
	require.Equal(t, first.Created, got.Created)
	require.True(t, got.Updated.After(first.Updated))
}

func updateSession(t *testing.T, s Subject) {
	p := Sample(alice(), "app", "key")
	p.DeviceID = ""
	set(t, s, p)
	p.DeviceID = "A"
	set(t, s, p)
	require.Equal(t, "A", only(t, s, alice()).DeviceID)
	for _, device := range []string{"B", ""} {
		p.DeviceID = device
		set(t, s, p)
		require.Equal(t, "A", only(t, s, alice()).DeviceID)
	}
}

// Whoever holds an Updated must be able to tell that the pusher was registered again, however soon that was.
func updateStamps(t *testing.T, s Subject) {
	last := time.Time{}
	for range 50 {
		set(t, s, Sample(alice(), "app", "key"))
		got := only(t, s, alice()).Updated
		require.True(t, got.After(last))
		last = got
	}
}

func chainReplaced(t *testing.T, s Subject) {
	if s.Encryption == nil {
		t.Log("this subject does not show key chains")
		return
	}
	p := Sample(alice(), "app", "key")
	other := Sample(bob(), "app", "key")
	other.Encryption = SampleEncryption(t, 9)
	set(t, s, other)
	for _, number := range []byte{1, 2, 1} {
		p.Encryption = SampleEncryption(t, number)
		set(t, s, p)
		got := s.Encryption(t, p.Key)
		require.NotNil(t, got)
		require.True(t, got.Generation.Equal(p.Encryption.Generation))
		require.Equal(t, p.Encryption.KeyID, got.KeyID)
	}
	p.Encryption = nil
	set(t, s, p)
	require.Nil(t, s.Encryption(t, p.Key))
	require.NotNil(t, s.Encryption(t, other.Key))
}

func cancelled(t *testing.T, s Subject) {
	p := Sample(alice(), "app", "key")
	set(t, s, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.Lang = "changed"
	require.Error(t, s.Store.SetPusher(ctx, pusher.Registration{Pusher: p}))
	_, err := s.Store.DeletePusher(ctx, p.Key)
	require.Error(t, err)
	_, err = s.Store.ListPushers(ctx, alice())
	require.Error(t, err)
	require.Error(t, s.Store.ChooseChannels(ctx, alice(), "key", map[string]pusher.ChannelStatus{"c": pusher.ChannelEnabled}))
	_, err = s.Store.DeleteOwner(ctx, alice(), "")
	require.Error(t, err)
	require.Equal(t, "de-DE", only(t, s, alice()).Lang)
}
