package strict

import (
	"reflect"
	"strings"
)

// field is one key of a section.
type field struct {
	name  string
	index []int
}

// fields lists the keys of a struct type in the order of their declaration. Fields without a yaml tag are not keys;
// an inlined struct lends its keys to the section around it.
func fields(t reflect.Type) []field {
	var all []field
	for f := range t.Fields() {
		tag, ok := f.Tag.Lookup("yaml")
		name, options, _ := strings.Cut(tag, ",")
		if !ok || name == "-" || !f.IsExported() {
			continue
		}
		if options == "inline" {
			for _, inner := range fields(f.Type) {
				all = append(all, field{name: inner.name, index: append([]int{f.Index[0]}, inner.index...)})
			}
			continue
		}
		all = append(all, field{name: name, index: f.Index})
	}
	return all
}

// names returns what a person may write in a section, for suggestions.
func names(all []field) []string {
	list := make([]string, len(all))
	for i, f := range all {
		list[i] = f.name
	}
	return list
}

// closest returns the name that word was most likely meant to be: one typing error away, two in a longer name. Empty
// when there is none.
func closest(word string, names []string) string {
	best, bestCost := "", 3
	for _, n := range names {
		if cost := distance(strings.ToLower(word), n); cost < bestCost && cost <= max(1, len(n)/3) {
			best, bestCost = n, cost
		}
	}
	return best
}

// distance is the number of letters to insert, delete or change on the way from a to b. Long words are cut: a
// suggestion is not worth more.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
