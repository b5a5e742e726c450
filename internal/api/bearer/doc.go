// Package bearer says who calls a client API: it reads the bearer token of a request, asks whose it is, and counts
// writes against the limits, all before anything of the body is read.
//
// It owns the order of these steps and nothing else: tokens, identities and limits are internal/auth's, what an identity
// may do is internal/pusher's.
package bearer
