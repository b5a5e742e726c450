package providertest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// Kind names what a service does with a request, in words that fit every service.
type Kind string

// The kinds of answer.
const (
	Dead        Kind = "dead"         // the answer that can only mean a dead pushkey
	Guarded     Kind = "guarded"      // a dead pushkey or a wrong setting, nobody can tell
	Throttled   Kind = "throttled"    // too many requests for this device, with Answer.RetryAfter
	Unavailable Kind = "unavailable"  // 503 in the service's own words
	BadGateway  Kind = "bad gateway"  // 502 with an HTML page
	Unknown     Kind = "unknown"      // a 4xx with a reason that is on no list
	Garbled     Kind = "garbled dead" // the status of Dead with a body that is not the service's
	Empty       Kind = "empty 4xx"    // a 4xx without any body
	TooLarge    Kind = "too large"    // the service finds the message too large
	Reset       Kind = "reset"        // the stream or connection is reset once the request has arrived
	Hang        Kind = "hang"         // the request is read and never answered
)

// Answer is one scripted answer.
type Answer struct {
	Kind       Kind
	RetryAfter time.Duration // only with Throttled; whole seconds
}

// Harness connects the suite to one provider and the simulator of its service. Its functions are called from several
// goroutines at once.
type Harness struct {
	// Provider returns a new provider with good settings that talks to the simulator and logs to logger, at debug level.
	// The suite closes it.
	Provider func(t *testing.T, logger *slog.Logger) provider.Provider
	// Misconfigured is the same with credentials that the service refuses.
	Misconfigured func(t *testing.T, logger *slog.Logger) provider.Provider
	// Unreachable is the same with an endpoint that refuses connections.
	Unreachable func(t *testing.T, logger *slog.Logger) provider.Provider
	// Device returns a valid device with a pushkey that no earlier call returned, and with the data its service needs.
	Device func() push.Device
	// Script makes the service answer the next request for this pushkey with a, and the ones after it with success. It
	// returns false when the service has no such answer: the case is skipped.
	Script func(t *testing.T, key push.Pushkey, a Answer) bool
	// Strangers says that each device brings its own service (Web Push): there is nothing to warm, and one service that is
	// down says nothing about the others, so it must not feed the app's breaker.
	Strangers bool
	// Requests returns how many requests for this pushkey have reached the service, whatever became of them.
	Requests func(key push.Pushkey) int
}
