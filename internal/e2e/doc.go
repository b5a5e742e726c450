// Package e2e holds no code, only tests of whole processes: the built binary with a real configuration file against
// simulators in another process.
//
// The oracle is accepted minus received: what a caller was promised with a 2xx must arrive at a simulator, be reported
// as rejected, or be counted as dead-lettered or expired.
package e2e
