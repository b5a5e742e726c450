package apns

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/pushgate/pushgate/internal/push"
)

// deviceToken returns the device token in a pushkey as Apple's path wants it: lower-case hex. Apps register their token
// as hex in either case or in Base64 (standard or URL-safe alphabet, padded or not; Matrix clients use Base64). It
// reports false for anything else: a guess would address somebody else's phone or nobody's.
//
// An even number of hex digits is hex, an odd number can only be Base64. So today's 32-byte tokens are never ambiguous:
// their Base64 has 43 characters, or 44 with "=". Should Apple's tokens grow, Base64 text that happens to hold nothing
// but hex digits is still a matter of 1 in 10^20.
// White space around the token is dropped, inside it is an error.
func deviceToken(key push.Pushkey) (string, bool) {
	text := strings.Trim(key.Reveal(), " \t\r\n")
	if text == "" {
		return "", false
	}
	if isHex(text) && len(text)%2 == 0 {
		return strings.ToLower(text), true
	}
	raw, ok := decodeBase64(text)
	if !ok || len(raw) == 0 {
		return "", false
	}
	return hex.EncodeToString(raw), true
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// decodeBase64 decodes s if it is one alphabet throughout, with complete padding or none. Stray bits behind the last
// byte mean a cut or mistyped token and are refused.
func decodeBase64(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") { // encoding/base64 would skip them
		return nil, false
	}
	enc := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.RawURLEncoding
	}
	body := strings.TrimRight(s, "=")
	if len(body) != len(s) && (len(s)%4 != 0 || len(s)-len(body) > 2) {
		return nil, false
	}
	raw, err := enc.Strict().DecodeString(body)
	return raw, err == nil
}
