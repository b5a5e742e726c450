package dispatch

import (
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// lane is what is known about one gateway. Its fields are guarded by the schedule's mutex.
type lane struct {
	gateway Gateway
	// next is when to look for rows; zero when none are known to wait.
	next time.Time
	// claiming is set while a batch asks the store; one at a time does.
	claiming bool
	flying   int // batches under way
	// held is set when rows are due that belong to pushers with a row in flight: the next row that ends makes room.
	held bool
	// failures counts calls without any usable answer, one after the other; until is when the pause that they caused ends.
	failures int
	until    time.Time
}

const (
	// laneBatches is how many batches of one gateway are under way at a time. A gateway that takes 5 s to answer (its
	// attempt_timeout) still gets 160 notifications a second.
	laneBatches = 8
	// matrixRows is how many rows a batch of a Matrix gateway has, each of which is a call of its own.
	matrixRows = 16
	// healthyBatches and probingBatches bound the batches of all gateways. Those in trouble have places of their own, so
	// that a thousand hanging gateways take none from a healthy one.
	healthyBatches = 64
	probingBatches = 32
	// heldPoll is when to look again at rows that another process may hold back.
	heldPoll = time.Second
	// maxRetryAfter bounds what a gateway may ask for.
	maxRetryAfter = time.Hour
	// forgetAfter is how long trouble is remembered for which no row waits any more: as long as a gateway that is asked now
	// and then would go on taking the places of healthy ones.
	forgetAfter = time.Hour
)

// limit is how many rows a batch claims. A gateway in trouble is asked with one call.
func (l *lane) limit() int {
	switch {
	case l.gateway.Realm != push.RealmMatrix:
		return MaxItems
	case l.failures > 0:
		return 1
	default:
		return matrixRows
	}
}

// width is how many batches may be under way.
func (l *lane) width() int {
	if l.failures > 0 {
		return 1
	}
	return laneBatches
}

// idle reports whether there is nothing to remember.
func (l *lane) idle(now time.Time) bool {
	return l.next.IsZero() && l.flying == 0 && !l.claiming && (l.failures == 0 || now.Sub(l.until) > forgetAfter)
}

// at is when a batch could begin.
func (l *lane) at() time.Time {
	if l.until.After(l.next) {
		return l.until
	}
	return l.next
}
