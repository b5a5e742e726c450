package strict

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Override sets scalar keys from environment variables. The name of a key is prefix plus its path in capitals with
// underscores for dots: listen.tls.cert_file is PUSHGATE_LISTEN_TLS_CERT_FILE. Keys inside lists and tables have none.
// A variable that is set and empty sets the empty value. Every other variable that begins with prefix is a problem, for
// it is most likely a misspelt key, except what Kubernetes adds to each container for a service of our name.
func Override(into any, prefix string, environ []string, problems *Problems) {
	known := map[string]variable{}
	collect(reflect.ValueOf(into).Elem(), "", func(v variable) { known[variableName(prefix, v.path)] = v })
	for _, line := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		v, ok := known[name]
		switch {
		case ok && v.scalar:
			if err := setScalar(v.value, text); err != nil {
				problems.at(v.path, 0, fmt.Sprintf("%s (from the environment variable %s)", err, name))
			}
		case ok:
			problems.at(v.path, 0, fmt.Sprintf("cannot be set by the environment variable %s, only in the file", name))
		case !serviceLink.MatchString(name):
			problems.at("", 0, unknownVariable(name, known))
		}
	}
}

// serviceLink matches the variables that Kubernetes derives from services: PUSHGATE_SERVICE_HOST, PUSHGATE_PORT,
// PUSHGATE_ADMIN_PORT_8081_TCP_ADDR and so on.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// variable is a key that has a name of its own in the environment.
type variable struct {
	path   string
	value  reflect.Value
	scalar bool
}

// collect visits every key above lists and tables.
func collect(section reflect.Value, path string, visit func(variable)) {
	for _, f := range fields(section.Type()) {
		v := section.FieldByIndex(f.index)
		at := join(path, f.name)
		switch {
		case isScalar(v.Type()):
			visit(variable{at, v, true})
		case v.Kind() == reflect.Struct:
			collect(v, at, visit)
		default:
			visit(variable{at, v, false})
		}
	}
}

// Variables lists the names of all scalar keys, in the order of the struct, for documentation and for tests.
func Variables(of any, prefix string) []string {
	var all []string
	collect(reflect.ValueOf(of).Elem(), "", func(v variable) {
		if v.scalar {
			all = append(all, variableName(prefix, v.path))
		}
	})
	return all
}

func variableName(prefix, path string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

func unknownVariable(name string, known map[string]variable) string {
	list := make([]string, 0, len(known))
	for n := range known {
		list = append(list, strings.ToLower(n))
	}
	slices.Sort(list) // so that of two equally close names the same one is suggested each time
	text := "the environment variable " + name + " names no key"
	if near := closest(name, list); near != "" {
		text += ", did you mean " + strings.ToUpper(near) + "?"
	}
	return text
}

// Changed lists the keys in which two structs of one type differ, in the order of the struct. A list or table is one
// key. Both are pointers.
func Changed(a, b any) []string {
	var values []reflect.Value
	collect(reflect.ValueOf(a).Elem(), "", func(v variable) { values = append(values, v.value) })
	var keys []string
	i := 0
	collect(reflect.ValueOf(b).Elem(), "", func(v variable) {
		if !same(values[i], v.value) {
			keys = append(keys, v.path)
		}
		i++
	})
	return keys
}

// same compares two values of one key. An empty list is the same as none.
func same(a, b reflect.Value) bool {
	if k := a.Kind(); (k == reflect.Slice || k == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
