package dispatch

import "sync/atomic"

// Account is the equation in which nothing may go missing, in rows of the outbox:
//
//	Accepted + TakenOver = Delivered + Rejected + Dropped + Expired + Superseded + HandedOver + Pending
//
// A row is accepted by the process that stored it and at once handed over to the outbox, which belongs to all processes;
// whoever claims it takes it over, and either ends it or hands it over again.
type Account struct {
	Accepted, TakenOver                                           uint64
	Delivered, Rejected, Dropped, Expired, Superseded, HandedOver uint64
	Pending                                                       int64 // in this process's hands
}

// Balanced reports whether the two sides of the equation agree.
func (a Account) Balanced() bool {
	left := a.Accepted + a.TakenOver
	right := a.Delivered + a.Rejected + a.Dropped + a.Expired + a.Superseded + a.HandedOver
	return int64(left) == int64(right)+a.Pending //nolint:gosec // counters of rows stay far below 2^63
}

// account counts what Account shows.
type account struct {
	accepted, takenOver, handedOver atomic.Uint64
	ends                            [finals]atomic.Uint64
	pending                         atomic.Int64
}

// final is how a row ends.
type final uint8

const (
	finalDelivered final = iota
	finalRejected
	finalDropped
	finalExpired
	finalSuperseded
	finals
)

func (f final) String() string {
	return [finals]string{"delivered", "rejected", "dropped", "expired", "superseded"}[f]
}

func (a *account) snapshot() Account {
	return Account{
		Accepted: a.accepted.Load(), TakenOver: a.takenOver.Load(), HandedOver: a.handedOver.Load(), Pending: a.pending.Load(),
		Delivered: a.ends[finalDelivered].Load(), Rejected: a.ends[finalRejected].Load(), Dropped: a.ends[finalDropped].Load(),
		Expired: a.ends[finalExpired].Load(), Superseded: a.ends[finalSuperseded].Load(),
	}
}

// stored counts rows that were committed.
func (a *account) stored(n int) {
	a.accepted.Add(uint64(n))   //nolint:gosec // never negative
	a.handedOver.Add(uint64(n)) //nolint:gosec // never negative
}

// claimed counts rows that came into our hands.
func (a *account) claimed(n int) {
	a.takenOver.Add(uint64(n)) //nolint:gosec // never negative
	a.pending.Add(int64(n))
}

// ended counts a row of ours.
func (a *account) ended(f final) {
	a.ends[f].Add(1)
	a.pending.Add(-1)
}

// left counts a row that is back in the outbox, or in other hands.
func (a *account) left() {
	a.handedOver.Add(1)
	a.pending.Add(-1)
}

// gone counts rows that ended in the outbox, in nobody's hands.
func (a *account) gone(f final, n int) {
	a.takenOver.Add(uint64(n)) //nolint:gosec // never negative
	a.ends[f].Add(uint64(n))   //nolint:gosec // never negative
}
