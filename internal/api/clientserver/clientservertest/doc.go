// Package clientservertest holds what the Matrix specification and its test suites say about pushers, as requests and
// answers, to be run over every implementation of pusher.Store.
//
// The case names quote the section of the facts that they come from; [S] is the specification, [T] a test of another
// project, [D] a decision of ours where both are silent.
package clientservertest
