package gateway

import "sync/atomic"

// account counts what Account shows. Each device is counted on the left side once, when this process becomes
// responsible for it, and on the right side once, when it is not any more.
type account struct {
	accepted, takenOver                                    atomic.Uint64
	delivered, rejected, deadLettered, expired, handedOver atomic.Uint64
	superseded, suppressed, refused                        atomic.Uint64
	pending                                                atomic.Int64
}

// final is how responsibility for a device ends.
type final uint8

const (
	finalDelivered final = iota
	finalRejected
	finalDeadLettered
	finalExpired
)

func (f final) String() string {
	switch f {
	case finalDelivered:
		return "delivered"
	case finalRejected:
		return "rejected"
	case finalDeadLettered:
		return "dead_lettered"
	case finalExpired:
		return "expired"
	default:
		return "unknown"
	}
}

func (a *account) end(f final, n uint64) {
	switch f {
	case finalDelivered:
		a.delivered.Add(n)
	case finalRejected:
		a.rejected.Add(n)
	case finalDeadLettered:
		a.deadLettered.Add(n)
	case finalExpired:
		a.expired.Add(n)
	}
}

func (a *account) snapshot() Account {
	return Account{
		Accepted: a.accepted.Load(), TakenOver: a.takenOver.Load(),
		Delivered: a.delivered.Load(), Rejected: a.rejected.Load(), DeadLettered: a.deadLettered.Load(), Expired: a.expired.Load(),
		HandedOver: a.handedOver.Load(), Pending: a.pending.Load(),
		Superseded: a.superseded.Load(), Suppressed: a.suppressed.Load(), Refused: a.refused.Load(),
	}
}

// Balanced reports whether the two sides of the equation agree.
func (a Account) Balanced() bool {
	left := a.Accepted + a.TakenOver
	right := a.Delivered + a.Rejected + a.DeadLettered + a.Expired + a.HandedOver
	return int64(left) == int64(right)+a.Pending //nolint:gosec // counters of devices stay far below 2^63
}
