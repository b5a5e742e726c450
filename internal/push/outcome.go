package push

import (
	"fmt"
	"time"
)

// Verdict is what a provider's answer means for one device. The zero value is the harmless one: an outcome that nobody
// filled in means "try later" and can never delete a pusher.
type Verdict uint8

// The verdicts.
const (
	RetryAfter Verdict = iota // not delivered, says nothing about the device
	Delivered                 // the provider accepted the notification
	Rejected                  // the pushkey is dead; see Outcome.Certain
)

// String returns the word used in logs and metrics.
func (v Verdict) String() string {
	switch v {
	case Delivered:
		return "delivered"
	case Rejected:
		return "rejected"
	case RetryAfter:
		return "retry"
	default:
		return "retry"
	}
}

// ReasonNothingToSend is the Reason of a Delivered that made no request because the notification holds nothing this
// provider can show. It proves nothing about the device or the credentials.
const ReasonNothingToSend = "nothing_to_send"

// Scope says what a RetryAfter concerns.
type Scope uint8

// The scopes.
const (
	ScopeDevice     Scope = iota // only this device, for instance a per-token quota
	ScopeApp                     // everything of this app, for instance a project quota or an outage
	ScopeConnection              // the connection broke; another one may work at once
)

// Outcome is a provider's answer about one device.
type Outcome struct {
	Verdict Verdict
	// Reason is the provider's word for it, from a fixed list of each provider; "unknown" for what is not on the list,
	// so it is safe as a metric label and never holds what the provider wrote.
	Reason string
	// Delay is how long the provider asked to wait; 0 leaves it to the retry ladder. Only with RetryAfter.
	Delay time.Duration
	Scope Scope
	// Transport marks a RetryAfter without any usable answer: dial error, reset, timeout, 5xx. These count for the breaker.
	Transport bool
	// Since is when the provider saw the pushkey die; zero when it does not say. Only with Rejected.
	Since time.Time
	// Certain is true when the answer can only mean a dead pushkey. False marks a guarded verdict: the same answer
	// also follows from a wrong setting, so it counts only while the reject guard is satisfied. Only with Rejected.
	Certain bool
}

// FaultKind says whose fault a Fault is.
type FaultKind uint8

// The kinds of fault.
const (
	FaultMessage FaultKind = iota // this notification can never be delivered: too large, refused payload, undecodable pushkey
	FaultConfig                   // the app's credentials or settings are wrong: the app is paused
)

// Fault is an error about us. It says nothing about the device, so it can never lead to a rejected pushkey.
type Fault struct {
	Kind   FaultKind
	Reason string // as Outcome.Reason
	Err    error  // cause for the log; must not hold a pushkey, content or a secret
}

// Error describes the fault without its cause's text.
func (f *Fault) Error() string {
	if f.Kind == FaultConfig {
		return fmt.Sprintf("app configuration fault: %s", f.Reason)
	}
	return fmt.Sprintf("message fault: %s", f.Reason)
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }
