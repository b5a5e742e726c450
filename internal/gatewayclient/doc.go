// Package gatewayclient calls push gateways: gematik's batches and the Matrix notify, with the generated client types of
// openapi/push-gateway.yaml.
//
// It owns the shape of a call: address, X-Request-Id, time, size of the answer, and what counts as an answer. It makes one
// call and never repeats it; retrying, pausing and what an answer means for a pusher are internal/dispatch. Which
// addresses may be dialled, and with which certificates, is decided by the HTTP client that it is given (internal/egress
// with internal/mtls).
package gatewayclient
