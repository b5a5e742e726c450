package strictjson

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Limits bound what one text may cost.
type Limits struct {
	Depth   int // arrays and objects open at once, of those that are kept: each costs stack
	Skipped int // the same including those that are skipped, which cost some 60 bytes each
	Objects int // objects kept: each costs some 300 bytes, however few bytes it took to write
}

// Decode reads one JSON value and nothing else from text. Strings of the result are cut out of text where they hold no
// escape, so they keep it in memory. The error is an *Error.
func Decode(text string, shape *Shape, limits Limits) (*Document, error) {
	if !utf8.ValidString(text) {
		return nil, &Error{Problem: Syntax, Offset: validPrefix(text)}
	}
	doc := &Document{}
	p := parser{text: text, limits: limits, doc: doc, names: make([]string, 0, 2*linearNames)}
	p.space()
	value, err := p.value(shape)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos != len(text) {
		return nil, p.fail(Syntax)
	}
	doc.Value = value
	return doc, nil
}

// Bind puts the source text of verbatim members into Value, as json.RawMessage, and takes out verbatim members that are
// null: for those who read the value, null is absent. Call it after the contract check, which wants to see values.
//
// What binds the value into a Go type may still squeeze white space and write <, > and & as escapes, as encoding/json
// does with a RawMessage. Members, their order and the digits of numbers stay.
func (d *Document) Bind() any {
	for _, v := range d.verbatim {
		if v.text == "null" {
			delete(v.parent, v.name)
			continue
		}
		v.parent[v.name] = json.RawMessage(v.text)
	}
	d.verbatim = nil
	return d.Value
}

// validPrefix returns how many bytes of text come before the first invalid one.
func validPrefix(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
	}
	return len(text)
}

// parser walks the text once. Its methods leave pos after what they read.
type parser struct {
	text    string
	pos     int
	depth   int
	objects int
	limits  Limits
	names   []string // members of the objects that are open, innermost last
	doc     *Document
}

func (p *parser) fail(problem Problem) *Error { return &Error{Problem: problem, Offset: p.pos} }

// space skips the four white space characters of JSON.
func (p *parser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\n', '\r', '\t':
			p.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end of the text. (A real NUL is no JSON either.)
func (p *parser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

// accept skips white space and then the byte c, if it is next.
func (p *parser) accept(c byte) bool {
	p.space()
	if p.peek() != c {
		return false
	}
	p.pos++
	return true
}

// value reads one value. A nil shape checks the syntax and returns nil.
func (p *parser) value(shape *Shape) (any, error) {
	start := p.pos
	v, err := p.bare(shape)
	if err == nil && shape != nil && shape.Measured {
		p.doc.Sizes = append(p.doc.Sizes, p.pos-start)
	}
	return v, err
}

func (p *parser) bare(shape *Shape) (any, error) {
	switch c := p.peek(); {
	case shape == nil && (c == '{' || c == '['):
		return nil, p.skip()
	case c == '{':
		return p.nested(shape, p.object)
	case c == '[':
		return p.nested(shape, p.array)
	case c == '"':
		s, err := p.str(shape != nil)
		if err != nil || shape == nil {
			return nil, err
		}
		return s, nil
	case c == '-' || '0' <= c && c <= '9':
		s, err := p.number()
		if err != nil || shape == nil {
			return nil, err
		}
		return json.Number(s), nil
	default:
		return p.word()
	}
}

// word reads true, false or null.
func (p *parser) word() (any, error) {
	rest := p.text[p.pos:]
	switch {
	case strings.HasPrefix(rest, "null"):
		p.pos += 4
		return nil, nil
	case strings.HasPrefix(rest, "true"):
		p.pos += 4
		return true, nil
	case strings.HasPrefix(rest, "false"):
		p.pos += 5
		return false, nil
	default:
		return nil, p.fail(Syntax)
	}
}

// nested reads an array or object that is wanted, one level down.
func (p *parser) nested(shape *Shape, read func(*Shape) (any, error)) (any, error) {
	if p.depth++; p.depth > p.limits.Depth {
		return nil, p.fail(Depth)
	}
	p.pos++
	v, err := read(shape)
	p.depth--
	return v, err
}

func (p *parser) array(shape *Shape) (any, error) {
	items, out := shape.Items, []any{}
	if p.accept(']') {
		return out, nil
	}
	for {
		p.space()
		v, err := p.value(items)
		if err != nil {
			return nil, err
		}
		if items != nil {
			out = append(out, v)
		}
		if p.accept(']') {
			return out, nil
		}
		if !p.accept(',') {
			return nil, p.fail(Syntax)
		}
	}
}

func (p *parser) object(shape *Shape) (any, error) {
	if p.objects++; p.objects > p.limits.Objects {
		return nil, p.fail(Objects)
	}
	out := map[string]any{}
	seen := nameSet{parser: p, base: len(p.names)}
	defer seen.close()
	if p.accept('}') {
		return out, nil
	}
	for {
		p.space()
		if p.peek() != '"' {
			return nil, p.fail(Syntax)
		}
		name, err := p.str(true)
		if err != nil {
			return nil, err
		}
		if !seen.add(name) {
			return nil, p.fail(Duplicate)
		}
		if !p.accept(':') {
			return nil, p.fail(Syntax)
		}
		p.space()
		if err := p.member(shape, out, name); err != nil {
			return nil, err
		}
		if p.accept('}') {
			return out, nil
		}
		if !p.accept(',') {
			return nil, p.fail(Syntax)
		}
	}
}

// member reads the value of one member into out, if it is wanted.
func (p *parser) member(shape *Shape, out map[string]any, name string) error {
	want := shape.Members[name]
	if want == nil {
		want = shape.Rest
	}
	start := p.pos
	if want != nil && want.TextOnly && p.peek() != '"' {
		out[name] = nil
		want = nil
	}
	v, err := p.value(want)
	if err != nil || want == nil {
		return err
	}
	out[name] = v
	if want.Verbatim {
		p.doc.verbatim = append(p.doc.verbatim, verbatim{parent: out, name: name, text: p.text[start:p.pos]})
	}
	return nil
}
