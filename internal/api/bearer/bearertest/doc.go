// Package bearertest holds people with made-up tokens, for tests of the client APIs.
package bearertest
