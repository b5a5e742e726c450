package push

import "time"

// Hash is a keyed hash (HMAC-SHA256 cut to 16 bytes, key from the store): it tells equal things apart from unequal ones
// in memory, in the database and towards APNs without giving away the pushkey. Its 32 hex digits are the
// apns-collapse-id. The zero value means "none".
type Hash [16]byte

// IsZero reports whether there is no hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// LeaseID names one claim of a row. A verdict under an older lease is refused by the store (fencing).
type LeaseID int64

// Queued is one notification in the durable queue.
type Queued struct {
	ID int64 // given by the store, unique and rising
	// AppID is the configured app the row waits for: an exact app_id, or the pattern that the app_id matched.
	AppID  AppID
	Device Hash // of (app_id, pushkey): one row per device is in flight at a time
	// Dedup is the duplicate hash of the notification; zero for badge-only updates, of which a device has at most one
	// waiting (a newer one replaces it).
	Dedup     Hash
	BadgeOnly bool
	// HasCounts marks rows whose delivery makes an older badge-only update of the same device superfluous.
	HasCounts bool
	// Payload is the notification in the gateway's own encoding. The store encrypts it at rest.
	Payload  []byte
	Attempts int // provider attempts so far
	// StaleDead counts 410 answers that were not later than pushkey_ts: three, then the row is dead-lettered.
	StaleDead int
	Accepted  time.Time
	Due       time.Time // not before
	Deadline  time.Time // deleted as expired at the latest
	Lease     LeaseID   // set on rows returned by a claim
	// UnderWay marks a row whose first attempt is still running when it is stored: Enqueue stores it as held, and the
	// running request settles it.
	UnderWay bool
}

// DeadKey is one entry of the ledger of dead pushkeys.
type DeadKey struct {
	Seq    int64     // rising with every change; given by the store
	AppID  AppID     // the configured app, as Queued.AppID: Ledger.Settings drops guarded entries by it
	Device Hash      // identifies the entry alone, as the app_id is hashed into it
	Since  time.Time // the provider's time of death, or ours when it gives none
	// Guarded entries rest on a verdict that a wrong setting can also cause; they go when the app's settings change.
	Guarded bool
	// Settings is the fingerprint of the settings that a guarded verdict was given under. While a change is on its way
	// from node to node, those that have it do not believe what the others say.
	Settings Hash
	Recorded time.Time // when the entry was written; given by the store
	// Cleared marks a change that removes the entry (only when following changes).
	Cleared bool
}

// EnqueueState says what became of a row.
type EnqueueState uint8

// The states of an enqueued row. The zero value is not durable.
const (
	EnqueueNone      EnqueueState = iota
	EnqueueStored                 // a new row
	EnqueueReplaced               // a badge-only update that took the place of an older waiting one, which is gone
	EnqueueDuplicate              // a row with the same duplicate hash already waits, nothing was written
)

// Enqueued answers for one row of an Enqueue, in the same order.
type Enqueued struct {
	State EnqueueState
	ID    int64
	Lease LeaseID // set when the row was stored under lease
}

// Held names a row and the lease it is held under.
type Held struct {
	ID    int64
	Lease LeaseID
}

// Settlement ends or reschedules a row that is held under a lease. The zero Due ends it (the row is deleted with its
// payload); otherwise the row waits until Due.
type Settlement struct {
	Held
	Due       time.Time
	Attempts  int
	StaleDead int
	Dead      *DeadKey // ledger entry written in the same transaction, if any
}

// Backlog is what waits for one app.
type Backlog struct {
	AppID  AppID
	Rows   int
	Oldest time.Time // acceptance of the oldest row
	// Next is when a claim can next find a row: the earliest Due of a row whose device has none in flight. It may be early
	// but is never late; zero when there is nothing to claim.
	Next time.Time
}
