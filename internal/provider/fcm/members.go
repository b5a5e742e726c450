package fcm

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// eachMember visits the members of a JSON object in the order they were written, repeated ones included, with the
// exact bytes of each value. It reports whether object is one well-formed JSON object; if not, nothing is visited.
// encoding/json would need a map (losing the order) or a struct (matching names in any case).
func eachMember(object []byte, visit func(name string, value []byte)) bool {
	i := skipSpace(object, 0)
	if i == len(object) || object[i] != '{' || !json.Valid(object) {
		return false
	}
	// From here on the syntax is known to be right, so finding the borders is enough.
	for i = skipSpace(object, i+1); object[i] != '}'; {
		end := valueEnd(object, i)
		name := decodeString(object[i:end])
		i = skipSpace(object, end) // the colon
		i = skipSpace(object, i+1)
		end = valueEnd(object, i)
		visit(name, object[i:end])
		if i = skipSpace(object, end); object[i] == ',' {
			i = skipSpace(object, i+1)
		}
	}
	return true
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// valueEnd returns where the valid JSON value that begins at i ends.
func valueEnd(b []byte, i int) int {
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		depth := 0
		for ; i < len(b); i++ {
			switch b[i] {
			case '"':
				i = stringEnd(b, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return i
	default: // a number or a word ends before the first delimiter
		if n := bytes.IndexAny(b[i:], ",]} \t\r\n"); n >= 0 {
			return i + n
		}
		return len(b)
	}
}

func stringEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// decodeString returns what a valid JSON string says.
func decodeString(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return ""
	}
	return s
}

// textOf returns a valid JSON value as FCM can carry it: a string as what it says, anything else as its own JSON text,
// without blanks but with every digit as it was written.
func textOf(value []byte) string {
	switch value[0] {
	case '"':
		return decodeString(value)
	case '{', '[':
		var b bytes.Buffer
		if err := json.Compact(&b, value); err == nil {
			return b.String()
		}
	}
	return string(value)
}

// appendQuoted appends s as a JSON string. Broken UTF-8 becomes U+FFFD: FCM refuses it.
func appendQuoted(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := plainPrefix(s); i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			dst = append(dst, s[start:i]...)
			if c < ' ' {
				dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			} else {
				dst = append(dst, '\\', c)
			}
			start = i + 1
		}
		i++
	}
	return append(append(dst, s[start:]...), '"')
}

// plainPrefix returns a length, short of the end by up to seven bytes, over which s needs no escaping: a ciphertext is
// 1404 bytes of nothing else. It looks at eight bytes at a time: a byte's top bit becomes set if the byte is below 0x20,
// a quote, a backslash, or not ASCII.
func plainPrefix(s string) int {
	const (
		ones      = 0x0101010101010101
		tops      = 0x80 * ones
		quote     = '"' * ones
		backslash = '\\' * ones
	)
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		if (w|(w-' '*ones)|((w^quote)-ones)|((w^backslash)-ones))&tops != 0 {
			break
		}
	}
	return i
}
