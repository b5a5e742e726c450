package strictjson

import "slices"

// linearNames is how many member names are compared one by one before an index is worth its memory. Objects of this
// size are nearly all there are.
const linearNames = 16

// nameSet notices a member name that comes twice in one object. It borrows the parser's stack, so that objects of
// usual size cost no allocation.
type nameSet struct {
	parser *parser
	base   int                 // where this object's names begin
	index  map[string]struct{} // of all names, once there are many
}

// add returns false when the object already has the name.
func (s *nameSet) add(name string) bool {
	p := s.parser
	if s.index != nil {
		if _, dup := s.index[name]; dup {
			return false
		}
		s.index[name] = struct{}{}
		return true
	}
	if slices.Contains(p.names[s.base:], name) {
		return false
	}
	p.names = append(p.names, name)
	if own := p.names[s.base:]; len(own) > linearNames {
		s.index = make(map[string]struct{}, 4*linearNames)
		for _, n := range own {
			s.index[n] = struct{}{}
		}
	}
	return true
}

// close gives the stack back.
func (s *nameSet) close() { s.parser.names = s.parser.names[:s.base] }
