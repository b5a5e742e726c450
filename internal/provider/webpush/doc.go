// Package webpush delivers to browsers through Web Push services (RFC 8030, 8291, 8292).
//
// It owns the payload that Matrix web clients read, the VAPID signature, the encryption through webpush-go, and what
// an answer means. The endpoint is chosen by strangers: this package checks scheme and host, and the HTTP client it is
// given must check the dialled address and follow no redirect (internal/egress makes such a client).
package webpush
