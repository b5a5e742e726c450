// Package storetest is the conformance suite of the store: what internal/store promises, every implementation must
// pass. It owns the cases, a randomised model test and the benchmarks; each implementation brings a Harness.
package storetest
