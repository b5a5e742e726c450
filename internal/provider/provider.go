package provider

import (
	"context"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// Provider delivers to one app at one push service. It is safe for concurrent use.
type Provider interface {
	// Send makes one attempt, never a retry, within ctx's deadline. The Outcome is about the device; a non-nil error is a
	// *push.Fault, is about us and says nothing about the device. An answer that nobody knows is the zero Outcome
	// (try later). collapse is the hash that merges what the user sees of repeated copies; zero means none.
	Send(ctx context.Context, n push.Notification, collapse push.Hash) (push.Outcome, error)

	// Warm opens what Send needs (connections, access tokens) before traffic arrives. Failing is not fatal: Send
	// tries again. It sends no notification.
	Warm(ctx context.Context) error

	// Credential tells what the metrics show: when the certificate ends (zero: none) and when the token in use was made
	// (zero: none yet).
	Credential() Credential

	// Close drops connections once requests under way have ended.
	Close() error
}

// Credential is the age of what an app authenticates with.
type Credential struct {
	CertificateExpires time.Time
	TokenIssued        time.Time
}
