package store

import (
	"context"
	"time"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Queue is the durable retry queue. Every method is one transaction (WakeOn, which changes nothing that may not be
// changed twice, is one for every few thousand rows). Times of leases, Due and Deadline are compared with the database's
// clock (the process's own on SQLite): an implementation carries them over by their distance from now, so that a node
// whose clock is wrong neither expires nor delays anything.
//
// An error means that nothing was changed, so that a process that has the database alone always knows what is in it.
// Where nodes share it, a method may have committed although the network or ctx's end hid its answer: they all look for
// rows that nobody told them of.
type Queue interface {
	// Enqueue commits rows in one transaction: all or none. A row whose duplicate hash already waits is not stored
	// again; a badge-only row takes the place of an older waiting one of its device (never of one that is leased).
	// A duplicate hash covers the device: equal hashes mean equal devices. A row past its deadline that Expire has not
	// met yet is no duplicate of anything. Every row needs a Deadline.
	// Rows marked UnderWay are stored as held by this node for lease (the attempt of their request still runs); the others
	// wait, in the same transaction. Several rows under way may belong to one device, also beside a claimed one: they are
	// exempt from the one-per-device rule of Claim. But while any row of a device is held, Claim takes none of it.
	Enqueue(ctx context.Context, rows []push.Queued, lease time.Duration) ([]push.Enqueued, error)
	// Claim leases up to limit due rows of one app to this node, oldest due first, at most one per device and none of
	// a device that already has a leased row on any node. Rows past their deadline are not claimed, nor badge-only rows
	// with a newer one of their device: those are left to Expire. A row that cannot be decrypted is put back for a minute
	// and logged.
	Claim(ctx context.Context, app push.AppID, limit int, lease time.Duration) ([]push.Queued, error)
	// Renew extends leases; false means the lease was lost and somebody else may hold the row. A lease that has run out is
	// lost only once somebody else could have taken the row; until then Renew and Settle still work.
	Renew(ctx context.Context, held []push.Held, lease time.Duration) ([]bool, error)
	// Settle ends or reschedules rows, with their ledger entries, in one transaction; false means that the lease was
	// lost (fenced off): nothing was changed for that row and its verdict must not be counted.
	Settle(ctx context.Context, done []push.Settlement) ([]bool, error)
	// Release gives rows back unchanged, due at once or at their old time (leaving, reload).
	Release(ctx context.Context, held []push.Held) error
	// DropBadges deletes, device by device, the waiting (not leased) badge-only rows that were accepted before a time of the
	// device's own; returns how many per app.
	DropBadges(ctx context.Context, before map[push.Hash]time.Time) (map[push.AppID]int, error)
	// Expire deletes up to limit unleased rows past their deadline; returns how many per app.
	Expire(ctx context.Context, limit int) (map[push.AppID]int, error)
	// Backlog returns every app that has rows, in order of AppID. It costs the same with a million rows as with ten.
	Backlog(ctx context.Context) ([]push.Backlog, error)
	// Waiting streams every row without its payload (ID, AppID, Device, Dedup, BadgeOnly, Deadline), so that a restart
	// remembers what is queued.
	Waiting(ctx context.Context, each func(row push.Queued)) error
	// WakeOn makes every row of an app due now (after a reload or a mended pause).
	WakeOn(ctx context.Context, app push.AppID) error
}

// Ledger is the list of dead pushkeys, kept 30 days. Entries carry a rising sequence number so that nodes can follow
// each other's changes.
type Ledger interface {
	// Record adds entries; of two for one device the later Since wins.
	Record(ctx context.Context, dead []push.DeadKey) error
	// Clear removes a device's entry, whichever app name it was recorded under: the device is a hash over the app_id, so
	// it identifies the entry alone. app is for the record of the change.
	Clear(ctx context.Context, app push.AppID, device push.Hash) error
	// Changes returns up to limit changes after seq, in order; entries removed since carry Cleared.
	Changes(ctx context.Context, after int64, limit int) ([]push.DeadKey, error)
	// Changed signals when another node may have changed the ledger; nil where no other node can.
	Changed() <-chan struct{}
	// Settings notes the fingerprint of an app's settings. When it differs from the one noted before, the app's
	// guarded entries are removed in the same transaction; otherwise those of other settings are, which a node recorded that
	// had not taken the change yet.
	Settings(ctx context.Context, app push.AppID, fingerprint push.Hash) error
	// Prune removes entries recorded before t.
	Prune(ctx context.Context, t time.Time) error
}

// Admin is for the person on call. No method shows a payload or a pushkey.
type Admin interface {
	// ListQueued returns up to limit rows with an ID above after, in order of ID and without payload. An empty app means
	// every app. Lease is set on rows in flight.
	ListQueued(ctx context.Context, app push.AppID, after int64, limit int) ([]push.Queued, error)
	// ShowQueued returns one row without payload, and whether it exists.
	ShowQueued(ctx context.Context, id int64) (push.Queued, bool, error)
	// RetryQueued makes rows due now that would wait longer: all of app, or only those named by ids (of app, unless it
	// is empty). Rows in flight stay as they are. It returns how many it moved; without app and ids none.
	RetryQueued(ctx context.Context, app push.AppID, ids []int64) (int, error)
	// PurgeQueued deletes rows, chosen as in RetryQueued but in flight or not (the verdict of a purged row is fenced off),
	// and returns how many per app. It may take several transactions.
	PurgeQueued(ctx context.Context, app push.AppID, ids []int64) (map[push.AppID]int, error)
	// ListDead returns up to limit entries of the ledger with a Seq above after, in order of Seq, without those that were
	// removed. An empty app means every app.
	ListDead(ctx context.Context, app push.AppID, after int64, limit int) ([]push.DeadKey, error)
	// ForgetDead removes entries: all of app, or only those of devices (of app, unless it is empty). It returns how many;
	// without app and devices none.
	ForgetDead(ctx context.Context, app push.AppID, devices []push.Hash) (int, error)
}

// Registry is the pushers of both realms with their channel choices and month keys. Whoever changes what belongs to a
// pusher locks the pusher's row first; choices and keys go with it.
type Registry interface{ pusher.Store }

// Hasher computes keyed look-up hashes. The key is random, stored wrapped and never rotated, so hashes stay comparable
// over restarts and between nodes. Parts are framed by length: ("ab","c") and ("a","bc") differ.
type Hasher interface {
	Hash(purpose string, parts ...string) push.Hash
}

// Store is one open database.
type Store interface {
	Queue
	Ledger
	Admin
	Registry
	Hasher
	// Outbox is the outbox of the registry's pushers.
	Outbox() dispatch.Store
	// Ping tells whether a commit would work now.
	Ping(ctx context.Context) error
	Close() error
}
