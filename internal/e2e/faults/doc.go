// Package faults holds no code, only tests: each fault that a push gateway meets, against the built binary and the
// simulators, with the oracle of the promise.
//
// The sender's log of what was answered 2xx stands against the simulators' receipts. Lost is what was promised and never
// arrived, expired or got a terminal verdict; a false reject is a pushkey in `rejected` whose provider never said that it
// is dead. Both must be 0 in every row; duplicates are bounded row by row; times are printed and never asserted.
//
// FAULTS=full takes the outages as long as they last in life, 200 kills and 1,000 reloads, on SQLite and on PostgreSQL.
// Without it the same rows run with short outages.
package faults
