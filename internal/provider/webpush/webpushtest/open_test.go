package webpushtest

import (
	"crypto/ecdh"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

func raw(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	return b
}

// example returns the message of RFC 8291 section 5 with the receiver's keys.
func example(t *testing.T) (private *ecdh.PrivateKey, auth, body []byte) {
	t.Helper()
	private, err := ecdh.P256().NewPrivateKey(raw(t, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
	require.NoError(t, err)
	return private, raw(t, "BTBZMqHH6r4Tts7J_aSIgg"), raw(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"+
		"mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
}

func TestOpen_PublishedExample(t *testing.T) {
	t.Parallel()
	private, auth, body := example(t)
	require.Equal(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
		base64.RawURLEncoding.EncodeToString(private.PublicKey().Bytes()))
	plain, err := Open(private, auth, body)
	require.NoError(t, err)
	require.Equal(t, "When I grow up, I want to be a watermelon", string(plain))
}

func TestOpen_RefusesWhatABrowserRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(auth, body []byte) ([]byte, []byte){
		"another secret":     func(auth, body []byte) ([]byte, []byte) { auth[0] ^= 1; return auth, body },
		"another salt":       func(auth, body []byte) ([]byte, []byte) { body[0] ^= 1; return auth, body },
		"a flipped bit":      func(auth, body []byte) ([]byte, []byte) { body[len(body)-1] ^= 1; return auth, body },
		"a short record":     func(auth, body []byte) ([]byte, []byte) { body[18], body[19] = 0, 20; return auth, body },
		"no key":             func(auth, body []byte) ([]byte, []byte) { body[20] = 0; return auth, body },
		"a point off curve":  func(auth, body []byte) ([]byte, []byte) { body[85] ^= 1; return auth, body },
		"cut to the header":  func(auth, body []byte) ([]byte, []byte) { return auth, body[:86] },
		"nothing":            func(auth, _ []byte) ([]byte, []byte) { return auth, nil },
		"one byte behind it": func(auth, body []byte) ([]byte, []byte) { return auth, append(body, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			private, auth, body := example(t)
			auth, body = change(auth, body)
			_, err := Open(private, auth, body)
			require.Error(t, err)
		})
	}
}
