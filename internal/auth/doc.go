// Package auth owns the question who is calling the client APIs: a bearer token in, an Identity out. Tokens are known by
// a file of hashes, by the signature of a configured issuer (JWT), or by asking the homeserver (whoami). Per realm the
// first source that knows the token wins, and nothing crosses realms.
//
// It also owns the limits on writes per user and per address. It does not own the TLS client certificates of servers
// (internal/mtls), what an identity may do (internal/pusher), or how errors look on the wire (internal/api). A token
// never reaches a log, an error text or a cache: what is remembered is its SHA-256.
package auth
