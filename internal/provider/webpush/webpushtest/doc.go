// Package webpushtest opens encrypted Web Push messages for tests, with the standard library's cryptography only.
//
// It is written from RFC 8291 and RFC 8188 and shares no code with the provider's library nor with the simulator, so that
// what it can read, a browser can read.
package webpushtest
