// Package arch holds no code, only tests: the rules of the house that a reader could break without noticing.
//
// Which package may import what, one package comment each, who may read generated code, how large a file, a function
// or the README may grow, why a dependency is there. A rule that is broken prints its reason.
package arch
