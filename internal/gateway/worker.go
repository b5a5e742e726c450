package gateway

import (
	"context"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// claimBatch bounds the rows of one claim.
	claimBatch = 100
	// appRetries and allRetries bound the rows that the worker holds. An app's share of its provider's slots is half, so
	// that a backlog never crowds out what arrives; a row in line counts, as its payload is in memory.
	appRetries = 512
	allRetries = 4096
	// inLine is how many rows stand in line for a slot when callers use all of them.
	inLine = 4
	// refreshEvery bounds how often the store is asked what is due next.
	refreshEvery = 200 * time.Millisecond
	// lookEvery is how often it is asked while memory does not know all: whatever was not noticed ends here.
	lookEvery = 30 * time.Second
	// soundEvery is how often it is asked although memory knows all. Should our books ever have lost a row, it goes out all
	// the same.
	soundEvery = 15 * time.Minute
	// pollEvery is how often the store is asked for other nodes' rows, where nodes share it.
	pollEvery = 3 * time.Second
	// orphanRest is how long rows rest that no configured app takes.
	orphanRest = 5 * time.Minute
	// storeRest is how long claims rest after the store failed.
	storeRest = time.Second
)

// worker is the only retry loop: it finds due rows app by app, claims them in batches and sends them. It sleeps until
// memory says that something is due, or somebody wakes it.
type worker struct {
	g         *Gateway
	wake      chan struct{}
	refreshed time.Time
	stale     bool // what is due next must be asked of the store
	holding   int  // rows in our hands, of all apps
}

func newWorker(g *Gateway) *worker { return &worker{g: g, wake: make(chan struct{}, 1)} }

// wakeWorker makes the worker look again.
func (g *Gateway) wakeWorker() {
	select {
	case g.worker.wake <- struct{}{}:
	default:
	}
}

func (w *worker) run(stop <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-w.wake:
		case <-timer.C:
		}
		next := w.pass(stop)
		if next.IsZero() {
			timer.Stop()
			continue
		}
		timer.Reset(max(time.Until(next), 0))
	}
}

// pass looks at every app with due rows once. It returns when to look again if nothing happens before.
func (w *worker) pass(stop <-chan struct{}) time.Time {
	now := time.Now()
	next := w.refresh(now)
	turns, held, later := w.g.backlog.due(now)
	next, w.holding = earliest(next, later), held
	rt := w.g.routes.Load()
	for _, t := range turns {
		select {
		case <-stop:
			return time.Time{}
		default:
		}
		next = earliest(next, w.serve(rt, t, now))
	}
	if w.stale {
		next = earliest(next, w.refreshed.Add(refreshEvery))
	}
	return next
}

// serve claims and sends for one app; it returns when to look at it again, zero when something else will wake us.
func (w *worker) serve(rt *routes, t turn, now time.Time) time.Time {
	limit := claimBatch
	if l := rt.byName[t.name]; l != nil {
		if until := l.gate.shutUntil(now); !until.IsZero() {
			return until
		}
		limit = w.room(l, t)
	} else if t.held > 0 {
		limit = 0
	}
	if limit <= 0 {
		return time.Time{} // a row in flight makes room and wakes us
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	rows, err := w.g.queue.Claim(ctx, t.name, limit, leaseTime)
	if w.g.storeFailed(opClaim, err) {
		w.g.backlog.rest(t.name, now.Add(storeRest))
		return now.Add(storeRest)
	}
	w.holding += len(rows)
	if w.g.backlog.claimed(t.name, limit, len(rows), now) {
		w.stale = true
	}
	for _, row := range rows {
		w.g.takeOver(t.name, row)
	}
	if len(rows) == limit {
		return now // there may be more
	}
	return time.Time{}
}

// room returns how many rows of an app may be claimed now.
func (w *worker) room(l *lane, t turn) int {
	if l.gate.single() {
		return 1 - t.held
	}
	most := min(max(l.binding.Load().MaxInFlight/2, 1), appRetries)
	share := most - t.held
	if t.held > 0 && share < most/4 {
		return 0 // claims are worth their transaction in batches; rows in flight end and wake us
	}
	// With all slots taken by callers, a few rows stand in line with them: a backlog never starves.
	share = min(share, max(l.slots.free(), inLine-t.held))
	if t.held > 0 {
		share = min(share, allRetries-w.holding) // an app without any row in flight always gets some
	}
	return min(share, claimBatch)
}

// refresh asks the store what waits, when that is needed and not too often. It returns when it wants to be called next.
func (w *worker) refresh(now time.Time) (next time.Time) {
	var every time.Duration
	switch {
	case w.stale:
		every = refreshEvery
	case w.g.shared:
		every = pollEvery
	case w.g.backlog.unsure():
		every = lookEvery
	default:
		every = soundEvery
	}
	if at := w.refreshed.Add(every); now.Before(at) {
		return at
	}
	w.refreshed = now
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	found, err := w.g.queue.Backlog(ctx)
	if w.g.storeFailed(opBacklog, err) {
		return now.Add(storeRest)
	}
	w.stale = false
	w.g.backlog.rebase(found, w.g.shared)
	switch {
	case w.g.shared:
		return now.Add(pollEvery)
	case w.g.backlog.unsure():
		return now.Add(lookEvery)
	default:
		return now.Add(soundEvery)
	}
}

// takeOver begins the work on a claimed row.
func (g *Gateway) takeOver(name push.AppID, row push.Queued) {
	if g.shared {
		g.account.takenOver.Add(1)
		g.account.pending.Add(1)
	}
	if !g.leases.hold(push.Held{ID: row.ID, Lease: row.Lease}) {
		// We work on it already; that work goes on under the new lease.
		if g.shared {
			g.account.handedOver.Add(1)
			g.account.pending.Add(-1)
		}
		g.backlog.landed(name, true, time.Now())
		return
	}
	g.inAir.Add(1)
	go func() {
		defer g.inAir.Done()
		g.settle(g.retry(name, row))
	}()
}
