package pusher_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// A_27157, A_27158-01: the first key is derived at once, with the month of creation as info although it is long ago, and
// the ISS is kept nowhere.
func TestSet_DerivesTheFirstKeyAndForgetsTheISS(t *testing.T) {
	t.Parallel()
	b := setup(t)
	change := with(gematikChange(), func(c *pusher.Change) { c.Encryption.TimeISSCreated = push.NewText("2023-10") })
	require.NoError(t, b.Set(t.Context(), b.erika, "", change))

	key := one(t, b, b.erika).Key
	require.Nil(t, one(t, b, b.erika).Encryption, "encryption is write-only")
	stored, ok := b.store.Stored(key)
	require.True(t, ok)
	require.Equal(t, "5EBB1486-7430-42C0-B9AA-B57CA6C90EA4", stored.Encryption.KeyID.Reveal(), "echoed byte for byte, in the case it came in")
	g := stored.Encryption.Generation
	require.Equal(t, "2023-10", g.Month().String())
	require.Equal(t,
		"185fed66ea5cabbe00147bbd298b5dab0ed41b57ab254d35897b3a4504306e3b"+"3b4adcd58dea98db8e9cb0f5763fcd04fe932d67926cc04b20ba2a2f304ffff9",
		hex.EncodeToString(g.RevealKeys()), "the published vector")
	require.NotContains(t, hex.EncodeToString(g.RevealKeys())+string(stored.Data), vectorISS)

	// Registering again replaces the chain with the new secret, even with an older month.
	again := with(gematikChange(), func(c *pusher.Change) {
		c.Encryption.TimeISSCreated, c.Encryption.KeyID = push.NewText("2023-09"), push.NewText("another")
	})
	require.NoError(t, b.Set(t.Context(), b.erika, "", again))
	stored, _ = b.store.Stored(key)
	require.Equal(t, "another", stored.Encryption.KeyID.Reveal())
	require.Equal(t, "f099ac874c05856b815ac88a93a628df5fd28b8cddd1a88ce53d7b3a3e3563e6", hex.EncodeToString(stored.Encryption.Generation.RevealKeys()[:32]))
}

// facts/gematik.md 3.3, field by field.
func TestSet_Encryption(t *testing.T) {
	t.Parallel()
	member := func(bend func(*pusher.EncryptionChange)) func(*pusher.Change) {
		return func(c *pusher.Change) { bend(c.Encryption) }
	}
	month := func(text string) func(*pusher.Change) {
		return member(func(e *pusher.EncryptionChange) { e.TimeISSCreated = push.NewText(text) })
	}
	iss := func(text string) func(*pusher.Change) {
		return member(func(e *pusher.EncryptionChange) { e.ISS = push.NewText(text) })
	}
	method := func(text string) func(*pusher.Change) {
		return member(func(e *pusher.EncryptionChange) { e.Method = push.NewText(text) })
	}
	keyID := func(text string) func(*pusher.Change) {
		return member(func(e *pusher.EncryptionChange) { e.KeyID = push.NewText(text) })
	}
	const notAMonth = "encryption.time_iss_created must have the form yyyy-MM"
	const tooFar = "encryption.time_iss_created is too far from today"
	tests := []struct {
		name string
		bend func(*pusher.Change)
		msg  string // empty: accepted
	}{
		{"this month", month("2026-11"), ""},
		{"the phone is in the next month already", month("2026-12"), ""},
		{"the phone's clock is years ahead", month("2030-01"), ""},
		{"a hundred years ago", month("1926-11"), ""},
		{"a month more", month("1926-10"), tooFar},
		{"the year 9999", month("9999-12"), tooFar},
		{"month 13", month("2026-13"), notAMonth},
		{"a date", month("2026-11-01"), notAMonth},
		{"empty month", month(""), notAMonth},
		{"63 digits", iss(vectorISS[1:]), "encryption.iss must be 64 hex digits"},
		{"66 digits", iss(vectorISS + "00"), "encryption.iss must be 64 hex digits"},
		{"Base64", iss("8sobtsfpB9Btr+Rofld/n3azfk6Tt2BQItpS5szCb9I="), "encryption.iss must be 64 hex digits"},
		{"capital digits", iss(strings.ToUpper(vectorISS)), ""},
		{"another method", method("aes-gcm"), "encryption.method must be aes-hmac-sha256"},
		{"method in capitals", method("AES-HMAC-SHA256"), "encryption.method must be aes-hmac-sha256"},
		{"Android's lower case id", keyID("5ebb1486-7430-42c0-b9aa-b57ca6c90ea4"), ""},
		{"not a UUID", keyID("ö"), ""},
		{"empty id", keyID(""), "encryption.key_identifier is empty"},
		{"id with NUL", keyID("\x00"), "encryption.key_identifier holds a character that is not allowed"},
		{"longest id", keyID(strings.Repeat("k", 512)), ""},
		{"id too long for a push", keyID(strings.Repeat("k", 513)), "encryption.key_identifier is longer than 512 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			err := b.Set(t.Context(), b.erika, "", with(gematikChange(), tt.bend))
			if tt.msg == "" {
				require.NoError(t, err)
				return
			}
			requireError(t, err, "M_INVALID_PARAM", tt.msg)
			require.Empty(t, list(t, b, b.erika))
		})
	}
}

func TestSet_EncryptionModes(t *testing.T) {
	t.Parallel()
	with, without := gematikChange(), gematikChange()
	without.Encryption = nil
	tests := []struct {
		mode          pusher.EncryptionMode
		with, without string // the error, empty: accepted
	}{
		{pusher.EncryptionRequired, "", "Missing parameters: encryption"},
		{pusher.EncryptionOptional, "", ""},
		{pusher.EncryptionForbidden, "encryption is not supported here", ""},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *pusher.FachdienstConfig) { c.Encryption = tt.mode })
			for change, msg := range map[*pusher.Change]string{&with: tt.with, &without: tt.without} {
				if err := b.Set(t.Context(), b.erika, "", *change); msg == "" {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, msg)
				}
			}
		})
	}
	// A_28117: deleting needs no encryption in any mode.
	b := setup(t)
	require.NoError(t, b.Set(t.Context(), b.erika, "", pusher.Change{Delete: true, AppID: with.AppID, Pushkey: with.Pushkey}))
}

// facts/gematik.md 3.3: https, path ending in /push/v1/ with the slash; design 5: an allow-list equals data.url exactly.
func TestSet_GematikURL(t *testing.T) {
	t.Parallel()
	const listed = "https://push-gateway.example/push/v1/"
	const path = "data.url must have a path that ends in /push/v1/"
	tests := []struct {
		name, url  string
		open, list string // the error without and with an allow-list, empty: accepted
	}{
		{"the plain path", gematikURL, "", "data.url is not an allowed gateway"},
		{"on the list", listed, "", ""},
		{"on the list without the last slash", strings.TrimSuffix(listed, "/"), path, path},
		{"on the list in other case", "https://Push-Gateway.example/push/v1/", "", "data.url is not an allowed gateway"},
		{"on the list with the port spelled out", "https://push-gateway.example:443/push/v1/", "", "data.url is not an allowed gateway"},
		{"on the list below a prefix", "https://push-gateway.example/x/push/v1/", "", "data.url is not an allowed gateway"},
		{"a prefix", "https://gw.example.com/ios/push/v1/", "", "data.url is not an allowed gateway"},
		{"the former path", "https://gw.example.com/_matrix/push/v1/", "", "data.url is not an allowed gateway"},
		{"the Matrix path", matrixURL, path, path},
		{"an operation", gematikURL + "notifyEncrypted/batch", path, path},
		{"a query", gematikURL + "?x=/push/v1/", "data.url must not have a query", "data.url must not have a query"},
		{"an empty query", gematikURL + "?", "data.url must not have a query", "data.url must not have a query"},
		{"http", "http://gw.example.com/push/v1/", "data.url must be https", "data.url must be https"},
		{"an address", "https://192.168.1.1/push/v1/", "data.url must name a public host", "data.url is not an allowed gateway"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			change := with(gematikChange(), func(c *pusher.Change) { c.Data = push.Object(`{"url":"` + tt.url + `"}`) })
			for msg, gateways := range map[*string][]string{&tt.open: nil, &tt.list: {"https://192.168.9.9:8443/push/v1/", listed}} {
				b := setup(t, func(c *pusher.FachdienstConfig) { c.Gateways = gateways })
				if err := b.Set(t.Context(), b.erika, "", change); *msg == "" {
					require.NoError(t, err)
				} else {
					requireError(t, err, "M_INVALID_PARAM", *msg)
				}
			}
		})
	}
}

// An operator's own list may name hosts that are not public; what is asked for all others is the given check.
func TestSet_AsksWhichHostsArePublic(t *testing.T) {
	t.Parallel()
	var asked []string
	store := &pushertest.Store{}
	config := pusher.DefaultFachdienstConfig()
	config.Gateways = []string{"https://10.0.0.1:8443/push/v1/"}
	s := pusher.New(pusher.Options{Store: store, Fachdienst: config, Location: time.UTC, PublicURL: func(u *url.URL) error {
		asked = append(asked, u.Host)
		if u.Host == "refused.example.org" {
			return errors.New("refused")
		}
		return nil
	}})
	erika := push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X"}
	alice := push.Owner{Realm: push.RealmMatrix, User: "@alice:example.org"}
	at := func(c pusher.Change, u string) pusher.Change {
		c.Data = push.Object(`{"url":"` + u + `"}`)
		return c
	}
	require.NoError(t, s.Set(t.Context(), erika, "", at(gematikChange(), config.Gateways[0])))
	require.Empty(t, asked)
	require.NoError(t, s.Set(t.Context(), alice, "", at(matrixChange(), "https://127.0.0.1:9/_matrix/push/v1/notify")))
	requireError(t, s.Set(t.Context(), alice, "", at(matrixChange(), "https://refused.example.org/_matrix/push/v1/notify")),
		"M_INVALID_PARAM", "data.url must name a public host")
	require.Equal(t, []string{"127.0.0.1:9", "refused.example.org"}, asked)
}

// Nothing of a registration may reach a log or an error text, neither when it is refused nor when it is printed.
func TestSet_LeaksNothing(t *testing.T) {
	t.Parallel()
	const canary = "CANARY"
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	b := setup(t)
	change := gematikChange()
	for _, text := range []*push.Text{
		&change.Pushkey, &change.AppDisplayName, &change.DeviceDisplayName, &change.Lang, &change.ProfileTag, &change.Encryption.KeyID,
	} {
		*text = push.NewText(canary)
	}
	change.Data = push.Object(`{"url":"` + gematikURL + `","x":"` + canary + `"}`)
	require.NoError(t, b.Set(t.Context(), push.Owner{Realm: push.RealmFachdienst, User: canary}, canary, change))
	stored, ok := b.store.Stored(pusher.Key{Owner: push.Owner{Realm: push.RealmFachdienst, User: canary}, AppID: push.AppID(change.AppID.Reveal()), Pushkey: canary})
	require.True(t, ok)
	for _, v := range []any{change, &change, stored, &stored, []pusher.Pusher{stored}, stored.Encryption, *stored.Encryption, stored.Key} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		log.Info("a value", slog.Any("value", v))
	}
	for _, bend := range []func(*pusher.Change){
		func(c *pusher.Change) { c.Data = push.Object(`{"url":"` + canary + `"}`) },
		func(c *pusher.Change) { c.Data = push.Object(canary) },
		func(c *pusher.Change) { c.Data = push.Object(`{"url":"https://` + canary + `%zz/push/v1/"}`) },
		func(c *pusher.Change) { c.Kind = push.NewText(canary) },
		func(c *pusher.Change) { c.Encryption.ISS = push.NewText(canary) },
		func(c *pusher.Change) { c.Encryption.Method = push.NewText(canary) },
		func(c *pusher.Change) { c.Encryption.TimeISSCreated = push.NewText(canary) },
		func(c *pusher.Change) { c.Pushkey = push.NewText(strings.Repeat(canary, 100)) },
	} {
		for err := b.Set(t.Context(), b.erika, "", with(change, bend)); err != nil; err = errors.Unwrap(err) {
			fmt.Fprintf(&out, "%v %+v\n", err, err)
			log.Info("refused", slog.Any("err", err))
		}
	}
	require.NotContains(t, out.String(), canary)
	require.NotContains(t, strings.ToLower(out.String()), hex.EncodeToString([]byte(canary)))
}
