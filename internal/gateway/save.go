package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// leaseTime is how long a row is held for whoever works on it, renewed every renewEvery: at most 60 s (design.md 4),
	// so that a killed node's rows go on soon.
	leaseTime  = 45 * time.Second
	renewEvery = 15 * time.Second
)

// saveFlights commits the rows of one request in one transaction: all or none. The channel is closed when it is known
// how that ended. It may end later than the caller waits: then the rows are booked all the same, and the caller's
// repeat finds them.
func (g *Gateway) saveFlights(mine []*flight, now time.Time) <-chan struct{} {
	over := make(chan struct{})
	var rows []push.Queued
	var names []push.AppID
	left := mine[:0]
	for _, f := range mine {
		row, needed := f.rowFor(now)
		if !needed {
			f.unsaved()
			continue
		}
		left, rows, names = append(left, f), append(rows, row), append(names, row.AppID)
	}
	if mine = left; len(mine) == 0 || !g.reserve(names) {
		for _, f := range mine {
			f.unsaved()
		}
		close(over)
		return over
	}
	g.inAir.Add(1)
	go func() {
		defer g.inAir.Done()
		defer close(over)
		ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
		defer cancel()
		results, err := g.queue.Enqueue(ctx, rows, leaseTime)
		if g.storeFailed(opEnqueue, err) || len(results) != len(rows) {
			g.backlog.unreserve(names)
			for _, f := range mine {
				f.unsaved()
			}
			return
		}
		for i, f := range mine {
			g.bookRow(f, rows[i], results[i])
		}
	}()
	return over
}

// bookRow carries out what follows from one row being durable.
func (g *Gateway) bookRow(f *flight, row push.Queued, e push.Enqueued) {
	switch e.State {
	case push.EnqueueStored, push.EnqueueReplaced:
		g.account.accepted.Add(1)
		if e.State == push.EnqueueReplaced {
			g.backlog.unreserve([]push.AppID{row.AppID})
		}
		g.bookStored(row, e)
		g.observe(row.AppID, f.lane.kind(), stateQueued, f.reason())
	case push.EnqueueDuplicate:
		g.backlog.unreserve([]push.AppID{row.AppID})
		g.account.suppressed.Add(1)
	case push.EnqueueNone:
		g.backlog.unreserve([]push.AppID{row.AppID})
		f.unsaved()
		return
	}
	g.recall.queuedUntil(row.Dedup, time.Until(row.Deadline))
	if row.BadgeOnly && e.State != push.EnqueueDuplicate && !g.shared {
		g.badges.stored(row, e)
	}
	if e.Lease != 0 {
		g.leases.hold(push.Held{ID: e.ID, Lease: e.Lease})
	} else if e.State != push.EnqueueDuplicate {
		g.backlog.dueAt(row.AppID, row.Due)
		g.wakeWorker()
	}
	f.stored(e)
}

// bookStored keeps the account. Where nodes share the database, a row that waits belongs to all of them.
func (g *Gateway) bookStored(row push.Queued, e push.Enqueued) {
	replaced := e.State == push.EnqueueReplaced
	switch {
	case g.shared && e.Lease == 0:
		g.account.handedOver.Add(1)
		if replaced {
			g.account.takenOver.Add(1)
		}
	case g.shared && replaced:
		g.account.takenOver.Add(1)
		g.account.pending.Add(1)
	case replaced: // the new row takes over the old one's place among the pending
	default:
		g.account.pending.Add(1)
	}
	if replaced {
		g.account.superseded.Add(1)
		g.finish(row.AppID, g.kindOf(row.AppID), finalExpired, reasonSuperseded, 1)
	}
}

// reserve makes room in the queue for rows of these apps, all or none, before they are written.
func (g *Gateway) reserve(names []push.AppID) bool {
	refused, changed := g.backlog.reserve(names)
	if changed {
		full := g.backlog.isFull()
		g.alert("", alertQueueFull, full)
		g.logger.Warn("queue full", slog.Bool("full", full))
	}
	if refused != "" {
		g.limited.warn(g.logger, "no room in the queue", refused, "max_queued")
	}
	return refused == ""
}
