package jsonscan

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a string and returns it decoded. Without escapes it is a part of the scanned data.
func (s *Scanner) Text() ([]byte, error) {
	if err := s.take('"', "expected a string"); err != nil {
		return nil, err
	}
	start := s.pos
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			text := s.data[start:s.pos]
			s.pos++
			return text, nil
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return nil, s.fail("control character in a string")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			if err := s.rune(); err != nil {
				return nil, err
			}
		}
	}
	return nil, s.fail("string does not end")
}

func (s *Scanner) rune() error {
	r, n := utf8.DecodeRune(s.data[s.pos:])
	if r == utf8.RuneError && n <= 1 {
		return s.fail("not UTF-8")
	}
	s.pos += n
	return nil
}

// escaped reads on from the first backslash, into a copy.
func (s *Scanner) escaped(start int) ([]byte, error) {
	text := append([]byte(nil), s.data[start:s.pos]...)
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			s.pos++
			return text, nil
		case c == '\\':
			r, err := s.escape()
			if err != nil {
				return nil, err
			}
			text = utf8.AppendRune(text, r)
		case c < ' ':
			return nil, s.fail("control character in a string")
		default:
			from := s.pos
			if err := s.rune(); err != nil {
				return nil, err
			}
			text = append(text, s.data[from:s.pos]...)
		}
	}
	return nil, s.fail("string does not end")
}

func (s *Scanner) escape() (rune, error) {
	if s.pos++; s.pos >= len(s.data) {
		return 0, s.fail("string does not end")
	}
	c := s.data[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return s.unicode()
	}
	return 0, s.fail("unknown escape")
}

// unicode reads four hex digits, and the second half if they are a surrogate.
func (s *Scanner) unicode() (rune, error) {
	r, err := s.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if s.pos+1 >= len(s.data) || s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' {
		return 0, s.fail("lone surrogate")
	}
	s.pos += 2
	low, err := s.hex4()
	if err != nil {
		return 0, err
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, s.fail("lone surrogate")
	}
	return r, nil
}

func (s *Scanner) hex4() (rune, error) {
	if s.pos+4 > len(s.data) {
		return 0, s.fail("expected four hex digits")
	}
	var r rune
	for _, c := range s.data[s.pos : s.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, s.fail("expected four hex digits")
		}
	}
	s.pos += 4
	return r, nil
}
