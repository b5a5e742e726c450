package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// leases knows the rows that this process holds.
type leases struct {
	mu   sync.Mutex
	held map[push.Held]struct{}
}

func newLeases() *leases { return &leases{held: map[push.Held]struct{}{}} }

func (l *leases) hold(rows []Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, row := range rows {
		l.held[row.Held] = struct{}{}
	}
}

func (l *leases) drop(h push.Held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, h)
}

func (l *leases) all() []push.Held {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]push.Held, 0, len(l.held))
	for h := range l.held {
		all = append(all, h)
	}
	return all
}

const (
	upkeepBatch = 1000
	expireEvery = 10 * time.Second
	// refreshEvery is how often the store is asked what waits, sharedEvery the same where other nodes store rows too.
	refreshEvery = 30 * time.Second
	sharedEvery  = 3 * time.Second
)

// upkeep renews leases, deletes what is too old and corrects the picture of what waits. Leases are renewed to the very
// end: calls that are under way when the dispatcher leaves are still ours.
func (d *Dispatcher) upkeep() {
	look := refreshEvery
	if d.shared {
		look = sharedEvery
	}
	renew, expire, refresh := time.NewTicker(renewEvery), time.NewTicker(expireEvery), time.NewTicker(look)
	defer renew.Stop()
	defer expire.Stop()
	defer refresh.Stop()
	for {
		select {
		case <-d.gone:
			return
		case <-renew.C:
			d.renewLeases()
		case <-expire.C:
			d.expire()
		case <-refresh.C:
			ctx, cancel := context.WithTimeout(d.calls, storeTimeout)
			d.storeFailed("read what waits", d.refresh(ctx))
			cancel()
		}
	}
}

// renewLeases extends what is held. A lease that was lost stays noted: the work goes on, and its verdict is refused.
func (d *Dispatcher) renewLeases() {
	for batch := range slices.Chunk(d.leases.all(), upkeepBatch) {
		ctx, cancel := context.WithTimeout(d.calls, storeTimeout)
		_, err := d.store.Renew(ctx, batch, leaseTime)
		cancel()
		if d.storeFailed("renew", err) {
			return
		}
	}
}

// expire gives up what is past its deadline (A_28473).
func (d *Dispatcher) expire() {
	for !d.isLeaving() {
		ctx, cancel := context.WithTimeout(d.calls, storeTimeout)
		n, err := d.store.Expire(ctx, upkeepBatch)
		cancel()
		if d.storeFailed("expire", err) || n == 0 {
			return
		}
		d.account.gone(finalExpired, n)
		d.load.expired(n)
		d.observer.Final("", finalExpired.String(), reasonGivenUp, n)
		d.logger.Warn("notifications given up: their gateways did not take them in time", slog.Int("count", n))
		if n < upkeepBatch {
			return
		}
	}
}

// refresh reads what waits.
func (d *Dispatcher) refresh(ctx context.Context) error {
	all, err := d.store.Gateways(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		if !w.Next.IsZero() {
			d.schedule.due(w.Gateway, w.Next)
		}
	}
	d.load.set(all)
	d.schedule.forget(time.Now())
	return nil
}
