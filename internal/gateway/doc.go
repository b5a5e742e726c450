// Package gateway keeps the promise: every device of a request that was answered 2xx is delivered to its provider,
// reported as dead or failed, or durably queued.
//
// It routes by app_id, answers for pushkeys that are known to be dead, suppresses duplicates, attempts all devices of a
// request at once, judges what the providers said, commits what is left in one transaction before it answers, and
// retries that later. It owns the only retry loop, the circuit breaker and the pause of an app, the reject guard,
// admission under overload, and the account in which nothing may go missing.
//
// It owns no wire format, no HTTP, no SQL and no provider knowledge: those are behind push, provider.Provider and the
// small ports of this package (Queue, Ledger, Hasher, Observer).
//
// The way of one notification: deliver.go (one request), route.go, dead.go (known dead pushkeys), recall.go
// (duplicates), flight.go (one attempt, shared by twins), slots.go and gate.go (may it go out now), attempt.go, judge.go
// with guard.go (what the answer means), save.go (durable before the answer); later worker.go, retry.go and settle.go.
package gateway
