package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// CheckPatterns reports every app_id pattern that is empty, or that another one makes ambiguous: the same exact name
// twice, or two patterns that some app_id matches both of. An exact name beside a pattern that covers it is fine, as
// exact beats pattern. Paths look like "[3].app_id".
func CheckPatterns(patterns []string, report func(path, problem string)) {
	path := func(i int) string { return fmt.Sprintf("[%d].app_id", i) }
	first := make(map[string]int, len(patterns))
	var globs []int
	for i, p := range patterns {
		switch earlier, twice := first[p]; {
		case p == "":
			report(path(i), "is required")
		case twice:
			report(path(i), fmt.Sprintf("%q is already configured at [%d]", p, earlier))
		default:
			first[p] = i
			if isGlob(p) {
				globs = append(globs, i)
			}
		}
	}
	// Two patterns can only meet when one's literal prefix begins the other's. Sorted, those follow each other.
	slices.SortStableFunc(globs, func(a, b int) int {
		return cmp.Compare(literalPrefix(patterns[a]), literalPrefix(patterns[b]))
	})
	for k, i := range globs {
		prefix := literalPrefix(patterns[i])
		for _, j := range globs[k+1:] {
			if !strings.HasPrefix(literalPrefix(patterns[j]), prefix) {
				break
			}
			if globOverlap(patterns[i], patterns[j]) {
				late, early := max(i, j), min(i, j)
				report(path(late), fmt.Sprintf("%q and %q at [%d] can match the same app_id", patterns[late], patterns[early], early))
			}
		}
	}
}
