package fcm

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// durationText is protobuf's JSON form of a duration that is not negative.
var durationText = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,9})?s$`)

// checkOptions reports what FCM would refuse in every message, so that an operator learns it at start and not from
// a phone that stays silent.
func checkOptions(options map[string]any, report func(path, problem string)) {
	checkObject("options", options, messageSchema(), report)
	data, _ := options["data"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if reservedKey(name) {
			report("options.data."+name, "is reserved by FCM")
		}
	}
}

func checkObject(path string, object map[string]any, schema map[string]member, report func(path, problem string)) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := path + "." + name
		known := snake(name)
		m, ok := schema[known]
		switch {
		case !ok:
			report(at, "is not a member of FCM's v1 message")
		case seen[known]:
			report(at, "is given twice, in snake case and in camel case")
		default:
			checkMember(at, object[name], m, report)
		}
		seen[known] = true
	}
}

func checkMember(path string, value any, m member, report func(path, problem string)) {
	switch m.kind {
	case kindRefused:
		report(path, m.why)
	case kindObject:
		if object, ok := value.(map[string]any); ok {
			checkObject(path, object, m.of, report)
		} else {
			report(path, "must be an object")
		}
	case kindFree:
		if _, ok := value.(map[string]any); !ok {
			report(path, "must be an object")
		} else if _, err := json.Marshal(value); err != nil {
			report(path, "cannot be written as JSON")
		}
	default:
		if problem := checkScalar(value, m); problem != "" {
			report(path, problem)
		}
	}
}

// checkScalar returns the problem of a value that is not an object of ours, empty for none.
func checkScalar(value any, m member) string {
	switch m.kind {
	case kindFlag:
		return unless(isA[bool](value), "must be true or false")
	case kindCount:
		return unless(isWhole(value), "must be a whole number")
	case kindNumber:
		return unless(isWhole(value) || isFinite(value), "must be a number")
	case kindDuration:
		return unless(isDuration(value), `must be seconds as text, such as "3600s"`)
	case kindTexts:
		return unless(allOf(value, isText), "must be a list of texts")
	case kindTimings:
		return unless(allOf(value, isDuration), `must be a list of seconds as text, such as "0.5s"`)
	case kindTextMap:
		object, ok := value.(map[string]any)
		for _, v := range object {
			ok = ok && isText(v)
		}
		return unless(ok, "must be an object whose values are texts")
	case kindWord:
		word, ok := value.(string)
		return unless(ok && slices.Contains(m.words, word), "must be one of "+strings.Join(m.words, ", "))
	case kindText, kindFree, kindObject, kindRefused:
		return unless(isText(value), "must be a text")
	default:
		return "has an unknown type"
	}
}

func unless(ok bool, problem string) string {
	if ok {
		return ""
	}
	return problem
}

func isA[T any](value any) bool {
	_, ok := value.(T)
	return ok
}

// isText accepts a time too: YAML reads an unquoted timestamp as one, and it is written as text again.
func isText(value any) bool {
	s, ok := value.(string)
	return ok && utf8.ValidString(s) || isA[time.Time](value)
}

func isDuration(value any) bool {
	s, ok := value.(string)
	return ok && durationText.MatchString(s)
}

func isWhole(value any) bool {
	switch reflect.ValueOf(value).Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	default:
		return false
	}
}

func isFinite(value any) bool {
	f, ok := value.(float64)
	return ok && !math.IsNaN(f) && !math.IsInf(f, 0)
}

func allOf(value any, is func(any) bool) bool {
	list, ok := value.([]any)
	return ok && !slices.ContainsFunc(list, func(v any) bool { return !is(v) })
}

// snake turns protobuf's camel case into snake case: FCM accepts both.
func snake(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
