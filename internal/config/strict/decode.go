package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The walk visits at most extraNodes plus nodesPerByte for each byte of the document: a few lines can name billions of
// nodes by aliases of aliases, and honest aliases repeat a section some times.
const (
	extraNodes   = 10_000
	nodesPerByte = 4
)

// Defaults makes the values that optional sections and list elements start from, by type.
type Defaults map[reflect.Type]func() reflect.Value

// Default registers the value that a T starts from when the document mentions one.
func Default[T any](d Defaults, value func() T) {
	d[reflect.TypeFor[T]()] = func() reflect.Value { return reflect.ValueOf(value()) }
}

// Decode reads a document into the struct that into points to. What the document does not mention keeps its value.
func Decode(document []byte, into any, defaults Defaults, problems *Problems) {
	d := decoder{defaults: defaults, problems: problems, left: extraNodes + nodesPerByte*len(document)}
	root, ok := d.parse(document)
	if !ok {
		return
	}
	d.value(root, reflect.ValueOf(into).Elem(), "")
}

type decoder struct {
	defaults Defaults
	problems *Problems
	left     int // nodes that may still be visited
}

// parse returns the root of the only document, false when there is nothing (more) to decode.
func (d *decoder) parse(document []byte) (*yaml.Node, bool) {
	var doc, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(document))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, false // an empty file: the defaults
	case err != nil:
		d.syntax(err)
		return nil, false
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		d.problems.at("", second.Line, "a second YAML document follows")
	case !errors.Is(err, io.EOF):
		d.syntax(err)
		return nil, false
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || isNull(doc.Content[0]) {
		return nil, false
	}
	return doc.Content[0], true
}

var lineInError = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// syntax reports what the YAML reader could not read. Its texts name the construct, never the content, except for
// anchors, which are names.
func (d *decoder) syntax(err error) {
	text, line := err.Error(), 0
	if m := lineInError.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	d.problems.at("", line, "not YAML: "+strings.TrimPrefix(text, "yaml: "))
}

// count reports whether one more node may be walked.
func (d *decoder) count(node *yaml.Node) bool {
	d.left--
	if d.left == 0 {
		d.problems.at("", node.Line, "too large once its aliases are followed")
	}
	return d.left > 0
}

// value decodes node into v, whatever v is.
func (d *decoder) value(node *yaml.Node, v reflect.Value, path string) {
	if !d.count(node) {
		return
	}
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if isNull(node) {
		// "key:" without a value is harmless where the default is empty too, and ambiguous everywhere else.
		if v.Kind() != reflect.Struct && !v.IsZero() {
			d.problems.at(path, node.Line, "has no value: write one, or leave the key out for the default")
		}
		return
	}
	switch {
	case isScalar(v.Type()):
		d.scalar(node, v, path)
	case v.Kind() == reflect.Struct:
		d.section(node, v, path)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		v.Elem().Set(d.fresh(v.Type().Elem()))
		d.value(node, v.Elem(), path)
	case v.Kind() == reflect.Slice:
		d.list(node, v, path)
	case v.Kind() == reflect.Map:
		d.table(node, v, path)
	case v.Kind() == reflect.Interface:
		if free, ok := d.free(node, path, maxDepth); ok && free != nil {
			v.Set(reflect.ValueOf(free))
		}
	default:
		panic(fmt.Sprintf("strict: %s has the type %s, which no document can hold", path, v.Type()))
	}
}

func (d *decoder) fresh(t reflect.Type) reflect.Value {
	if value, ok := d.defaults[t]; ok {
		return value()
	}
	return reflect.Zero(t)
}

func (d *decoder) scalar(node *yaml.Node, v reflect.Value, path string) {
	if node.Kind != yaml.ScalarNode {
		d.problems.at(path, node.Line, "must be a single value, not "+kindName(node))
		return
	}
	if err := setScalar(v, node.Value); err != nil {
		d.problems.at(path, node.Line, err.Error())
	}
}

func (d *decoder) section(node *yaml.Node, v reflect.Value, path string) {
	known := fields(v.Type())
	for _, e := range d.entries(node, path) {
		at := join(path, e.key)
		i := indexOf(known, e.key)
		if i < 0 {
			text := "unknown key"
			if near := closest(e.key, names(known)); near != "" {
				text += ", did you mean " + near + "?"
			}
			d.problems.at(at, e.line, text)
			continue
		}
		d.problems.note(at, e.line)
		d.value(e.value, v.FieldByIndex(known[i].index), at)
	}
}

func (d *decoder) list(node *yaml.Node, v reflect.Value, path string) {
	if node.Kind != yaml.SequenceNode {
		d.problems.at(path, node.Line, "must be a list, not "+kindName(node))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		at := element(path, i)
		d.problems.note(at, item.Line)
		list.Index(i).Set(d.fresh(v.Type().Elem()))
		d.value(item, list.Index(i), at)
	}
	v.Set(list)
}

func (d *decoder) table(node *yaml.Node, v reflect.Value, path string) {
	table := reflect.MakeMap(v.Type())
	for _, e := range d.entries(node, path) {
		at := join(path, e.key)
		d.problems.note(at, e.line)
		item := reflect.New(v.Type().Elem()).Elem()
		item.Set(d.fresh(item.Type()))
		d.value(e.value, item, at)
		table.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), item)
	}
	v.Set(table)
}

func indexOf(all []field, name string) int {
	for i, f := range all {
		if f.name == name {
			return i
		}
	}
	return -1
}
