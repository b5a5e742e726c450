// Package store is the contract for everything durable: the retry queue, the ledger of dead pushkeys, pushers and
// channel choices, month keys, the outbox. Two packages implement it, sqlite and postgres, each with its own SQL and its
// own migrations; storetest is the suite that both pass.
//
// It owns encryption at rest, the look-up hashes, leases and fencing. It knows nothing about providers, retries or
// what a verdict means.
package store
