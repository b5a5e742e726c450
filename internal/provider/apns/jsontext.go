package apns

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Payloads are put together from JSON text, not from decoded values: custom members and the digits of numbers pass
// through untouched, and the common case allocates nothing.

// member is one member of a JSON object: its decoded name and the text of its value.
type member struct {
	name  string
	value []byte
}

// object returns the members of a JSON object in order, and false if raw is anything else.
func object(raw []byte) ([]member, bool) {
	if !json.Valid(raw) {
		return nil, false
	}
	return validObject(raw)
}

// validObject is object for text that is known to be valid JSON, such as a value of another object.
func validObject(raw []byte) ([]member, bool) {
	i := skipSpace(raw, 0)
	if i >= len(raw) || raw[i] != '{' {
		return nil, false
	}
	var all []member
	for i = skipSpace(raw, i+1); i < len(raw) && raw[i] == '"'; {
		end := skipString(raw, i)
		name := unquote(raw[i:end])
		start := skipSpace(raw, skipSpace(raw, end)+1) // over the colon
		end = skipValue(raw, start)
		all = append(all, member{name, raw[start:end]})
		i = skipSpace(raw, end)
		if i < len(raw) && raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return all, true
}

// find returns the value of the last member with this name, as a JSON parser would, nil if there is none.
func find(all []member, name string) []byte {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].name == name {
			return all[i].value
		}
	}
	return nil
}

// elements returns the elements of a JSON array known to be valid, and false if raw is anything else.
func elements(raw []byte) ([][]byte, bool) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil, false
	}
	var all [][]byte
	for i := skipSpace(raw, 1); i < len(raw) && raw[i] != ']'; {
		end := skipValue(raw, i)
		all = append(all, raw[i:end])
		i = skipSpace(raw, end)
		if i < len(raw) && raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return all, true
}

// text returns the decoded string and true if raw is a JSON string.
func text(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return unquote(raw), true
}

// unquote decodes a JSON string known to be valid. What is no UTF-8 stays for str to replace.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index behind the string that begins at i.
func skipString(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(raw)
}

// skipValue returns the index behind the value that begins at i.
func skipValue(raw []byte, i int) int {
	for depth := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		default:
			i = skipScalar(raw, i)
		}
		if depth == 0 {
			return i
		}
	}
	return len(raw)
}

// skipScalar returns the index behind a number, a literal, or a separator inside an array or object.
func skipScalar(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case ',', ':', ']', '}', '"', '{', '[', ' ', '\t', '\n', '\r':
			return i
		}
	}
	return i
}

// writer appends compact JSON and counts its separators: Sygnal measures a payload as Python writes it, with a space
// behind each comma and colon.
type writer struct {
	buf        []byte
	separators int
}

// measure returns the size in bytes as Sygnal counts it.
func (w *writer) measure() int { return len(w.buf) + w.separators }

func (w *writer) begin(c byte) { w.buf = append(w.buf, c) }
func (w *writer) end(c byte)   { w.buf = append(w.buf, c) }

// next writes the comma that goes before every element but the first.
func (w *writer) next() {
	if last := w.buf[len(w.buf)-1]; last != '{' && last != '[' {
		w.buf = append(w.buf, ',')
		w.separators++
	}
}

// name begins a member of an object.
func (w *writer) name(name string) {
	w.next()
	w.str(name)
	w.buf = append(w.buf, ':')
	w.separators++
}

func (w *writer) num(n int64) { w.buf = strconv.AppendInt(w.buf, n, 10) }

// str writes s with the fewest escapes JSON allows, so non-ASCII stays as it is. A byte that is no UTF-8 becomes U+FFFD.
func (w *writer) str(s string) {
	w.buf = append(w.buf, '"')
	start := 0
	for i := plainPrefix(s); i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			w.buf = append(w.buf, s[start:i]...)
			w.escape(c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			w.buf = append(w.buf, s[start:i]...)
			w.buf = append(w.buf, "\uFFFD"...)
			start = i + 1
		}
		i += size
	}
	w.buf = append(w.buf, s[start:]...)
	w.buf = append(w.buf, '"')
}

// plainPrefix returns how many bytes at the beginning of s need no second look, in steps of eight: ASCII without control
// characters, quotes and backslashes. A ciphertext is nothing else.
func plainPrefix(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote, backslash := x^ones*'"', x^ones*'\\'
		// The top bit of a byte ends up set in each term where that byte is below a space, equal, or no ASCII. A borrow
		// can set it in a byte too many: then that byte is looked at again, nothing more.
		if ((x-ones*' ')|(quote-ones)|(backslash-ones)|x)&tops != 0 {
			break
		}
	}
	return i
}

// escape writes one of the characters that JSON text cannot hold as they are.
func (w *writer) escape(c byte) {
	const digits = "0123456789abcdef"
	if i := strings.IndexByte("\"\\\b\f\n\r\t", c); i >= 0 {
		w.buf = append(w.buf, '\\', `"\bfnrt`[i])
		return
	}
	w.buf = append(w.buf, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}

// escapedLen returns how many bytes str writes for r.
func escapedLen(r rune) int {
	switch {
	case r == '"', r == '\\', r == '\b', r == '\f', r == '\n', r == '\r', r == '\t':
		return 2
	case r < ' ':
		return 6
	default:
		return utf8.RuneLen(r)
	}
}

// value writes JSON text known to be valid: white space goes, strings get their shortest form, numbers keep every digit.
func (w *writer) value(raw []byte) {
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			end := skipString(raw, i)
			w.str(unquote(raw[i:end]))
			i = end
		case ',', ':':
			w.buf = append(w.buf, c)
			w.separators++
			i++
		default:
			w.buf = append(w.buf, c)
			i++
		}
	}
}
