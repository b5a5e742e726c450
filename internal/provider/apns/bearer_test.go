package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func newTestBearers(t *testing.T, now func() time.Time) *bearers {
	t.Helper()
	b, err := newBearers(newKey(t, elliptic.P256()), "ABC1234567", "TEAM123456", now)
	require.NoError(t, err)
	return b
}

func TestBearer_IsWhatAppleDocuments(t *testing.T) {
	t.Parallel()
	b := newTestBearers(t, func() time.Time { return testNow })
	token, ok := strings.CutPrefix(b.get().header, "bearer ")
	require.True(t, ok)
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)

	var header, claims map[string]any
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, into))
	}
	require.Equal(t, map[string]any{"alg": "ES256", "kid": "ABC1234567"}, header)
	require.Equal(t, map[string]any{"iss": "TEAM123456", "iat": float64(testNow.Unix())}, claims)

	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	require.Len(t, signature, 64)
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	require.True(t, ecdsa.Verify(&b.key.PublicKey, digest[:], r, s))
}

func TestBearer_Age(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestBearers(t, time.Now)
		first := b.get()
		time.Sleep(bearerRenew - time.Second)
		require.Same(t, first, b.get())
		time.Sleep(time.Second)
		second := b.get()
		require.NotSame(t, first, second)
		require.Equal(t, time.Now(), b.issued())
	})
}

func TestBearer_RefusedIsReplacedOncePer20Minutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestBearers(t, time.Now)
		first := b.get()
		time.Sleep(bearerSpacing - time.Second)
		require.False(t, b.refused(first), "too young to be replaced")
		require.Same(t, first, b.get())
		time.Sleep(time.Second)
		require.True(t, b.refused(first))
		second := b.get()
		require.NotSame(t, first, second)
		for range 1000 { // answers to requests that still carried the old one
			require.True(t, b.refused(first))
		}
		require.Same(t, second, b.get())
		require.False(t, b.refused(second))
	})
}

// TestBearer_Clock: the wall clock is set by an hour or a day in either direction.
func TestBearer_Clock(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{
		"an hour back": -time.Hour, "a day back": -24 * time.Hour, "an hour on": time.Hour, "a day on": 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var offset time.Duration
				b := newTestBearers(t, func() time.Time { return time.Now().Add(offset) })
				first := b.get()
				offset = jump
				time.Sleep(bearerSpacing + time.Second)
				second := b.get()
				require.NotSame(t, first, second, "a token from another time is replaced")
				require.Equal(t, time.Now().Add(jump), second.issued)
			})
		})
	}
}
