package strictjson

// level is one array or object that skip is inside of.
type level struct {
	names  nameSet
	closer byte // ] or }
}

// skip passes over an array or object that nobody wants. It takes no step down the stack for a level: strangers choose how
// deep an event's content nests, homeservers pass it on, and refusing it would hold up whatever comes behind it.
func (p *parser) skip() error {
	base := len(p.names)
	defer func() { p.names = p.names[:base] }()
	open := make([]level, 0, 8) // usual nesting, without an allocation
	for {
		// A value begins here.
		if c := p.peek(); c == '{' || c == '[' {
			if p.depth+len(open) >= p.limits.Skipped {
				return p.fail(Depth)
			}
			p.pos++
			open = append(open, level{names: nameSet{parser: p, base: len(p.names)}, closer: c + 2}) // in ASCII as in Unicode
			if !p.accept(c + 2) {
				if err := open[len(open)-1].next(p); err != nil {
					return err
				}
				continue
			}
			open = leave(open)
		} else if _, err := p.bare(nil); err != nil {
			return err
		}
		// A value ended here, and with it every level whose last one it was.
		for len(open) > 0 && p.accept(open[len(open)-1].closer) {
			open = leave(open)
		}
		if len(open) == 0 {
			return nil
		}
		if !p.accept(',') {
			return p.fail(Syntax)
		}
		if err := open[len(open)-1].next(p); err != nil {
			return err
		}
	}
}

// next reads up to where the level's next value begins.
func (l *level) next(p *parser) error {
	p.space()
	if l.closer == ']' {
		return nil
	}
	if p.peek() != '"' {
		return p.fail(Syntax)
	}
	name, err := p.str(true)
	if err != nil {
		return err
	}
	if !l.names.add(name) {
		return p.fail(Duplicate)
	}
	if !p.accept(':') {
		return p.fail(Syntax)
	}
	p.space()
	return nil
}

// leave ends the innermost level.
func leave(open []level) []level {
	open[len(open)-1].names.close()
	return open[:len(open)-1]
}
