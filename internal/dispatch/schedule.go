package dispatch

import (
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// schedule knows which gateway may be looked at when. A gateway without rows and without trouble is forgotten.
type schedule struct {
	mu      sync.Mutex
	lanes   map[Gateway]*lane
	healthy int // batches under way
	probing int
	wake    chan struct{}
}

func newSchedule() *schedule {
	return &schedule{lanes: map[Gateway]*lane{}, wake: make(chan struct{}, 1)}
}

// stir makes the loop look again.
func (s *schedule) stir() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *schedule) lane(g Gateway) *lane {
	l := s.lanes[g]
	if l == nil {
		l = &lane{gateway: g}
		s.lanes[g] = l
	}
	return l
}

// due notes that a row of a gateway waits until t.
func (s *schedule) due(g Gateway, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(g)
	l.next = earliest(l.next, t)
	s.stir()
}

// paused reports whether a gateway rests.
func (s *schedule) paused(g Gateway, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[g]
	return l != nil && l.until.After(now)
}

// start is one batch that may begin.
type start struct {
	gateway Gateway
	limit   int
	// calm says that the gateway is not in trouble.
	calm bool
}

// ready takes places for the batches that may begin now, and says when to look again if nothing happens before.
func (s *schedule) ready(now time.Time) (begin []start, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g, l := range s.lanes {
		if l.next.IsZero() {
			if l.idle(now) {
				delete(s.lanes, g)
			}
			continue
		}
		if at := l.at(); at.After(now) {
			next = earliest(next, at)
			continue
		}
		calm := l.failures == 0
		if l.claiming || l.flying >= l.width() || calm && s.healthy >= healthyBatches || !calm && s.probing >= probingBatches {
			continue // whatever ends stirs us
		}
		l.claiming, l.next, l.held = true, time.Time{}, false
		l.flying++
		if calm {
			s.healthy++
		} else {
			s.probing++
		}
		begin = append(begin, start{gateway: g, limit: l.limit(), calm: calm})
	}
	return begin, next
}

// claimed notes the answer of a claim. full means that there may be more.
func (s *schedule) claimed(g Gateway, full bool, next, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(g)
	l.claiming = false
	switch {
	case full:
		next = now
	case !next.IsZero() && !next.After(now):
		l.held, next = true, now.Add(heldPoll)
	}
	if !next.IsZero() {
		l.next = earliest(l.next, next)
	}
	s.stir()
}

// rowEnded notes that a pusher has no row in flight any more.
func (s *schedule) rowEnded(g Gateway, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(g)
	if l.held {
		l.held, due = false, time.Now()
	}
	if !due.IsZero() {
		l.next = earliest(l.next, due)
		s.stir()
	}
}

// ended gives back a batch's place.
func (s *schedule) ended(b start) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(b.gateway)
	l.flying--
	if b.calm {
		s.healthy--
	} else {
		s.probing--
	}
	s.stir()
}

// answered notes that a gateway did its work; true when it had been in trouble.
func (s *schedule) answered(g Gateway) (recovered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(g)
	recovered = l.failures > 0
	l.failures, l.until = 0, time.Time{}
	if recovered {
		s.stir()
	}
	return recovered
}

// failed notes that a gateway did not, and lets it rest for what pause says about the number of failures in a row. It
// reports whether that was the first. Batches that were under way together count once.
func (s *schedule) failed(g Gateway, now time.Time, pause func(failures int) time.Duration) (first bool, rest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(g)
	first = l.failures == 0
	if first || !l.until.After(now) {
		l.failures++
	}
	rest = pause(l.failures)
	if until := now.Add(rest); until.After(l.until) {
		l.until = until
	}
	return first, rest
}

// rest keeps a gateway from being looked at for reasons of our own.
func (s *schedule) rest(g Gateway, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(g)
	if until.After(l.until) {
		l.until = until
	}
}

// forget drops what nobody waits for any more. Without it, gateways that died with their last row would pile up.
func (s *schedule) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g, l := range s.lanes {
		if l.idle(now) {
			delete(s.lanes, g)
		}
	}
}

// look counts gateways for the metrics.
func (s *schedule) look(now time.Time) (all, paused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		all++
		if l.until.After(now) {
			paused++
		}
	}
	return all, paused
}

// run begins batches as gateways get due, until the dispatcher leaves.
func (d *Dispatcher) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-d.leaving:
			return
		case <-d.schedule.wake:
		case <-timer.C:
		}
		begin, next := d.schedule.ready(time.Now())
		for _, b := range begin {
			d.batches.Add(1)
			go func() {
				defer d.batches.Done()
				defer d.schedule.ended(b)
				d.batch(b)
			}()
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(time.Until(next), 0))
		}
	}
}

// realmOf is a gateway's realm as a metric says it.
func realmOf(g Gateway) string { return string(g.Realm) }

func isMatrix(g Gateway) bool { return g.Realm == push.RealmMatrix }

// earliest returns the earlier of two times, of which zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
