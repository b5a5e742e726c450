package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// renewBatch bounds the rows of one renewal.
const renewBatch = 1000

// leases knows the rows that this process holds, and keeps them held while it works on them.
type leases struct {
	mu   sync.Mutex
	held map[int64]push.LeaseID
}

func newLeases() *leases { return &leases{held: map[int64]push.LeaseID{}} }

// hold notes a row. It returns false when the row was held already: its lease had ended in the store while we still
// work on it (a clock that jumped), and the store gave it to us again. The work goes on under the new lease.
func (l *leases) hold(h push.Held) (fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.held[h.ID]
	l.held[h.ID] = h.Lease
	return !known
}

func (l *leases) drop(id int64) {
	l.mu.Lock()
	delete(l.held, id)
	l.mu.Unlock()
}

// current returns the lease that a row is held under now.
func (l *leases) current(id int64) (push.Held, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lease, ok := l.held[id]
	return push.Held{ID: id, Lease: lease}, ok
}

func (l *leases) all() []push.Held {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]push.Held, 0, len(l.held))
	for id, lease := range l.held {
		all = append(all, push.Held{ID: id, Lease: lease})
	}
	return all
}

// renewLeases extends every lease. A lease that was lost stays noted: the work goes on, its verdict will be refused by
// the store, and nobody is told anything wrong.
func (g *Gateway) renewLeases() {
	for batch := range slices.Chunk(g.leases.all(), renewBatch) {
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		_, err := g.queue.Renew(ctx, batch, leaseTime)
		cancel()
		if g.storeFailed(opRenew, err) {
			return
		}
	}
}

// handBack releases everything that is still held; the gateway is leaving and its time is over.
func (g *Gateway) handBack(ctx context.Context) error {
	for batch := range slices.Chunk(g.leases.all(), renewBatch) {
		if err := g.queue.Release(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// pauseFor waits, unless the gateway is leaving (false).
func (g *Gateway) pauseFor(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.gone:
		return false
	}
}
