package pusher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// [S] The three verbs of POST pushers/set, chosen by kind.
func TestSet_CreatesUpdatesDeletes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", matrixChange()))
	got := one(t, b, b.alice)
	require.Equal(t, pusher.Key{Owner: b.alice, AppID: "com.example.app.ios", Pushkey: "Xp/MzCt8/9DcSNE9cuiaoT5Ac55job3TdLSSmtmYl4A="}, got.Key)
	require.Equal(t, "http", got.Kind)
	require.Equal(t, "Mat Rix", got.AppDisplayName)
	require.Equal(t, "iPhone 9", got.DeviceDisplayName)
	require.Equal(t, "en", got.Lang)
	require.False(t, got.ProfileTag.Present())
	require.Equal(t, matrixURL, got.URL)
	require.Equal(t, "PHONE", got.DeviceID)

	// [S] An update is a whole replacement: nothing is merged, and what is absent now is gone.
	tagged := with(matrixChange(), func(c *pusher.Change) { c.ProfileTag = push.NewText("xyz") })
	require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", tagged))
	require.Equal(t, "xyz", one(t, b, b.alice).ProfileTag.Reveal())
	replaced := with(matrixChange(), func(c *pusher.Change) {
		c.Lang, c.Data = push.NewText("de"), push.Object(`{"format":"event_id_only","url":"`+matrixURL+`"}`)
	})
	require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", replaced))
	got = one(t, b, b.alice)
	require.Equal(t, "de", got.Lang)
	require.False(t, got.ProfileTag.Present())
	require.Equal(t, string(replaced.Data), string(got.Data))

	// [S] Deleting needs app_id and pushkey only.
	gone := pusher.Change{Delete: true, AppID: matrixChange().AppID, Pushkey: matrixChange().Pushkey}
	require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", gone))
	require.Empty(t, list(t, b, b.alice))
	// Synapse #9121: deleting what is not there is no error.
	require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", gone))
}

// [S] Custom members of data survive, numbers included; [T] sytest 06 sends an unknown format, which must be accepted.
// MSC3881 and MSC4076 are open: their members are custom data.
func TestSet_KeepsDataVerbatim(t *testing.T) {
	t.Parallel()
	b := setup(t)
	data := `{ "format":"id_event_only", "url":"` + matrixURL + `", "n":9007199254740993, "f":1.10, "e":1E5, "Url":"custom",
		"org.matrix.msc4076.disable_badge_count":true, "default_payload":{"aps":{"mutable-content":1,"alert":{"loc-key":"X"}}}, "nul":"\u0000" }`
	require.NoError(t, b.Set(t.Context(), b.alice, "", with(matrixChange(), func(c *pusher.Change) { c.Data = push.Object(data) })))
	require.Equal(t, data, string(one(t, b, b.alice).Data))
}

// [S] M_MISSING_PARAM names the parameters; what is required depends on kind (spec #1321). Dendrite deletes when kind is
// absent: here that is an error and deletes nothing.
func TestSet_NamesMissingParameters(t *testing.T) {
	t.Parallel()
	absent := push.Text{}
	tests := []struct {
		name   string
		change pusher.Change
		fd     bool
		want   string
	}{
		{"the example of the specification", with(matrixChange(), func(c *pusher.Change) { c.Lang, c.Data = absent, nil }), false, "lang, data"},
		{"nothing at all", pusher.Change{}, false, "kind, app_id, app_display_name, device_display_name, pushkey, lang, data"},
		{"kind only", with(matrixChange(), func(c *pusher.Change) { c.Kind = absent }), false, "kind"},
		{"kind, app_id and pushkey only", pusher.Change{Kind: push.NewText("http"), AppID: push.NewText("a"), Pushkey: push.NewText("k")}, false,
			"app_display_name, device_display_name, lang, data"},
		{"deleting without a key", pusher.Change{Delete: true}, false, "app_id, pushkey"},
		{"deleting without a pushkey", pusher.Change{Delete: true, AppID: push.NewText("a")}, false, "pushkey"},
		{"data is null", with(matrixChange(), func(c *pusher.Change) { c.Data = push.Object("null") }), false, "data"},
		{"no data.url", with(matrixChange(), func(c *pusher.Change) { c.Data = push.Object("{}") }), false, "data.url"},
		{"data.url is null", with(matrixChange(), func(c *pusher.Change) { c.Data = push.Object(`{"url":null}`) }), false, "data.url"},
		{"member names are exact", with(matrixChange(), func(c *pusher.Change) { c.Data = push.Object(`{"URL":"` + matrixURL + `"}`) }), false, "data.url"},
		{"E-Rezept demands encryption (A_28116)", with(gematikChange(), func(c *pusher.Change) { c.Encryption = nil }), true, "encryption"},
		{"encryption with nothing in it", with(gematikChange(), func(c *pusher.Change) { c.Encryption = &pusher.EncryptionChange{} }), true,
			"encryption.method, encryption.time_iss_created, encryption.iss, encryption.key_identifier"},
		{"everything at once", with(gematikChange(), func(c *pusher.Change) { c.Lang, c.Encryption.ISS = absent, absent }), true, "lang, encryption.iss"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			owner, before := b.alice, matrixChange()
			if tt.fd {
				owner, before = b.erika, gematikChange()
			}
			require.NoError(t, b.Set(t.Context(), owner, "", before))
			requireError(t, b.Set(t.Context(), owner, "", tt.change), "M_MISSING_PARAM", "Missing parameters: "+tt.want)
			one(t, b, owner) // still there, and only that one
		})
	}
}

// [S] Limits: 512 bytes, 64 characters, https, the path; kinds that nobody serves are refused (design 7).
func TestSet_RefusesWrongValues(t *testing.T) {
	t.Parallel()
	data := func(text string) func(*pusher.Change) { return func(c *pusher.Change) { c.Data = push.Object(text) } }
	url := func(text string) func(*pusher.Change) { return data(`{"url":"` + text + `"}`) }
	pushkey := func(text string) func(*pusher.Change) {
		return func(c *pusher.Change) { c.Pushkey = push.NewText(text) }
	}
	appID := func(text string) func(*pusher.Change) {
		return func(c *pusher.Change) { c.AppID = push.NewText(text) }
	}
	kind := func(text string) func(*pusher.Change) {
		return func(c *pusher.Change) { c.Kind = push.NewText(text) }
	}
	tests := []struct {
		name string
		bend func(*pusher.Change)
		msg  string
	}{
		{"512 bytes are enough, 513 are not", pushkey(strings.Repeat("k", 513)), "pushkey is longer than 512 bytes"},
		{"bytes, not characters", pushkey(strings.Repeat("ö", 257)), "pushkey is longer than 512 bytes"},
		{"empty pushkey (tuwunel #77)", pushkey(""), "pushkey is empty"},
		{"pushkey with NUL", pushkey("a\x00b"), "pushkey holds a character that is not allowed"},
		{"pushkey not UTF-8", pushkey("a\xffb"), "pushkey holds a character that is not allowed"},
		{"65 characters", appID(strings.Repeat("ö", 65)), "app_id is longer than 64 characters"},
		{"empty app_id", appID(""), "app_id is empty"},
		{"app_id with NUL", appID("a\x00"), "app_id holds a character that is not allowed"},
		{"e-mail", kind("email"), "kind must be http or null"},
		{"empty kind", kind(""), "kind must be http or null"},
		{"kind in capitals", kind("HTTP"), "kind must be http or null"},
		{"the word null", kind("null"), "kind must be http or null"},
		{"a word and null at once deletes nothing", func(c *pusher.Change) { c.Kind, c.Delete = push.NewText("email"), true }, "kind must be http or null"},
		{"lang with NUL", func(c *pusher.Change) { c.Lang = push.NewText("\x00") }, "lang holds a character that is not allowed"},
		{"profile_tag not UTF-8", func(c *pusher.Change) { c.ProfileTag = push.NewText("\xff") }, "profile_tag holds a character that is not allowed"},
		{"data is a list", data(`[1]`), "data must be a JSON object"},
		{"data is a text", data(`"` + matrixURL + `"`), "data must be a JSON object"},
		{"data is cut off", data(`{"url":`), "data must be a JSON object"},
		{"url is a number", data(`{"url":1}`), "data.url must be a string"},
		{"url is an object", data(`{"url":{}}`), "data.url must be a string"},
		{"url is empty", url(""), "data.url must be https"},
		{"http", url("http://push.example.org/_matrix/push/v1/notify"), "data.url must be https"},
		{"ftp", url("ftp://push.example.org/_matrix/push/v1/notify"), "data.url must be https"},
		{"no scheme", url("//push.example.org/_matrix/push/v1/notify"), "data.url must be https"},
		{"opaque", url("https:push.example.org/_matrix/push/v1/notify"), "data.url has no host"},
		{"no host", url("https:///_matrix/push/v1/notify"), "data.url has no host"},
		{"only a port", url("https://:443/_matrix/push/v1/notify"), "data.url has no host"},
		{"user name", url("https://u:p@push.example.org/_matrix/push/v1/notify"), "data.url must not hold a user name"},
		{"fragment", url("https://push.example.org/_matrix/push/v1/notify#x"), "data.url must not have a fragment"},
		{"empty fragment", url("https://push.example.org/_matrix/push/v1/notify#"), "data.url must not have a fragment"},
		{"query", url("https://push.example.org/_matrix/push/v1/notify?n=1"), "data.url must not have a query"},
		{"empty query", url("https://push.example.org/_matrix/push/v1/notify?"), "data.url must not have a query"},
		{"not a URL", url("https://push.example.org:port/_matrix/push/v1/notify"), "data.url is not a URL"},
		{"control character", url(`https://push.example.org/\u0000`), "data.url is not a URL"},
		{"the seed's example without a path", url("https://push-gateway.location.here"), "data.url must have the path /_matrix/push/v1/notify"},
		{"a slash too many", url("https://push.example.org/_matrix/push/v1/notify/"), "data.url must have the path /_matrix/push/v1/notify"},
		{"a prefix", url("https://push.example.org/x/_matrix/push/v1/notify"), "data.url must have the path /_matrix/push/v1/notify"},
		{"other case", url("https://push.example.org/_matrix/push/v1/Notify"), "data.url must have the path /_matrix/push/v1/notify"},
		{"escaped", url("https://push.example.org/%5Fmatrix/push/v1/notify"), "data.url must have the path /_matrix/push/v1/notify"},
		{"the gematik path", url(gematikURL), "data.url must have the path /_matrix/push/v1/notify"},
		{"loopback", url("https://127.0.0.1/_matrix/push/v1/notify"), "data.url must name a public host"},
		{"IPv6", url("https://[::1]:8443/_matrix/push/v1/notify"), "data.url must name a public host"},
		{"localhost", url("https://LOCALHOST./_matrix/push/v1/notify"), "data.url must name a public host"},
		{"below localhost", url("https://a.localhost/_matrix/push/v1/notify"), "data.url must name a public host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			// [C] Synapse evicts before it validates: a request that fails must not remove anybody's pusher.
			require.NoError(t, b.Set(t.Context(), b.bob, "", matrixChange()))
			requireError(t, b.Set(t.Context(), b.alice, "", with(matrixChange(), tt.bend)), "M_INVALID_PARAM", tt.msg)
			require.Empty(t, list(t, b, b.alice))
			one(t, b, b.bob)
		})
	}
}

// What must pass although somebody might want to refuse it.
func TestSet_AcceptsTheEdges(t *testing.T) {
	t.Parallel()
	for name, bend := range map[string]func(*pusher.Change){
		"512 bytes of pushkey":       func(c *pusher.Change) { c.Pushkey = push.NewText(strings.Repeat("ö", 256)) },
		"64 characters of app_id":    func(c *pusher.Change) { c.AppID = push.NewText(strings.Repeat("ö", 64)) },
		"every separator in a key":   func(c *pusher.Change) { c.Pushkey = push.NewText(" a/b+c=:%2F?# ") },
		"empty names":                func(c *pusher.Change) { c.AppDisplayName, c.DeviceDisplayName = push.NewText(""), push.NewText("") },
		"a long lang (Synapse 1925)": func(c *pusher.Change) { c.Lang = push.NewText(strings.Repeat("x", 300)) },
		"a port": func(c *pusher.Change) {
			c.Data = push.Object(`{"url":"https://push.example.org:8443/_matrix/push/v1/notify"}`)
		},
		"scheme in capitals": func(c *pusher.Change) {
			c.Data = push.Object(`{"url":"HTTPS://push.example.org/_matrix/push/v1/notify"}`)
		},
		"escaped slashes": func(c *pusher.Change) {
			c.Data = push.Object(`{"url":"https:\/\/push.example.org\/_matrix\/push\/v1\/notify"}`)
		},
		"a foreign encryption": func(c *pusher.Change) { c.Encryption = &pusher.EncryptionChange{Method: push.NewText("?")} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			require.NoError(t, b.Set(t.Context(), b.alice, "", with(matrixChange(), bend)))
			require.Nil(t, one(t, b, b.alice).Encryption)
		})
	}
}

// [S] append: false or absent removes the exact pair of other users, true leaves it. It never doubles one's own.
func TestSet_Append(t *testing.T) {
	t.Parallel()
	b := setup(t)
	appending := with(matrixChange(), func(c *pusher.Change) { c.Append = true })
	otherApp := with(matrixChange(), func(c *pusher.Change) { c.AppID = push.NewText("com.example.app.other") })
	otherKey := with(matrixChange(), func(c *pusher.Change) { c.Pushkey = push.NewText("other") })
	for _, c := range []pusher.Change{matrixChange(), otherApp, otherKey} {
		require.NoError(t, b.Set(t.Context(), b.alice, "", c))
	}

	for range 2 {
		require.NoError(t, b.Set(t.Context(), b.bob, "", appending))
	}
	require.Len(t, list(t, b, b.alice), 3, "append leaves others alone")
	require.Len(t, list(t, b, b.bob), 1, "and does not double one's own")

	// Deleting ignores append: only the caller's own goes, whatever it says.
	require.NoError(t, b.Set(t.Context(), b.bob, "", pusher.Change{Delete: true, AppID: appending.AppID, Pushkey: appending.Pushkey}))
	require.Empty(t, list(t, b, b.bob))
	require.Len(t, list(t, b, b.alice), 3)

	require.NoError(t, b.Set(t.Context(), b.bob, "", matrixChange()))
	left := list(t, b, b.alice)
	require.Len(t, left, 2, "only the exact pair is evicted")
	for _, p := range left {
		require.False(t, p.AppID == "com.example.app.ios" && p.Pushkey.Reveal() == matrixChange().Pushkey.Reveal())
	}
}

// The same triple in both realms is two pushers, and evicting does not cross.
func TestSet_RealmsDoNotMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fd := gematikChange()
	require.NoError(t, b.Set(t.Context(), b.erika, "", fd))
	mx := with(matrixChange(), func(c *pusher.Change) { c.AppID, c.Pushkey = fd.AppID, fd.Pushkey })
	require.NoError(t, b.Set(t.Context(), b.alice, "", mx))
	one(t, b, b.erika)
	one(t, b, b.alice)
}

// Half an owner can only be a mistake of ours. It is an internal error and reaches nobody's pushers.
func TestService_NeedsAWholeOwner(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.Set(t.Context(), b.alice, "", matrixChange()))
	for name, owner := range map[string]push.Owner{
		"nothing": {}, "no realm": {User: b.alice.User}, "no user": {Realm: push.RealmMatrix}, "another realm": {Realm: "x", User: b.alice.User},
	} {
		_, err := b.List(t.Context(), owner)
		require.Equalf(t, push.Internal, push.KindOf(err), "%s", name)
		require.Error(t, b.Set(t.Context(), owner, "", matrixChange()))
		_, err = b.Channels(t.Context(), owner, "k")
		require.Error(t, err)
		require.Error(t, b.SetChannels(t.Context(), owner, "k", nil))
		_, err = b.Delete(t.Context(), owner, "")
		require.Error(t, err)
	}
	_, err := b.RemoveRejected(t.Context(), pusher.Rejected{})
	require.Error(t, err)
	one(t, b, b.alice)
}

// A database that is away is "try later", never "your request was wrong", and its words stay inside.
func TestService_StoreAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.Fail(errors.New("dial tcp 10.0.0.1: secret"))
	_, err := b.List(t.Context(), b.alice)
	calls := map[string]error{"list": err}
	calls["set"] = b.Set(t.Context(), b.alice, "", matrixChange())
	calls["delete"] = b.Set(t.Context(), b.alice, "", pusher.Change{Delete: true, AppID: push.NewText("a"), Pushkey: push.NewText("k")})
	_, calls["channels"] = b.Channels(t.Context(), b.erika, "k")
	calls["set channels"] = b.SetChannels(t.Context(), b.erika, "k", nil)
	_, calls["delete owner"] = b.Delete(t.Context(), b.alice, "")
	_, calls["rejected"] = b.RemoveRejected(t.Context(), pusher.Rejected{Realm: push.RealmMatrix})
	for name, err := range calls {
		var e *push.Error
		require.ErrorAsf(t, err, &e, "%s", name)
		require.Equalf(t, push.Unavailable, e.Kind, "%s", name)
		require.Positive(t, e.RetryAfter)
		require.NotContains(t, err.Error(), "secret")
	}
	b.store.Fail(context.Canceled)
	require.ErrorIs(t, b.Set(t.Context(), b.alice, "", matrixChange()), context.Canceled)
}

func list(t *testing.T, b bundle, owner push.Owner) []pusher.Pusher {
	t.Helper()
	all, err := b.List(t.Context(), owner)
	require.NoError(t, err)
	return all
}

func one(t *testing.T, b bundle, owner push.Owner) pusher.Pusher {
	t.Helper()
	all := list(t, b, owner)
	require.Len(t, all, 1)
	return all[0]
}

// One person must not be able to fill the disk, nor make one event a million notifications.
func TestSet_OnePersonHasOnlySoMany(t *testing.T) {
	t.Parallel()
	b := setup(t)
	number := func(n int) pusher.Change {
		return with(matrixChange(), func(c *pusher.Change) { c.Pushkey = push.NewText(fmt.Sprint("key ", n)) })
	}
	const most = 500
	for n := range most {
		require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", number(n)))
	}
	require.NoError(t, b.Set(t.Context(), b.bob, "PHONE", number(most)), "another person's count is their own")
	requireError(t, b.Set(t.Context(), b.alice, "PHONE", number(most)), "M_INVALID_PARAM", "there are 500 pushers already: delete one that is not needed")
	require.Len(t, list(t, b, b.bob), 1, "who is refused evicts nobody")
	require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", number(7)), "what is there can be updated")
	require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", with(number(7), func(c *pusher.Change) { c.Delete, c.Kind = true, push.Text{} })))
	require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", number(most)))
	require.Len(t, list(t, b, b.alice), most)
}
