package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// settleBatch bounds the rows of one transaction.
	settleBatch = 500
	// settleTimeout bounds one transaction of the settler; nobody waits for it.
	settleTimeout = 10 * time.Second
	// settleRetry is how long the settler rests after the store failed.
	settleRetry = time.Second
)

// settling is one row on its way out of our hands: ended, rescheduled, or given back as it was.
type settling struct {
	name    push.AppID // the app that the row waits under
	lane    *lane      // the app that it was sent through; nil when it was not sent
	row     push.Queued
	verdict verdict
	dead    *push.DeadKey
	due     time.Time // zero ends the row
	final   final     // when due is zero
	back    bool      // give back unchanged
	claimed bool      // by our worker (not held since it was stored)
}

// settler writes verdicts, many rows in one transaction: while one is being written, the next ones gather. What the
// store refuses to take stays here until it does; its rows stay leased as long as we renew.
type settler struct {
	g       *Gateway
	mu      sync.Mutex
	waiting []settling
	running bool
	idle    chan struct{} // closed while nothing waits; made anew when something comes
}

func newSettler(g *Gateway) *settler {
	s := &settler{g: g, idle: make(chan struct{})}
	close(s.idle)
	return s
}

func (s *settler) add(item settling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, item)
	if !s.running {
		s.running = true
		s.idle = make(chan struct{})
		go s.run()
	}
}

// flushed returns a channel that is closed once nothing waits.
func (s *settler) flushed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle
}

func (s *settler) run() {
	for {
		s.mu.Lock()
		n := min(len(s.waiting), settleBatch)
		if n == 0 {
			s.waiting, s.running = nil, false
			close(s.idle)
			s.mu.Unlock()
			return
		}
		batch := s.waiting[:n:n]
		s.waiting = s.waiting[n:]
		s.mu.Unlock()
		if left := s.write(batch); len(left) > 0 {
			s.mu.Lock()
			s.waiting = append(left, s.waiting...)
			s.mu.Unlock()
			if !s.g.pauseFor(settleRetry) {
				s.giveUp()
				return
			}
		}
	}
}

// giveUp leaves what cannot be written to the leases' end: the gateway has been stopped and the store is away.
func (s *settler) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.running = nil, false
	close(s.idle)
}

// write settles and gives back one batch. It returns what the store did not take.
func (s *settler) write(batch []settling) (left []settling) {
	var done []settling
	var settle []push.Settlement
	var back []settling
	var release []push.Held
	for _, item := range batch {
		held, ok := s.g.leases.current(item.row.ID)
		if !ok {
			held = push.Held{ID: item.row.ID, Lease: item.row.Lease}
		}
		if item.back {
			back, release = append(back, item), append(release, held)
			continue
		}
		done = append(done, item)
		attempts, stale := item.row.Attempts, item.row.StaleDead
		if item.verdict.asked {
			attempts++
		}
		if item.verdict.stale {
			stale++
		}
		settle = append(settle, push.Settlement{Held: held, Due: item.due, Attempts: attempts, StaleDead: stale, Dead: item.dead})
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	if len(settle) > 0 {
		ours, err := s.g.queue.Settle(ctx, settle)
		if s.g.storeFailed(opSettle, err) || len(ours) != len(done) {
			left = append(left, done...)
		} else {
			for i, item := range done {
				s.g.settled(item, ours[i])
			}
		}
	}
	if len(release) > 0 {
		if err := s.g.queue.Release(ctx, release); s.g.storeFailed(opRelease, err) {
			return append(left, back...)
		}
		for _, item := range back {
			s.g.givenBack(item)
		}
	}
	return left
}

// settled books a row whose settlement is durable; ours is false when the lease was lost and nothing was changed.
func (g *Gateway) settled(item settling, ours bool) {
	row := item.row
	g.leases.drop(row.ID)
	kind := g.kindOf(item.name)
	switch {
	case !ours:
		g.lost(item)
	case !item.due.IsZero():
		g.badges.waitsAgain(row.ID)
		g.backlog.dueAt(item.name, item.due)
		g.left()
		g.observe(item.name, kind, stateRetried, item.verdict.reason)
	default:
		g.account.pending.Add(-1)
		g.backlog.gone(item.name, 1)
		g.badges.ended(row.Device, row.ID)
		g.finish(item.name, kind, item.final, item.verdict.reason, 1)
		if item.verdict.reason == reasonSuperseded {
			g.account.superseded.Add(1)
		}
		if item.dead != nil {
			g.dead.put(*item.dead)
			g.doubt(item.lane, row.Device, item.verdict)
		}
		if item.final != finalDelivered {
			g.recall.unqueued(row.Dedup)
		}
	}
	if item.verdict.kind == verdictDelivered {
		// Also when the lease was lost: the phone has it, whoever holds the row now.
		g.recall.delivered(row.Dedup, time.Now())
		g.shown(item.lane, row, item.verdict)
	}
	g.handOff(item)
}

// givenBack books a row that waits again as it was.
func (g *Gateway) givenBack(item settling) {
	g.badges.waitsAgain(item.row.ID)
	g.leases.drop(item.row.ID)
	g.backlog.dueAt(item.name, time.Now())
	g.left()
	g.handOff(item)
}

// left books a row that waits again: where nodes share the database, it belongs to all of them from here on.
func (g *Gateway) left() {
	if g.shared {
		g.account.pending.Add(-1)
		g.account.handedOver.Add(1)
	}
}

// lost books a row whose lease we no longer had. Somebody else has it, or (on a database of our own) it waits again.
func (g *Gateway) lost(item settling) {
	g.badges.waitsAgain(item.row.ID)
	g.left()
	g.backlog.dueAt(item.name, time.Now())
	g.limited.warn(g.logger, "lease lost, verdict not counted", item.name, item.verdict.reason)
}

// handOff frees the row's device, and the worker's place that the row had.
func (g *Gateway) handOff(item settling) {
	g.backlog.landed(item.name, item.claimed, time.Now())
	g.wakeWorker()
}

// settleFlight settles a row that was stored while its first attempt was under way.
func (g *Gateway) settleFlight(f *flight, v verdict) {
	f.mu.Lock()
	held := f.row
	f.mu.Unlock()
	row := push.Queued{
		ID: held.ID, Lease: held.Lease, AppID: f.lane.name, Device: f.device, Dedup: f.hash, BadgeOnly: f.badge,
		HasCounts: f.note.Counts.Present(), Accepted: f.accepted, Deadline: f.deadline,
	}
	g.settle(settling{name: f.lane.name, lane: f.lane, row: row, verdict: v})
}

// settle turns a verdict into a settlement and hands it to the settler.
func (g *Gateway) settle(item settling) {
	v := item.verdict
	if f, ended := v.final(); ended {
		item.final = f
		if v.kind == verdictDead && v.asked {
			item.dead = g.deadKey(item.name, item.row.Device, v)
		}
	} else if item.row.BadgeOnly && !g.shared && !g.badges.worthWaiting(item.row) {
		item.final, item.verdict.reason = finalExpired, reasonSuperseded
	} else {
		item.due = v.due
		if item.due.IsZero() || item.due.After(item.row.Deadline) {
			item.due = item.row.Deadline
		}
	}
	g.settler.add(item)
}
