package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// App is one configured app: where notifications for matching app_ids go.
type App struct {
	// Pattern is an exact app_id, or a pattern with * (any run, also empty) and ? (one character).
	Pattern  string
	Provider provider.Provider
	// Kind names the push service in metrics: apns, fcm, webpush.
	Kind string
	// MaxInFlight bounds the requests under way at the provider; 0 takes 1000.
	MaxInFlight int
	// Fingerprint changes with the settings and credentials that a verdict of this app depends on.
	Fingerprint string
	// Lifetime is how long a notification of this app is worth delivering; 0 takes retention. VoIP calls live 30 s.
	Lifetime time.Duration
}

// Options is what a Gateway is made of. All fields but Observer and Logger are required.
type Options struct {
	Config   Config
	Apps     []App
	Senders  []Sender
	Queue    Queue
	Ledger   Ledger
	Hasher   Hasher
	Observer Observer
	Logger   *slog.Logger
}

// Gateway delivers notifications. It is safe for concurrent use.
type Gateway struct{}

var errSkeleton = errors.New("gateway: not built yet")

// New loads what is durable (dead pushkeys, what is queued) and returns a gateway that delivers; Start runs its workers.
func New(Options) (*Gateway, error) { return nil, errSkeleton }

// Start runs the retry workers until Stop. It returns at once.
func (g *Gateway) Start(context.Context) error { return errSkeleton }

// Stop ends the workers: attempts under way finish, or their rows are handed back when ctx ends first.
func (g *Gateway) Stop(context.Context) error { return errSkeleton }

// Deliver attempts all notifications at once, commits what is left, and answers one Delivery for each, in order. The
// error is a *push.Error (Unavailable with RetryAfter) when a device is neither final nor durably queued: the caller
// repeats the whole request, and what was delivered is not delivered again. A caller that hangs up changes nothing.
func (g *Gateway) Deliver(context.Context, push.Caller, []push.Notification) ([]push.Delivery, error) {
	return nil, errSkeleton
}

// Reload takes new settings atomically: either all of them or, with an error, none. Requests under way keep the old
// providers, which are closed when the last one ends.
func (g *Gateway) Reload(Config, []App, []Sender) error { return errSkeleton }

// Stats returns gauges and counters as of now. It reads memory only.
func (g *Gateway) Stats() Stats { return Stats{} }
