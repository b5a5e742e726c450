// Package pushertest holds what tests of pushers share: a Store in memory for tests of rules and handlers, and Conform,
// the suite that every implementation of pusher.Store must pass.
//
// It belongs to tests only and decides nothing itself.
package pushertest
