package gateway

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// isGlob reports whether a pattern holds a wildcard: * is any run of characters, also an empty one, ? exactly one
// character. Everything else is literal, and both ends are anchored (facts/sygnal.md 1.2).
func isGlob(pattern string) bool { return strings.ContainsAny(pattern, "*?") }

// literalPrefix returns what every match of pattern begins with.
func literalPrefix(pattern string) string {
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// globMatch reports whether s matches pattern, in at most len(pattern)*len(s) steps: only the last star ever has to be
// tried again.
func globMatch(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		_, width := utf8.DecodeRuneInString(s[i:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == '?':
			p++
			i += width
		case p < len(pattern) && strings.HasPrefix(pattern[p:], s[i:i+width]):
			p += width
			i += width
		case star >= 0:
			_, skip := utf8.DecodeRuneInString(s[mark:])
			mark += skip
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// globOverlap reports whether some text matches both patterns. meet[j] says so for the ends a[i:] and b[j:].
func globOverlap(a, b string) bool {
	left, right := []rune(a), []rune(b)
	meet := make([]bool, len(right)+1)
	below := make([]bool, len(right)+1) // the same for a[i+1:]
	for i := len(left); i >= 0; i-- {
		for j := len(right); j >= 0; j-- {
			switch {
			case i == len(left) && j == len(right):
				meet[j] = true
			case i < len(left) && left[i] == '*':
				meet[j] = below[j] || j < len(right) && meet[j+1]
			case j < len(right) && right[j] == '*':
				meet[j] = meet[j+1] || i < len(left) && below[j]
			case i < len(left) && j < len(right):
				same := left[i] == right[j] || left[i] == '?' || right[j] == '?'
				meet[j] = same && below[j+1]
			default:
				meet[j] = false
			}
		}
		meet, below = below, meet
	}
	return below[0]
}

// globSet finds the value of an exact name in constant time, and else of a pattern, in time that depends on the number
// of different prefix lengths (names have at most 64 characters) and not on the number of patterns.
type globSet[V any] struct {
	exact    map[string]V
	prefixes map[string][]globEntry[V]
	lengths  []int // of the literal prefixes, longest first
}

type globEntry[V any] struct {
	pattern string
	value   V
}

func newGlobSet[V any]() *globSet[V] {
	return &globSet[V]{exact: map[string]V{}, prefixes: map[string][]globEntry[V]{}}
}

func (s *globSet[V]) add(pattern string, value V) {
	if !isGlob(pattern) {
		s.exact[pattern] = value
		return
	}
	prefix := literalPrefix(pattern)
	s.prefixes[prefix] = append(s.prefixes[prefix], globEntry[V]{pattern, value})
	if !slices.Contains(s.lengths, len(prefix)) {
		s.lengths = append(s.lengths, len(prefix))
		slices.SortFunc(s.lengths, func(a, b int) int { return cmp.Compare(b, a) })
	}
}

func (s *globSet[V]) find(name string) (V, bool) {
	if v, ok := s.exact[name]; ok {
		return v, true
	}
	for _, n := range s.lengths {
		if n > len(name) {
			continue
		}
		for _, e := range s.prefixes[name[:n]] {
			if globMatch(e.pattern, name) {
				return e.value, true
			}
		}
	}
	var none V
	return none, false
}
