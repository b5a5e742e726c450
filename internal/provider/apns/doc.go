// Package apns delivers to iOS and macOS apps through Apple's push service (APNs).
//
// It owns one app's credentials (a .p8 key or a certificate), its HTTP/2 connections, the payloads that existing Matrix
// apps and gematik apps read, and the one table that turns an answer of Apple into a verdict. It makes one attempt per
// Send. It does not retry, queue, suppress duplicates, or compare Apple's time of death with pushkey_ts: the gateway
// does. The SDK, sideshow/apns2, builds the requests; its gaps are filled by the RoundTripper in transport.go.
package apns
