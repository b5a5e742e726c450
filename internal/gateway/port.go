package gateway

import (
	"context"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// Queue is the durable queue that the gateway stands on; internal/store states what each method promises.
type Queue interface {
	Enqueue(ctx context.Context, rows []push.Queued, lease time.Duration) ([]push.Enqueued, error)
	Claim(ctx context.Context, app push.AppID, limit int, lease time.Duration) ([]push.Queued, error)
	Renew(ctx context.Context, held []push.Held, lease time.Duration) ([]bool, error)
	Settle(ctx context.Context, done []push.Settlement) ([]bool, error)
	Release(ctx context.Context, held []push.Held) error
	DropBadges(ctx context.Context, before map[push.Hash]time.Time) (map[push.AppID]int, error)
	Expire(ctx context.Context, limit int) (map[push.AppID]int, error)
	Backlog(ctx context.Context) ([]push.Backlog, error)
	Waiting(ctx context.Context, each func(row push.Queued)) error
	WakeOn(ctx context.Context, app push.AppID) error
	Ping(ctx context.Context) error
}

// Ledger is the durable list of dead pushkeys; internal/store states what each method promises.
type Ledger interface {
	Record(ctx context.Context, dead []push.DeadKey) error
	Clear(ctx context.Context, app push.AppID, device push.Hash) error
	Changes(ctx context.Context, after int64, limit int) ([]push.DeadKey, error)
	Changed() <-chan struct{}
	Settings(ctx context.Context, app push.AppID, fingerprint push.Hash) error
	Prune(ctx context.Context, t time.Time) error
}

// Admin is what the commands of the person on call stand on; internal/store states what each method promises. No method
// shows a payload or a pushkey.
type Admin interface {
	ListQueued(ctx context.Context, app push.AppID, after int64, limit int) ([]push.Queued, error)
	ShowQueued(ctx context.Context, id int64) (push.Queued, bool, error)
	RetryQueued(ctx context.Context, app push.AppID, ids []int64) (int, error)
	PurgeQueued(ctx context.Context, app push.AppID, ids []int64) (map[push.AppID]int, error)
	ListDead(ctx context.Context, app push.AppID, after int64, limit int) ([]push.DeadKey, error)
	ForgetDead(ctx context.Context, app push.AppID, devices []push.Hash) (int, error)
}

// Hasher computes keyed hashes that stay the same over restarts and between nodes.
type Hasher interface {
	Hash(purpose string, parts ...string) push.Hash
}

// Observer hears what happens, for metrics and alerts. Every text is from a bounded list: app is a configured pattern
// ("unknown" for app_ids that are not configured), kind the push service, reason a provider's fixed word. Methods are
// called on the hot path and must not block.
type Observer interface {
	// Attempt ends one request to a provider. Result is delivered, rejected, retry, fault_message, fault_config or panic.
	Attempt(app, kind, result, reason string, took time.Duration)
	// Final is what became of one device's notification: delivered, rejected, dead_lettered, expired; or, not final,
	// queued (stored), retried (not delivered by a later attempt either), suppressed, refused.
	Final(app, kind, state, reason string)
	// Alert asks for a person: paused, guard_held, breaker_open, orphaned for an app; queue_full, store_failed, clock with an
	// empty one. On false it is over.
	Alert(app, what string, on bool)
}
