// Package sqlite keeps the store in one SQLite file in data_dir, for one process.
//
// It owns the file, its lock, its SQL and its migrations. One connection writes and a few read (WAL); concurrent
// writes share a commit, so that many requests pay for one fsync. As nobody else can hold a row, leases live in memory
// and end with the process: a claim writes nothing, and a restart finds every row free. The outbox, whose rows go with
// their pushers, keeps its leases in its rows and ends them when it is opened.
//
// It knows nothing about providers, retries or what a verdict means, and it encrypts only through keyring.
package sqlite
