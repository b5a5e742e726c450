// Package harness starts the built binary for tests of whole processes: a gateway with a real configuration file,
// simulators in another process, and a TCP proxy that can cut, freeze and slow what lies between.
//
// It owns processes and files, and asserts nothing about pushgate itself.
package harness
