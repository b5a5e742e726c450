package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// Caller makes one call to one gateway: never a retry, never a redirect. gateway is the pusher's data.url. It bounds the
// time of a call itself. Its errors are *CallError.
type Caller interface {
	// Sealed posts items to notifyEncrypted/batch, Plain to notify/batch: at most MaxItems of them, with unique ids.
	// Results come in any order; what has none was not answered.
	Sealed(ctx context.Context, gateway string, items []Item) ([]Result, error)
	Plain(ctx context.Context, gateway string, items []Item) ([]Result, error)
	// Matrix posts one notification for one device to a Matrix gateway, whose data.url is the whole address. It returns
	// the rejected pushkeys.
	Matrix(ctx context.Context, gateway string, n push.Notification) ([]push.Pushkey, error)
}

// MaxItems is how many items every gateway takes in a batch.
const MaxItems = 100

// Item is one notification of a batch.
type Item struct {
	ID string // unique in the batch, new for each attempt
	push.Notification
}

// Format keeps fmt out of a whole item.
func (i Item) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<item>")) }

// Result is what a gateway said about one item.
type Result struct {
	ID     string
	Status ResultStatus
	// Rejected are dead pushkeys, whatever the status is, perhaps because of an earlier notification.
	Rejected []push.Pushkey
}

// ResultStatus is the status of one item.
type ResultStatus uint8

// The statuses. The zero value is the harmless one: try again.
const (
	ResultFailed ResultStatus = iota
	ResultPartial
	ResultSuccess
)

// CallError is a call that did not do its work.
type CallError struct {
	// Status is the answer's, 0 when there was none. It is 200 for an answer that could not be read.
	Status int
	// RetryAfter is what the gateway asked for; 0 when it did not.
	RetryAfter time.Duration
	// Reason is a fixed word, fit for logs and metric labels.
	Reason string
	// Err is the cause. It is not printed: it may hold names that strangers chose.
	Err error
}

// Error says what happened in fixed words.
func (e *CallError) Error() string {
	if e.Status == 0 {
		return "call gateway: " + e.Reason
	}
	return fmt.Sprintf("call gateway: %s (status %d)", e.Reason, e.Status)
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }
