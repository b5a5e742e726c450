package importer

import (
	"errors"
	"fmt"
	"sort"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Note is what the import has to say about one key of the foreign file.
type Note struct {
	Key  string // path in the foreign file, apps.com.example.ios.keyfile
	Text string
}

// Result is a configuration of ours with everything there is to say about it.
type Result struct {
	YAML []byte
	// Files are secrets that the foreign file held inline, by name, to be written 0600 beside the configuration.
	Files map[string]string
	Notes []Note
}

// source is one mapping of the foreign file. It remembers which keys were looked at, so that none is ignored silently.
type source struct {
	path   string
	values map[string]*yaml.Node
	seen   map[string]bool
	notes  *[]Note
}

var errNoMapping = errors.New("the file is not a YAML mapping")

// parse reads a foreign file.
func parse(text []byte, notes *[]Note) (*source, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errNoMapping
	}
	return mapping("", doc.Content[0], notes), nil
}

// maxMerges bounds how many merges one mapping may take in; a mapping that merges itself ends there.
const maxMerges = 64

func mapping(path string, node *yaml.Node, notes *[]Note) *source {
	s := &source{path: path, values: map[string]*yaml.Node{}, seen: map[string]bool{}, notes: notes}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i]
		if name.Tag == "!!merge" {
			continue
		}
		if _, twice := s.values[name.Value]; twice {
			s.note(name.Value, "is given twice; the last one counts, as for Sygnal and every other YAML reader in use")
		}
		s.values[name.Value] = resolve(node.Content[i+1])
	}
	left := maxMerges
	s.merge(node, &left)
	return s
}

// merge adds what merge keys (<<: *anchor) bring; a key of the mapping's own wins, and of several merged ones the first.
func (s *source) merge(node *yaml.Node, left *int) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Tag != "!!merge" {
			continue
		}
		from := resolve(node.Content[i+1])
		list := []*yaml.Node{from}
		if from.Kind == yaml.SequenceNode {
			list = from.Content
		}
		for _, one := range list {
			s.adopt(resolve(one), left)
		}
	}
}

func (s *source) adopt(node *yaml.Node, left *int) {
	if *left--; *left < 0 || node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i]
		if _, have := s.values[name.Value]; !have && name.Tag != "!!merge" {
			s.values[name.Value] = resolve(node.Content[i+1])
		}
	}
	s.merge(node, left)
}

// resolve follows an alias to its anchor.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// key returns the full path of a key.
func (s *source) key(name string) string {
	if s.path == "" {
		return name
	}
	return s.path + "." + name
}

// note says something about a key.
func (s *source) note(name, format string, args ...any) {
	*s.notes = append(*s.notes, Note{Key: s.key(name), Text: fmt.Sprintf(format, args...)})
}

// get returns a key's node, nil when it is absent or null, and marks it as looked at.
func (s *source) get(name string) *yaml.Node {
	s.seen[name] = true
	n := s.values[name]
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	return n
}

// has reports whether a key is present and not null.
func (s *source) has(name string) bool { return s.get(name) != nil }

// text returns a scalar, empty when absent.
func (s *source) text(name string) string {
	n := s.get(name)
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		s.note(name, "is not a single value and was left out")
		return ""
	}
	return n.Value
}

// number returns a whole number, and whether there is a valid one.
func (s *source) number(name string) (int, bool) {
	text := s.text(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		s.note(name, "is not a whole number and was left out")
		return 0, false
	}
	return n, true
}

// flag returns a boolean, otherwise when absent.
func (s *source) flag(name string, otherwise bool) bool {
	n := s.get(name)
	if n == nil {
		return otherwise
	}
	var b bool
	if n.Decode(&b) != nil {
		s.note(name, "is not true or false and was taken as %t", otherwise)
		return otherwise
	}
	return b
}

// texts returns a list of scalars; a single one counts as a list of one.
func (s *source) texts(name string) []string {
	n := s.get(name)
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var list []string
	if n.Decode(&list) != nil {
		s.note(name, "is not a list of texts and was left out")
		return nil
	}
	return list
}

// value returns whatever a key holds, aliases expanded; nil when absent.
func (s *source) value(name string) any {
	n := s.get(name)
	if n == nil {
		return nil
	}
	var v any
	if n.Decode(&v) != nil {
		s.note(name, "cannot be read and was left out")
		return nil
	}
	return v
}

// sub returns a mapping below this one; an empty one when absent.
func (s *source) sub(name string) *source {
	n := s.get(name)
	if n == nil {
		return mapping(s.key(name), &yaml.Node{}, s.notes)
	}
	if n.Kind != yaml.MappingNode {
		s.note(name, "is not a mapping and was left out")
		return mapping(s.key(name), &yaml.Node{}, s.notes)
	}
	return mapping(s.key(name), n, s.notes)
}

// subs returns the mappings of a list.
func (s *source) subs(name string) []*source {
	n := s.get(name)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		s.note(name, "is not a list and was left out")
		return nil
	}
	var list []*source
	for i, item := range n.Content {
		item = resolve(item)
		path := fmt.Sprintf("%s[%d]", name, i)
		if item.Kind != yaml.MappingNode {
			s.note(path, "is not a mapping and was left out")
			continue
		}
		list = append(list, mapping(s.key(path), item, s.notes))
	}
	return list
}

// names returns the keys in order.
func (s *source) names() []string {
	all := make([]string, 0, len(s.values))
	for name := range s.values {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}

// dropped notes keys that have no counterpart, if they are present.
func (s *source) dropped(why string, names ...string) {
	for _, name := range names {
		if _, ok := s.values[name]; ok {
			s.seen[name] = true
			s.note(name, "has no counterpart: %s", why)
		}
	}
}

// rest notes every key that nobody looked at.
func (s *source) rest() {
	for _, name := range s.names() {
		if !s.seen[name] {
			s.note(name, "is not a key of this file's format and was left out")
		}
	}
}
