package pusher_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Whatever an app sends is accepted or refused as its own mistake; it is never ours, and what was accepted is kept whole.
func FuzzSet(f *testing.F) {
	f.Add("http", "app", "key", `{"url":"`+matrixURL+`","n":9007199254740993}`, "2026-07", vectorISS, "id")
	f.Add("http", "app", "key", `{"url":"`+gematikURL+`"}`, "2026-07", vectorISS, "id")
	f.Add("email", "", "\x00", `{"url":null}`, "9999-12", "zz", "")
	f.Add("http", "a", "k", `{"url":"https://[::1%25eth0]/push/v1/"}`, "0001-01", vectorISS, "\xff")
	f.Add("http", "a", "k", `{"url":"https://a\u0000/push/v1/","url":"x"}`, "2026-13", vectorISS, "k")
	f.Fuzz(func(t *testing.T, kind, app, key, data, month, iss, id string) {
		b := setup(t)
		for _, owner := range []push.Owner{b.alice, b.erika} {
			change := pusher.Change{
				Kind: push.NewText(kind), AppID: push.NewText(app), Pushkey: push.NewText(key),
				AppDisplayName: push.NewText(id), DeviceDisplayName: push.NewText(id), Lang: push.NewText(month), Data: push.Object(data),
				Encryption: &pusher.EncryptionChange{
					Method: push.NewText("aes-hmac-sha256"), TimeISSCreated: push.NewText(month), ISS: push.NewText(iss), KeyID: push.NewText(id),
				},
			}
			if err := b.Set(t.Context(), owner, "", change); err != nil {
				require.Equal(t, push.Invalid, push.KindOf(err))
				require.Empty(t, list(t, b, owner))
				continue
			}
			got := one(t, b, owner)
			require.Equal(t, data, string(got.Data))
			require.True(t, json.Valid(got.Data.Bytes()))
			require.LessOrEqual(t, len(got.Pushkey), 512)
			require.Contains(t, got.URL, "/push/v1/")
		}
	})
}
