package strictjson

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string. With decode it returns the value, otherwise it only checks.
func (p *parser) str(decode bool) (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == '"':
			s := p.text[start:p.pos]
			p.pos++
			return s, nil
		case c == '\\':
			return p.escaped(start, decode)
		case c < ' ':
			return "", p.fail(Syntax)
		}
		p.pos++
	}
	return "", p.fail(Syntax)
}

// escaped goes on with a string that began at start when its first escape has come.
func (p *parser) escaped(start int, decode bool) (string, error) {
	var b strings.Builder
	if decode {
		b.WriteString(p.text[start:p.pos])
	}
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		switch {
		case c == '"':
			p.pos++
			return b.String(), nil
		case c < ' ':
			return "", p.fail(Syntax)
		case c == '\\':
			r, ok := p.escape()
			if !ok {
				return "", p.fail(Syntax)
			}
			if decode {
				b.WriteRune(r)
			}
			continue
		}
		if decode {
			b.WriteByte(c)
		}
		p.pos++
	}
	return "", p.fail(Syntax)
}

// escape reads one escape. Half a surrogate pair becomes U+FFFD, as everywhere in Go: it is no character, but events in the
// wild hold it, and refusing them would hold up everything that their sender sends later.
func (p *parser) escape() (rune, bool) {
	p.pos++
	c := p.peek()
	if c == 'u' {
		r, ok := p.hex4()
		if !ok || !utf16.IsSurrogate(r) {
			return r, ok
		}
		if strings.HasPrefix(p.text[p.pos:], `\u`) {
			back := p.pos
			p.pos++
			low, ok := p.hex4()
			if !ok {
				return 0, false
			}
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return both, true
			}
			p.pos = back
		}
		return utf8.RuneError, true
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	i := strings.IndexByte(from, c)
	if i < 0 {
		return 0, false
	}
	p.pos++
	return rune(to[i]), true
}

// hex4 reads u and four hexadecimal digits.
func (p *parser) hex4() (rune, bool) {
	p.pos++
	if len(p.text)-p.pos < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.text[p.pos : p.pos+4]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.pos += 4
	return r, true
}

// number reads a number and returns its digits as they are written.
func (p *parser) number() (string, error) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !p.digits() {
		return "", p.fail(Syntax)
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return "", p.fail(Syntax)
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return "", p.fail(Syntax)
		}
	}
	return p.text[start:p.pos], nil
}

// digits skips digits and returns whether there was one.
func (p *parser) digits() bool {
	start := p.pos
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}
