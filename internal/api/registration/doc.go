// Package registration reads the members that a registration has in both client APIs, Matrix's and gematik's.
//
// It owns which of them count as absent, and nothing else: each API translates its own generated types, and what a
// registration may hold is decided by internal/pusher.
package registration
