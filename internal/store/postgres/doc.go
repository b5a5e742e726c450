// Package postgres keeps the store in PostgreSQL, shared by several nodes.
//
// It owns its SQL and its migrations. Every device with rows has one line in queue_device: whoever changes the rows or
// leases of a device locks that line first, devices in order, so that transactions hardly ever wait in a circle. So do
// claims, although they pass over what others hold (SKIP LOCKED). Leases and due times go by the database's clock: times
// cross the wire as distances from now. In the registry and the outbox that lock is the pusher's row: pushers are locked
// in the order of their numbers, then what belongs to them. The ledger has one lock for all its entries, taken after
// lines. Statements of one transaction travel together, so no lock waits for a node, except in a claim and in a
// submission, which plans under its locks.
//
// It knows nothing about providers, retries or what a verdict means, and it encrypts only through keyring.
package postgres
