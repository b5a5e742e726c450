package pushertest

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

func exactKeys(t *testing.T, s Subject) {
	keys := []struct {
		app push.AppID
		key push.Pushkey
	}{
		{"a:b", "c"}, {"a", "b:c"}, {"a", "B:C"}, {"A", "b:c"},
		{"a", "e\u0301"}, {"a", "\u00e9"}, // é in two normal forms
		{"a", " k"}, {"a", "k "}, {"a", "k"}, {"a", "a/b+c==%2F"}, {"a", "%"}, {"a", "_"}, {"a", "'\";--"},
		{"a", push.Pushkey(strings.Repeat("ö", 256))}, {push.AppID(strings.Repeat("ö", 64)), "k"},
	}
	for _, k := range keys {
		set(t, s, Sample(alice(), k.app, k.key))
	}
	require.Len(t, list(t, s, alice()), len(keys))
	for i, k := range keys {
		key := pusher.Key{Owner: alice(), AppID: k.app, Pushkey: k.key}
		there, err := s.Store.DeletePusher(t.Context(), key)
		require.NoError(t, err)
		require.Truef(t, there, "key %d", i)
		require.Len(t, list(t, s, alice()), len(keys)-i-1)
	}
}

func evict(t *testing.T, s Subject) {
	carol := push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400003"}
	set(t, s, Sample(alice(), "app", "key"))
	set(t, s, Sample(bob(), "app", "key"))
	set(t, s, Sample(bob(), "app", "other key"))
	set(t, s, Sample(bob(), "other app", "key"))
	require.Len(t, list(t, s, alice()), 1, "without Evict everybody stays")

	require.NoError(t, s.Store.SetPusher(t.Context(), pusher.Registration{Pusher: Sample(carol, "app", "key"), Evict: true}))
	require.Empty(t, list(t, s, alice()))
	require.Len(t, list(t, s, bob()), 2, "only the exact pair goes")
	require.Len(t, list(t, s, carol), 1)

	require.NoError(t, s.Store.SetPusher(t.Context(), pusher.Registration{Pusher: Sample(carol, "app", "key"), Evict: true}))
	require.Len(t, list(t, s, carol), 1, "nobody evicts themselves")
}

func realms(t *testing.T, s Subject) {
	fd := push.Owner{Realm: push.RealmFachdienst, User: "@a:example.org"}
	mx := push.Owner{Realm: push.RealmMatrix, User: "@a:example.org"}
	set(t, s, Sample(fd, "app", "key"))
	set(t, s, Sample(mx, "app", "key"))
	on := map[string]pusher.ChannelStatus{"c": pusher.ChannelEnabled}
	require.NoError(t, s.Store.ChooseChannels(t.Context(), fd, "key", on))
	got, err := s.Store.ListChoices(t.Context(), mx, "key")
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Empty(t, got[0])

	other := push.Owner{Realm: push.RealmMatrix, User: "@b:example.org"}
	require.NoError(t, s.Store.SetPusher(t.Context(), pusher.Registration{Pusher: Sample(other, "app", "key"), Evict: true}))
	require.Empty(t, list(t, s, mx))
	require.Len(t, list(t, s, fd), 1, "evicting does not cross")

	n, err := s.Store.DeleteOwner(t.Context(), push.Owner{Realm: push.RealmMatrix, User: fd.User}, "")
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = s.Store.DeleteRejected(t.Context(), pusher.Rejected{
		Realm: push.RealmMatrix, Pushkey: "key", URL: Sample(fd, "", "").URL, Since: time.Now().Add(time.Hour),
	})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Len(t, list(t, s, fd), 1, "rejecting does not cross")
	there, err := s.Store.DeletePusher(t.Context(), pusher.Key{Owner: push.Owner{User: fd.User}, AppID: "app", Pushkey: "key"})
	require.NoError(t, err)
	require.False(t, there, "no realm owns nothing")
}

func deletePusher(t *testing.T, s Subject) {
	p := Sample(alice(), "app", "key")
	set(t, s, p)
	set(t, s, Sample(bob(), "app", "key"))
	require.NoError(t, s.Store.ChooseChannels(t.Context(), alice(), "key", map[string]pusher.ChannelStatus{"c": pusher.ChannelEnabled}))
	for _, want := range []bool{true, false} {
		there, err := s.Store.DeletePusher(t.Context(), p.Key)
		require.NoError(t, err)
		require.Equal(t, want, there)
	}
	require.Len(t, list(t, s, bob()), 1)
	set(t, s, p)
	require.Equal(t, []map[string]pusher.ChannelStatus{{}}, chosen(t, s, alice(), "key"), "choices went with the pusher (A_27197)")
}

func choices(t *testing.T, s Subject) {
	set(t, s, Sample(alice(), "app", "key"))
	set(t, s, Sample(bob(), "app", "key"))
	require.Equal(t, []map[string]pusher.ChannelStatus{{}}, chosen(t, s, alice(), "key"))
	want := map[string]pusher.ChannelStatus{}
	for _, change := range []map[string]pusher.ChannelStatus{
		{"a": pusher.ChannelEnabled, "b": pusher.ChannelDisabled, "A": pusher.ChannelEnabled},
		{"b": pusher.ChannelEnabled, "c": pusher.ChannelNotSet},
		{"a": pusher.ChannelNotSet},
		{},
	} {
		require.NoError(t, s.Store.ChooseChannels(t.Context(), alice(), "key", change))
		for id, status := range change {
			want[id] = status
		}
		require.Equal(t, []map[string]pusher.ChannelStatus{want}, chosen(t, s, alice(), "key"))
	}
	set(t, s, Sample(alice(), "app", "key"))
	require.Equal(t, []map[string]pusher.ChannelStatus{want}, chosen(t, s, alice(), "key"), "an update keeps them")
	require.Equal(t, []map[string]pusher.ChannelStatus{{}}, chosen(t, s, bob(), "key"))
}

func severalApps(t *testing.T, s Subject) {
	set(t, s, Sample(alice(), "one", "key"))
	on := map[string]pusher.ChannelStatus{"c": pusher.ChannelEnabled}
	require.NoError(t, s.Store.ChooseChannels(t.Context(), alice(), "key", on))
	set(t, s, Sample(alice(), "two", "key"))
	require.ElementsMatch(t, []map[string]pusher.ChannelStatus{on, {}}, chosen(t, s, alice(), "key"))
	off := map[string]pusher.ChannelStatus{"c": pusher.ChannelDisabled}
	require.NoError(t, s.Store.ChooseChannels(t.Context(), alice(), "key", off))
	require.Equal(t, []map[string]pusher.ChannelStatus{off, off}, chosen(t, s, alice(), "key"))
}

func choiceWithoutPusher(t *testing.T, s Subject) {
	set(t, s, Sample(bob(), "app", "key"))
	for _, change := range []map[string]pusher.ChannelStatus{{"c": pusher.ChannelEnabled}, {}} {
		require.ErrorIs(t, s.Store.ChooseChannels(t.Context(), alice(), "key", change), pusher.ErrUnknownPushkey)
	}
	require.Empty(t, chosen(t, s, alice(), "key"))
	require.Equal(t, []map[string]pusher.ChannelStatus{{}}, chosen(t, s, bob(), "key"))
}

func deleteOwner(t *testing.T, s Subject) {
	for key, device := range map[push.Pushkey]string{"1": "A", "2": "A", "3": "B", "4": ""} {
		p := Sample(alice(), "app", key)
		p.DeviceID = device
		set(t, s, p)
	}
	set(t, s, Sample(bob(), "app", "5"))
	for _, step := range []struct {
		device string
		want   int
	}{{"A", 2}, {"A", 0}, {"C", 0}, {"", 2}, {"", 0}} {
		n, err := s.Store.DeleteOwner(t.Context(), alice(), step.device)
		require.NoError(t, err)
		require.Equal(t, step.want, n)
	}
	require.Len(t, list(t, s, bob()), 1)
}

// The worst bug there is: a pusher that was registered again while the request was under way is not the one that was
// rejected.
func rejectedRenewed(t *testing.T, s Subject) {
	p := Sample(alice(), "app", "key")
	set(t, s, p)
	sent := only(t, s, alice())
	set(t, s, p)
	r := pusher.Rejected{Realm: alice().Realm, Pushkey: "key", URL: p.URL, AppID: "app", User: alice().User, Since: sent.Updated}
	n, err := s.Store.DeleteRejected(t.Context(), r)
	require.NoError(t, err)
	require.Zero(t, n)

	r.Since = only(t, s, alice()).Updated
	n, err = s.Store.DeleteRejected(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, list(t, s, alice()))
}

func rejectedNarrow(t *testing.T, s Subject) {
	since := time.Now().Add(time.Hour)
	fill := func() pusher.Rejected {
		for _, p := range []pusher.Pusher{Sample(alice(), "app", "key"), Sample(alice(), "other", "key"), Sample(bob(), "app", "key")} {
			set(t, s, p)
		}
		return pusher.Rejected{Realm: push.RealmFachdienst, Pushkey: "key", URL: Sample(alice(), "", "").URL, Since: since}
	}
	for _, tt := range []struct {
		name       string
		narrow     func(*pusher.Rejected)
		alice, bob int // what is left
	}{
		{"another gateway", func(r *pusher.Rejected) { r.URL = "https://evil.example.com/push/v1/" }, 2, 1},
		{"another pushkey", func(r *pusher.Rejected) { r.Pushkey = "KEY" }, 2, 1},
		{"no time", func(r *pusher.Rejected) { r.Since = time.Time{} }, 2, 1},
		{"one person's app", func(r *pusher.Rejected) { r.AppID, r.User = "app", alice().User }, 1, 1},
		{"one app", func(r *pusher.Rejected) { r.AppID = "app" }, 1, 0},
		{"one person", func(r *pusher.Rejected) { r.User = alice().User }, 0, 1},
		{"a key that was not part of the request", func(*pusher.Rejected) {}, 0, 0},
	} {
		r := fill()
		tt.narrow(&r)
		n, err := s.Store.DeleteRejected(t.Context(), r)
		require.NoErrorf(t, err, "%s", tt.name)
		require.Equalf(t, 3-tt.alice-tt.bob, n, "%s", tt.name)
		require.Lenf(t, list(t, s, alice()), tt.alice, "%s", tt.name)
		require.Lenf(t, list(t, s, bob()), tt.bob, "%s", tt.name)
	}
}

func concurrentSets(t *testing.T, s Subject) {
	atOnce(16, func(int) error {
		return s.Store.SetPusher(t.Context(), pusher.Registration{Pusher: Sample(alice(), "app", "key"), Evict: true})
	}, func(err error) { require.NoError(t, err) })
	only(t, s, alice())
}

func concurrentEvict(t *testing.T, s Subject) {
	for round := range 10 {
		owners := []push.Owner{alice(), bob()}
		atOnce(8, func(i int) error {
			return s.Store.SetPusher(t.Context(), pusher.Registration{Pusher: Sample(owners[i%2], "app", "key"), Evict: true})
		}, func(err error) { require.NoError(t, err) })
		require.Lenf(t, append(list(t, s, alice()), list(t, s, bob())...), 1, "round %d", round)
	}
}

func concurrentDelete(t *testing.T, s Subject) {
	p := Sample(alice(), "app", "key")
	on := map[string]pusher.ChannelStatus{"c": pusher.ChannelEnabled}
	for range 10 {
		set(t, s, p)
		atOnce(6, func(i int) error {
			if i%2 == 0 {
				return s.Store.ChooseChannels(t.Context(), alice(), "key", on)
			}
			_, err := s.Store.DeletePusher(t.Context(), p.Key)
			return err
		}, func(err error) {
			require.True(t, err == nil || errors.Is(err, pusher.ErrUnknownPushkey), "either it was there or it was not")
		})
		require.Empty(t, list(t, s, alice()))
		set(t, s, p)
		require.Equal(t, []map[string]pusher.ChannelStatus{{}}, chosen(t, s, alice(), "key"))
	}
}

func chosen(t *testing.T, s Subject, owner push.Owner, key push.Pushkey) []map[string]pusher.ChannelStatus {
	t.Helper()
	got, err := s.Store.ListChoices(t.Context(), owner, key)
	require.NoError(t, err)
	return got
}

// atOnce runs n calls together and checks their errors afterwards, on the test's own goroutine.
func atOnce(n int, call func(i int) error, check func(error)) {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		check(err)
	}
}
