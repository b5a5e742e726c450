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

func TestBearer_RefusedIsReplacedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestBearers(t, time.Now)
		first := b.get()
		time.Sleep(bearerUrgent - time.Second)
		require.False(t, b.refused(first), "new, and has never worked: a clock is wrong")
		require.Same(t, first, b.get(), "too young to be replaced")
		first.accept()
		require.True(t, b.refused(first), "it has worked, so the next one will")
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
		time.Sleep(bearerUrgent)
		require.False(t, b.refused(second), "replaced, but nothing says that it helps")
		require.NotSame(t, second, b.get())
	})
}

// TestBearer_RefusedAfterAWhile: a token that was never used has aged, and Apple's clock is ahead of ours.
func TestBearer_RefusedAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestBearers(t, time.Now)
		first := b.get()
		time.Sleep(bearerSpacing)
		require.True(t, b.refused(first))
		require.NotSame(t, first, b.get())
	})
}

// TestBearer_Clock is F12: the wall clock is set, or runs on while the machine sleeps. Whatever the token's age was on the
// monotonic clock, there is a good one within a minute, and until then a refusal is no fault of the settings.
func TestBearer_Clock(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{
		"an hour back": -time.Hour, "a day back": -24 * time.Hour, "an hour on": time.Hour, "a day on": 24 * time.Hour,
	} {
		for _, before := range []time.Duration{0, 10 * time.Second, bearerUrgent, bearerSpacing - time.Second, bearerSpacing} {
			t.Run(name+" after "+before.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var offset time.Duration
					b := newTestBearers(t, func() time.Time { return time.Now().Add(offset) })
					renewed := 0
					b.replaced = func() { renewed++ }
					first := b.get()
					time.Sleep(before)
					b.revive()
					require.Same(t, first, b.get())
					offset = jump
					require.True(t, b.refused(first), "a token from another time will be replaced")
					time.Sleep(max(0, bearerUrgent-before))
					b.revive()
					second := b.get()
					require.NotSame(t, first, second, "a token from another time is replaced")
					require.Equal(t, 1, renewed, "so are its connections")
					require.InDelta(t, time.Now().Add(jump).Unix(), second.issued.Unix(), bearerUrgent.Seconds())
				})
			})
		}
	}
}

// TestBearer_ClockThatJumpsAllTheTime: it must not make more tokens than one a minute.
func TestBearer_ClockThatJumpsAllTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var offset time.Duration
		b := newTestBearers(t, func() time.Time { return time.Now().Add(offset) })
		seen := map[*bearer]bool{}
		for range 600 {
			offset = 3*time.Hour - offset
			b.revive()
			seen[b.get()] = true
			b.refused(b.get())
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, len(seen), 11)
	})
}

// TestBearer_ClockAlmostExpired: a jump by less than Apple's limit is no hurry. The connections stay, so do 20 minutes.
func TestBearer_ClockAlmostExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var offset time.Duration
		b := newTestBearers(t, func() time.Time { return time.Now().Add(offset) })
		first := b.get()
		time.Sleep(5 * time.Minute)
		offset = bearerRenew - 5*time.Minute
		b.revive()
		require.Same(t, first, b.get())
		time.Sleep(10*time.Minute - time.Second)
		b.revive()
		require.Same(t, first, b.get())
		time.Sleep(time.Second)
		b.revive()
		require.NotSame(t, first, b.get(), "expired")
	})
}
