package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// ErrKeyReused says that an idempotency key was used before for another request.
var ErrKeyReused = errors.New("idempotency key reused")

// Store is what a Dispatcher needs from the database: the outbox, beside the registry of package pusher and on the same
// tables. A row of the outbox belongs to one pusher, references it and goes when it goes (ON DELETE CASCADE), leased or
// not. What is called its gateway is the pusher's realm and URL as they are now: a registration that names another
// gateway takes its waiting rows along (A_27652).
//
// Every method is one transaction. Whoever adds rows locks the rows of the pushers first, so that a pusher that is being
// deleted gets none. Payload is encrypted at rest. Due, Deadline and leases are compared with the database's clock (the
// process's own on SQLite) and carried over by their distance from now; on SQLite all leases end when the database is
// opened. Errors other than those named mean that nothing was changed and that trying again may help; a method that
// fails because ctx ended may have committed all the same.
type Store interface {
	Intake
	Outbox
	Keys
}

// Intake is where events come in.
type Intake interface {
	// Submit turns one event into rows, all or none.
	//
	// With Once, a submission whose Key was committed less than Once.Keep ago is a repeat: with the same Body the receipt
	// of then is returned with Replayed set and nothing is written; with another Body ErrKeyReused. Of two that race with
	// one Key, one is the repeat of the other. Submissions that fail leave no trace.
	//
	// Otherwise Plan is called with the owner's devices as Devices returns them, whose pushers stay locked until the end.
	// It is pure and quick; a store that has to begin the transaction anew calls it again. Its error ends the
	// transaction and is returned as it is. Its rows are stored, due at once, in their order; its receipt is kept under
	// Once even when there are no rows.
	//
	// A row with HasCounts deletes the waiting (not leased) BadgeOnly rows of its pusher: newer numbers replace older.
	Submit(ctx context.Context, s Submission) (Submitted, error)
	// Devices returns the owner's pushers with their choices, in the order of pusher.Store.ListPushers; empty when there
	// are none.
	Devices(ctx context.Context, owner push.Owner) ([]Device, error)
}

// Outbox is where workers take rows from. Row ids rise in the order of Submit.
type Outbox interface {
	// Claim leases up to limit due rows of one gateway to this process, oldest Due first and of one Due the lowest id,
	// at most one per pusher and none of a pusher that already has a leased row anywhere. Rows past their Deadline are
	// left to Expire. A row that cannot be decrypted is put back for a minute, logged and not returned. A lease that
	// has run out is none.
	Claim(ctx context.Context, gateway Gateway, limit int, lease time.Duration) (Claimed, error)
	// Renew extends leases; false means that the lease was lost or the row is gone.
	Renew(ctx context.Context, held []push.Held, lease time.Duration) ([]bool, error)
	// Settle ends or reschedules rows; false means that the lease was lost or the row is gone: nothing was changed for that
	// row. A lease that has run out is lost only once somebody else claimed the row. A BadgeOnly row that would wait again
	// while a newer row with HasCounts of its pusher is there is deleted instead (true).
	Settle(ctx context.Context, done []Settlement) ([]bool, error)
	// Release gives rows back unchanged, due as they were (so at once). Rows that are no longer ours are left alone.
	Release(ctx context.Context, held []push.Held) error
	// Gateways returns every gateway that has rows. Its cost grows with the number of gateways, not of rows.
	Gateways(ctx context.Context) ([]Waiting, error)
	// Expire deletes up to limit unleased rows past their Deadline and returns how many; along the way it forgets Once
	// keys older than their Keep.
	Expire(ctx context.Context, limit int) (int, error)
}

// Keys is the newest generation of each pusher's key chain.
type Keys interface {
	// StepKeys replaces generations, each by compare-and-set: only while the pusher is the registration of Updated and its
	// stored generation is still that of month From. False means that it is not (any more). It is durable before it
	// returns. A step never changes the pusher's Updated.
	StepKeys(ctx context.Context, steps []KeyStep) ([]bool, error)
}

// Remover removes what a gateway reported dead. pusher.Service is one.
type Remover interface {
	RemoveRejected(ctx context.Context, r pusher.Rejected) (int, error)
}

// Hasher computes keyed hashes that stay the same over restarts and between nodes.
type Hasher interface {
	Hash(purpose string, parts ...string) push.Hash
}

// Device is one pusher with what its user chose.
type Device struct {
	Pusher pusher.Pusher // Encryption is nil here
	// Encrypted says whether the pusher has a key chain.
	Encrypted bool
	// Choices are the explicit ones, by channel id.
	Choices map[string]pusher.ChannelStatus
}

// Submission is one event for one person.
type Submission struct {
	Owner push.Owner
	Once  *Once // nil: every submission is new
	Plan  func(devices []Device) (Plan, error)
}

// Once makes a repeated request the same request.
type Once struct {
	Key  push.Hash // of the caller and its key
	Body push.Hash // of what the request says
	Keep time.Duration
}

// Plan is what one event becomes.
type Plan struct {
	Rows    []NewRow
	Receipt Receipt
}

// NewRow is one notification for one device.
type NewRow struct {
	Device  int // index into the devices that Plan was called with; a device may have several rows
	Payload []byte
	// BadgeOnly marks rows that only carry counts, HasCounts all that carry any.
	BadgeOnly bool
	HasCounts bool
	Deadline  time.Time
}

// Receipt is what the submitter was told.
type Receipt struct {
	ID       string    // notification_id, a UUID
	Accepted time.Time // to the millisecond at least
	Status   Status
}

// Status says what becomes of an event.
type Status uint8

// The statuses. The zero value is no promise.
const (
	StatusUnknown Status = iota
	StatusAccepted
	StatusQueued          // every gateway concerned is paused
	StatusNoActiveChannel // nobody wants it, nothing is sent
)

// Submitted is the outcome of a Submit.
type Submitted struct {
	Receipt  Receipt
	Replayed bool
	Replaced int // waiting badge-only rows that were deleted
}

// Gateway is where a pusher's notifications go: the data.url of a realm. Equal as text.
type Gateway struct {
	Realm push.Realm
	URL   string
}

// Claimed is the outcome of a Claim.
type Claimed struct {
	Rows []Row
	// Next is when the earliest row that is not leased now is due, these rows left out; in the past when what is due
	// belongs to pushers with a row in flight. Zero when no row waits.
	Next time.Time
	// At is the database's clock just before the claim: Since for pushkeys that were not part of a request.
	At time.Time
}

// Row is one notification on its way to one device.
type Row struct {
	push.Held
	// Pusher is the registration as it is now, Encryption included.
	Pusher    pusher.Pusher
	Payload   []byte
	BadgeOnly bool
	HasCounts bool
	Attempts  int // so far
	Refusals  int // how many of them the gateway refused as such (4xx)
	Accepted  time.Time
	Deadline  time.Time
}

// Settlement ends a row or lets it wait. The zero Due ends it: it is deleted with its payload.
type Settlement struct {
	push.Held
	Due      time.Time
	Attempts int
	Refusals int
}

// Waiting is what the outbox holds for one gateway.
type Waiting struct {
	Gateway Gateway
	Rows    int
	Oldest  time.Time // acceptance of the oldest row
	// Next is when the earliest row that is not leased is due; it may be early but is never late. Zero when all are leased.
	Next time.Time
}

// KeyStep is one step of one key chain to the month of To.
type KeyStep struct {
	Key     pusher.Key
	Updated time.Time
	From    monthkey.Month
	To      monthkey.Generation
}

// Format keeps fmt out of a whole row, which holds a person's message.
func (r Row) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<outbox row>")) }

// Format keeps fmt out of a whole row.
func (n NewRow) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<new outbox row>")) }
