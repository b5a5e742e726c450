// Package clientfd serves gematik's Client-FD API from openapi/client-fd.yaml: registrations and channels, below every
// configured base path and, where configured, in E-Rezept's spelling with that deployment's error codes.
//
// It turns requests into calls of the registry and what comes back into answers. Who calls is internal/api/bearer's,
// which registrations and channels are valid is internal/pusher's.
package clientfd
