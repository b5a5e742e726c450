package strict

import (
	"fmt"
	"math"

	"go.yaml.in/yaml/v3"
)

// The short tags of YAML's core schema that matter here.
const (
	tagNull  = "!!null"
	tagBool  = "!!bool"
	tagInt   = "!!int"
	tagFloat = "!!float"
	tagMerge = "!!merge"
)

// maxMerges bounds merge keys inside merge keys; an anchor that merges itself would never end.
const maxMerges = 16

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == tagNull }

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

// entry is one key of a mapping.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// entries lists the keys of a mapping in order, each once, merge keys (<<) followed. It reports doubled keys and keys
// that are not plain words.
func (d *decoder) entries(node *yaml.Node, path string) []entry {
	if node.Kind != yaml.MappingNode {
		d.problems.at(path, node.Line, "must be a section with keys, not "+kindName(node))
		return nil
	}
	var all []entry
	seen := map[string]int{} // key to line
	var merged []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode || isNull(key) {
			d.problems.at(path, key.Line, "holds a key that is not a word")
			continue
		}
		if key.ShortTag() == tagMerge {
			merged = append(merged, value)
			continue
		}
		if first, twice := seen[key.Value]; twice {
			d.problems.at(join(path, key.Value), key.Line, fmt.Sprintf("given twice, first on line %d", first))
			continue
		}
		seen[key.Value] = key.Line
		all = append(all, entry{key.Value, key.Line, value})
	}
	for _, m := range merged {
		all = d.merge(m, path, all, seen, maxMerges)
	}
	return all
}

// merge adds the keys of a merged mapping, or of a list of them, that are not there yet: the section's own win, then
// the first.
func (d *decoder) merge(node *yaml.Node, path string, all []entry, seen map[string]int, depth int) []entry {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if depth == 0 || !d.count(node) {
		d.problems.at(path, node.Line, "merges too much with <<")
		return all
	}
	if node.Kind == yaml.SequenceNode {
		for _, item := range node.Content {
			all = d.merge(item, path, all, seen, depth-1)
		}
		return all
	}
	if node.Kind != yaml.MappingNode {
		d.problems.at(path, node.Line, "<< must name a section")
		return all
	}
	var deeper []*yaml.Node
	for i := 0; i+1 < len(node.Content) && d.count(node); i += 2 {
		key := node.Content[i]
		if key.ShortTag() == tagMerge {
			deeper = append(deeper, node.Content[i+1])
			continue
		}
		if _, have := seen[key.Value]; have || key.Kind != yaml.ScalarNode {
			continue
		}
		seen[key.Value] = key.Line
		all = append(all, entry{key.Value, key.Line, node.Content[i+1]})
	}
	for _, m := range deeper {
		all = d.merge(m, path, all, seen, depth-1)
	}
	return all
}

// maxDepth bounds values of free shape: an anchor may hold itself.
const maxDepth = 64

// free decodes a value whose shape belongs to somebody else (fcm.options): maps with string keys, lists, strings,
// booleans, int64, uint64, float64. What only YAML knows (dates, binary) stays the text that was written.
func (d *decoder) free(node *yaml.Node, path string, depth int) (any, bool) {
	if !d.count(node) {
		return nil, false
	}
	if depth == 0 {
		d.problems.at(path, node.Line, "is nested too deep")
		return nil, false
	}
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		table := map[string]any{}
		for _, e := range d.entries(node, path) {
			at := join(path, e.key)
			d.problems.note(at, e.line)
			if v, ok := d.free(e.value, at, depth-1); ok {
				table[e.key] = v
			}
		}
		return table, true
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for i, item := range node.Content {
			v, ok := d.free(item, element(path, i), depth-1)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return list, true
	default:
		return d.freeScalar(node, path)
	}
}

func (d *decoder) freeScalar(node *yaml.Node, path string) (any, bool) {
	switch node.ShortTag() {
	case tagNull:
		return nil, true
	case tagBool, tagInt, tagFloat:
		var v any
		if err := node.Decode(&v); err != nil {
			d.problems.at(path, node.Line, "cannot be read")
			return nil, false
		}
		if n, ok := v.(int); ok {
			return int64(n), true
		}
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			d.problems.at(path, node.Line, "must be a number that JSON can hold")
			return nil, false
		}
		return v, true
	default:
		return node.Value, true
	}
}
