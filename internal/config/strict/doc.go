// Package strict reads one YAML document into a Go struct and forgives nothing.
//
// It owns the machinery and none of the keys: unknown and doubled keys, wrong types, overrides from the environment,
// relative paths, and the list of problems with the place of each. Every problem is found in one pass, because a
// person who mends a configuration wants to see all of them. No problem ever quotes a value: a secret that was pasted
// into the wrong key must not reach a terminal or a log.
package strict
