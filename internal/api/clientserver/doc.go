// Package clientserver serves the pushers of the Matrix Client-Server API from openapi/client-server.yaml, below every
// configured base path.
//
// It turns a request into a pusher.Change and a list of pushers into an answer. Who calls is internal/api/bearer's,
// which pushers are valid and whom they evict is internal/pusher's.
package clientserver
