// Package arch holds no code, only tests: the rules of the house that a reader could break without noticing.
//
// Which package may import what, one package comment each, who may read generated code, how large a file or a
// function may grow. A rule that is broken prints its reason.
package arch
