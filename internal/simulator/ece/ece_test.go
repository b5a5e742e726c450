package ece

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

// The example of RFC 8291 section 5 and appendix A.
const (
	examplePrivate = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
	examplePublic  = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	exampleAuth    = "BTBZMqHH6r4Tts7J_aSIgg"
	exampleBody    = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
	exampleText    = "When I grow up, I want to be a watermelon"
)

func raw(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	require.NoError(t, err)
	return b
}

func example(t *testing.T) *Keys {
	t.Helper()
	k, err := LoadKeys(raw(t, examplePrivate), raw(t, exampleAuth))
	require.NoError(t, err)
	return k
}

func TestDecrypt_PublishedExample(t *testing.T) {
	t.Parallel()
	k := example(t)
	require.Equal(t, raw(t, examplePublic), k.Public())
	require.Equal(t, raw(t, exampleAuth), k.Auth())
	text, err := k.Decrypt(raw(t, exampleBody))
	require.NoError(t, err)
	require.Equal(t, exampleText, string(text))
}

func TestDecrypt_Refuses(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(body []byte) []byte{
		"a flipped bit":       func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"a cut tag":           func(b []byte) []byte { return b[:len(b)-1] },
		"a header alone":      func(b []byte) []byte { return b[:86] },
		"nothing":             func([]byte) []byte { return nil },
		"two records":         func(b []byte) []byte { b[18], b[19] = 0, 18; return b },
		"a short keyid":       func(b []byte) []byte { b[20] = 64; return b },
		"a point off curve":   func(b []byte) []byte { b[50] ^= 1; return b },
		"a compressed point":  func(b []byte) []byte { b[21] = 2; return b },
		"another salt":        func(b []byte) []byte { b[0] ^= 1; return b },
		"trailing garbage":    func(b []byte) []byte { return append(b, 0) },
		"an empty ciphertext": func(b []byte) []byte { return b[:86+16] },
	} {
		_, err := example(t).Decrypt(breakIt(raw(t, exampleBody)))
		require.Error(t, err, name)
	}
	other, err := NewKeys()
	require.NoError(t, err)
	_, err = other.Decrypt(raw(t, exampleBody))
	require.ErrorContains(t, err, "does not decrypt")
}

func TestUnpad(t *testing.T) {
	t.Parallel()
	text, err := unpad([]byte{'a', 0, 2, 0, 0})
	require.NoError(t, err)
	require.Equal(t, []byte{'a', 0}, text)
	text, err = unpad([]byte{2})
	require.NoError(t, err)
	require.Empty(t, text)
	for name, padded := range map[string][]byte{"not last": {'a', 1, 0}, "no delimiter": {0, 0}, "empty": {}, "text only": {'a'}} {
		_, err := unpad(padded)
		require.Error(t, err, name)
	}
}

func TestLoadKeys_Refuses(t *testing.T) {
	t.Parallel()
	_, err := LoadKeys(make([]byte, 32), make([]byte, 16))
	require.Error(t, err, "zero is no private key")
	_, err = LoadKeys(raw(t, examplePrivate), make([]byte, 15))
	require.Error(t, err)
}
