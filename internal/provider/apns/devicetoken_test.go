package apns

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestDeviceToken_BothSpellingsReachAppleAsHex(t *testing.T) {
	t.Parallel()
	// This token needs both characters in which the two Base64 alphabets differ.
	raw := bytes.Repeat([]byte{0xfb, 0xef, 0xbf, 0x01}, 8)
	want := hex.EncodeToString(raw)
	require.Contains(t, base64.StdEncoding.EncodeToString(raw), "+")
	require.Contains(t, base64.URLEncoding.EncodeToString(raw), "_")
	for name, key := range map[string]string{
		"hex":                       want,
		"hex in upper case":         strings.ToUpper(want),
		"hex in mixed case":         strings.ToUpper(want[:30]) + want[30:],
		"base64":                    base64.StdEncoding.EncodeToString(raw),
		"base64 without padding":    base64.RawStdEncoding.EncodeToString(raw),
		"base64url":                 base64.URLEncoding.EncodeToString(raw),
		"base64url without padding": base64.RawURLEncoding.EncodeToString(raw),
		"a line end behind it":      base64.StdEncoding.EncodeToString(raw) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := deviceToken(push.Pushkey(key))
			require.True(t, ok)
			require.Equal(t, want, got)
		})
	}
}

func TestDeviceToken_Ambiguous(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ key, want string }{
		"64 hex digits are hex although base64 decodes them": {strings.Repeat("a1b2", 16), strings.Repeat("a1b2", 16)},
		"44 hex digits are hex":                              {strings.Repeat("cafe", 11), strings.Repeat("cafe", 11)},
		"odd number of hex digits is base64":                 {"abcdabc", "69b71d69b7"},
		"longer tokens":                                      {strings.Repeat("ab", 100), strings.Repeat("ab", 100)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := deviceToken(push.Pushkey(test.key))
			require.True(t, ok)
			require.Equal(t, test.want, got)
		})
	}
}

func TestDeviceToken_NothingIsGuessed(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{
		"empty":             "",
		"only white space":  " \n",
		"inner space":       "a1b2 c3d4",
		"inner line end":    "YWJj\nZGVm",
		"mixed alphabets":   "ab+/ab-_",
		"one digit":         "a",
		"incomplete pad":    "YWI=YWI",
		"one = too few":     "YQ=",
		"three =":           "Y===",
		"only padding":      "==",
		"stray bits":        "YWK",
		"not base64":        "token with spaces",
		"path":              "../../3/device/aa",
		"percent":           "%2e%2e",
		"non-ASCII":         "tökén",
		"description style": "<a1b2c3d4>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, ok := deviceToken(push.Pushkey(key))
			require.False(t, ok)
		})
	}
}

func FuzzDeviceToken(f *testing.F) {
	f.Add("a1b2")
	f.Add("++//")
	f.Add("--__")
	f.Fuzz(func(t *testing.T, key string) {
		got, ok := deviceToken(push.Pushkey(key))
		if !ok {
			require.Empty(t, got)
			return
		}
		raw, err := hex.DecodeString(got)
		require.NoError(t, err)
		require.NotEmpty(t, raw)
		require.Equal(t, strings.ToLower(got), got)
		// Whatever spelling came in: it is one of the spellings of these very bytes.
		text := strings.Trim(key, " \t\r\n")
		require.Contains(t, []string{
			strings.ToLower(text), base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
			base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
		}, spelling(text, got))
	})
}

// spelling returns text as it is compared: hex is compared without case.
func spelling(text, got string) string {
	if strings.EqualFold(text, got) {
		return got
	}
	return text
}
