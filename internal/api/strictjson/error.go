package strictjson

import "fmt"

// Problem says what is wrong with a text.
type Problem uint8

// The problems.
const (
	// Syntax is everything that is not JSON in UTF-8: also an empty text, a byte order mark, bytes after the value.
	Syntax Problem = iota
	// Duplicate is an object that names a member twice.
	Duplicate
	// Depth is nesting beyond the limit.
	Depth
	// Objects is more objects than the limit.
	Objects
)

// String names the problem.
func (p Problem) String() string {
	switch p {
	case Duplicate:
		return "duplicate member"
	case Depth:
		return "nested too deeply"
	case Objects:
		return "too many objects"
	case Syntax:
		return "not JSON"
	default:
		return "not JSON"
	}
}

// Error is a text that was refused. It holds nothing of the text.
type Error struct {
	Problem Problem
	Offset  int // bytes before the problem was noticed
}

// Error describes the problem and its place.
func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.Problem, e.Offset) }
