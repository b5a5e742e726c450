// Package dispatchtest holds what tests of the outbox share: a dispatch.Store in memory, on a registry of pushers, and
// Conform, the suite that every implementation of dispatch.Store must pass.
//
// It belongs to tests only and decides nothing itself.
package dispatchtest
