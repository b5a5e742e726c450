// Package jsonscan reads JSON (RFC 8259) as strictly as a push service might, in one pass and nearly without garbage.
//
// Beyond encoding/json it refuses duplicate members, invalid UTF-8, lone surrogates and deep nesting. A caller asks
// for what it expects, member by member, and skips what it does not care for; nothing is converted to Go values.
// It owns the grammar, not the meaning of any member.
package jsonscan

import (
	"bytes"
	"fmt"
)

// Kind is the kind of the next value.
type Kind uint8

// The kinds; Invalid is anything that begins no value.
const (
	Invalid Kind = iota
	Object
	Array
	String
	Number
	Bool
	Null
)

// maxDepth is more than any push payload needs.
const maxDepth = 64

// Error tells where the text stops being what was asked for.
type Error struct {
	Offset int
	Text   string
}

// Error renders the position and the reason.
func (e *Error) Error() string { return fmt.Sprintf("offset %d: %s", e.Offset, e.Text) }

// Scanner reads one JSON text. Its methods leave it at an undefined place after an error.
type Scanner struct {
	data  []byte
	pos   int
	depth int
}

// New starts at the first byte of data, which must not change while it is read.
func New(data []byte) *Scanner { return &Scanner{data: data} }

func (s *Scanner) fail(text string) error { return &Error{Offset: s.pos, Text: text} }

func (s *Scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// Kind looks at the next value without reading it.
func (s *Scanner) Kind() Kind {
	s.space()
	if s.pos >= len(s.data) {
		return Invalid
	}
	switch c := s.data[s.pos]; {
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == '"':
		return String
	case c == '-' || c >= '0' && c <= '9':
		return Number
	case c == 't' || c == 'f':
		return Bool
	case c == 'n':
		return Null
	}
	return Invalid
}

// End reports anything but space after the value.
func (s *Scanner) End() error {
	if s.space(); s.pos < len(s.data) {
		return s.fail("text after the value")
	}
	return nil
}

func (s *Scanner) take(c byte, text string) error {
	if s.space(); s.pos >= len(s.data) || s.data[s.pos] != c {
		return s.fail(text)
	}
	s.pos++
	return nil
}

// next reports whether another element follows: after the first it eats the comma, at the end the closing bracket.
func (s *Scanner) next(first bool, closing byte) (bool, error) {
	if s.space(); s.pos >= len(s.data) {
		return false, s.fail("unexpected end")
	}
	switch c := s.data[s.pos]; {
	case c == closing:
		s.pos++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		return true, nil
	}
	return false, s.fail("expected a comma or " + string(closing))
}

func (s *Scanner) enter(open byte, text string) error {
	if err := s.take(open, text); err != nil {
		return err
	}
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested too deep")
	}
	return nil
}

// Object reads an object: member is called with each name and must read exactly one value. The name is valid during
// the call.
func (s *Scanner) Object(member func(name []byte) error) error {
	if err := s.enter('{', "expected an object"); err != nil {
		return err
	}
	var seen names
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil || !more {
			return err
		}
		name, err := s.name(&seen)
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
}

// Array reads an array: item is called for each element and must read it.
func (s *Scanner) Array(item func() error) error {
	if err := s.enter('[', "expected an array"); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.next(first, ']')
		if err != nil || !more {
			return err
		}
		if err := item(); err != nil {
			return err
		}
	}
}

// name reads a member's name and its colon.
func (s *Scanner) name(seen *names) ([]byte, error) {
	if s.space(); s.pos >= len(s.data) || s.data[s.pos] != '"' {
		return nil, s.fail("expected a member name")
	}
	name, err := s.Text()
	if err != nil {
		return nil, err
	}
	if !seen.add(name) {
		return nil, s.fail("duplicate member")
	}
	return name, s.take(':', "expected a colon")
}

// Skip reads any value.
func (s *Scanner) Skip() error {
	switch s.Kind() {
	case Object:
		return s.skipObject()
	case Array:
		return s.Array(s.Skip)
	case String:
		_, err := s.Text()
		return err
	case Number:
		_, err := s.Number()
		return err
	case Bool:
		_, err := s.Bool()
		return err
	case Null:
		return s.word("null")
	default:
		return s.fail("expected a value")
	}
}

func (s *Scanner) skipObject() error {
	if err := s.enter('{', "expected an object"); err != nil {
		return err
	}
	var seen names
	for first := true; ; first = false {
		more, err := s.next(first, '}')
		if err != nil || !more {
			return err
		}
		if _, err := s.name(&seen); err != nil {
			return err
		}
		if err := s.Skip(); err != nil {
			return err
		}
	}
}

// Bool reads true or false.
func (s *Scanner) Bool() (bool, error) {
	if s.space(); s.pos < len(s.data) && s.data[s.pos] == 't' {
		return true, s.word("true")
	}
	return false, s.word("false")
}

func (s *Scanner) word(w string) error {
	if s.space(); !bytes.HasPrefix(s.data[s.pos:], []byte(w)) {
		return s.fail("expected " + w)
	}
	s.pos += len(w)
	return nil
}

// Number reads a number and returns its text.
func (s *Scanner) Number() ([]byte, error) {
	s.space()
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if s.digits() == 0 {
		return nil, s.fail("expected a number")
	}
	if s.at('.') {
		s.pos++
		if s.digits() == 0 {
			return nil, s.fail("expected a digit")
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if s.digits() == 0 {
			return nil, s.fail("expected a digit")
		}
	}
	return s.data[start:s.pos], nil
}

func (s *Scanner) at(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

func (s *Scanner) digits() (n int) {
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		s.pos++
		n++
	}
	return n
}

// names finds duplicates: most objects are small.
type names struct {
	few  [16][]byte
	n    int
	many map[string]bool
}

func (n *names) add(name []byte) bool {
	for i := range min(n.n, len(n.few)) {
		if bytes.Equal(n.few[i], name) {
			return false
		}
	}
	if n.n < len(n.few) {
		n.few[n.n] = name
		n.n++
		return true
	}
	if n.many == nil {
		n.many = map[string]bool{}
	}
	if n.many[string(name)] {
		return false
	}
	n.many[string(name)] = true
	return true
}
