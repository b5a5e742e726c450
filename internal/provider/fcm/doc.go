// Package fcm delivers to one app through Firebase Cloud Messaging's HTTP v1 API, with the Firebase Admin SDK.
//
// It owns the message's bytes (payload.go), the verdict on each answer (classify.go), the app's settings (config.go,
// options.go), the OAuth token (token.go) and the connections (transport.go). It does not retry: the SDK's own retries
// are switched off in transport.go, and what an answer leads to is the gateway's business.
//
// A message is always a data message: an app that decrypts or words its own notifications would never be woken if the
// message carried a notification block. There is never a collapse key: FCM throttles collapsible messages to bursts of
// 20 per device, which stalls a chat.
package fcm
