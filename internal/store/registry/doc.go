// Package registry is the form in which both engines keep pushers: which parts are sealed and bound to their row, and by
// which keyed hashes a row is found.
//
// It owns the layout of sealed values and the purposes of the hashes, so that the two sets of SQL cannot come to differ
// in them. It knows no SQL and no rule about pushers.
package registry
