package strict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong at one place.
type Problem struct {
	Path string // "apps[2].apns.key_file"; empty for the document as a whole
	Line int    // in the file, from 1; 0 when the file does not hold the place
	Text string // never quotes a value
}

// String returns "path: text (line n)", without the parts that are missing.
func (p Problem) String() string {
	s := p.Text
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Line > 0 {
		s += fmt.Sprintf(" (line %d)", p.Line)
	}
	return s
}

// Error is everything that is wrong with a configuration, in the order of the file.
type Error struct {
	Problems []Problem
}

// maxShown bounds the text; nobody mends more than that at once.
const maxShown = 100

// Error returns one problem per line, the first hundred.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems:", len(e.Problems))
	for _, p := range e.Problems[:min(len(e.Problems), maxShown)] {
		b.WriteString("\n  " + p.String())
	}
	if more := len(e.Problems) - maxShown; more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// Problems collects problems and remembers on which line of the file each key stands. The zero value is ready to use.
type Problems struct {
	list  []Problem
	lines map[string]int
}

// Report adds a problem. Its line is that of the path, or of the closest section around it that the file holds.
func (p *Problems) Report(path, text string) {
	p.list = append(p.list, Problem{Path: path, Line: p.lineOf(path), Text: text})
}

// Under returns a Report for the section at path. An empty path of the section's own stands for the section.
func (p *Problems) Under(section string) func(path, text string) {
	return func(path, text string) { p.Report(join(section, path), text) }
}

// Err returns all problems as one *Error, nil when there are none.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	list := slices.Clone(p.list)
	slices.SortStableFunc(list, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line) // what the file does not hold comes last
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return &Error{Problems: slices.Compact(list)}
}

func (p *Problems) at(path string, line int, text string) {
	p.list = append(p.list, Problem{Path: path, Line: line, Text: text})
}

func (p *Problems) note(path string, line int) {
	if p.lines == nil {
		p.lines = map[string]int{}
	}
	p.lines[path] = line
}

func (p *Problems) lineOf(path string) int {
	for path != "" {
		if line, ok := p.lines[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

// join puts a path below a section: "apps[0]" and "apns" become "apps[0].apns", "senders" and "[1]" become "senders[1]".
func join(section, path string) string {
	if section == "" || path == "" || path[0] == '[' {
		return section + path
	}
	return section + "." + path
}

// element is the path of one element of a list.
func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
