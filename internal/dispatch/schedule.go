package dispatch

import (
	"slices"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/pusher"
)

// schedule knows which gateway may be looked at when. A gateway without rows is forgotten after a while.
type schedule struct {
	mu    sync.Mutex
	lanes map[Gateway]*lane
	taken places
	wake  chan struct{}
}

func newSchedule() *schedule {
	return &schedule{lanes: map[Gateway]*lane{}, taken: places{}, wake: make(chan struct{}, 1)}
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
		l = &lane{gateway: g, host: host(g)}
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
	place   place
}

// probes says that the batch finds out whether a gateway in trouble is back.
func (b start) probes() bool { return b.place.pool == poolFailing }

// ready takes places for the batches that may begin now, and says when to look again if nothing happens before.
func (s *schedule) ready(now time.Time) (begin []start, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []*lane
	for g, l := range s.lanes {
		switch at := l.at(); {
		case l.next.IsZero():
			if l.idle(now) {
				delete(s.lanes, g)
			}
		case at.After(now):
			next = earliest(next, at)
		case !l.claiming && l.flying < l.width(): // whatever ends stirs us
			due = append(due, l)
		}
	}
	slices.SortFunc(due, (*lane).before)
	for _, l := range due {
		b := start{gateway: l.gateway, limit: l.limit(), place: place{l.gateway.Realm, l.pool(), l.host}}
		if !s.taken.take(b.place) {
			continue
		}
		l.claiming, l.next, l.held = true, time.Time{}, false
		l.flying++
		begin = append(begin, b)
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
	s.taken.leave(b.place)
	s.stir()
}

// answered notes that a gateway did its work; true when it had been in trouble.
func (s *schedule) answered(g Gateway) (recovered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(g)
	recovered = l.failures > 0
	l.failures, l.until, l.doubts, l.witnesses = 0, time.Time{}, nil, nil
	if recovered {
		s.stir()
	}
	return recovered
}

// took notes how long a call was.
func (s *schedule) took(g Gateway, t time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane(g).took(t, time.Now())
}

// doubted notes a failed call that may be about the pusher it was for, and reports whether it is about the gateway: when
// the calls of that many people have failed since one did its work. While they are fewer, a gateway that was thought to
// be in trouble is not: it answered.
func (s *schedule) doubted(g Gateway, who pusher.Key, now time.Time, need int, rest func(failures int) time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(g)
	l.doubted(who, now, rest)
	if len(l.witnesses) >= need {
		return true
	}
	l.failures, l.until = 0, time.Time{}
	s.stir()
	return false
}

// resting returns until when the rows of a pusher are not sent, zero when they are.
func (s *schedule) resting(g Gateway, who pusher.Key, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lane(g)
	if d := l.doubts[who]; l.failures == 0 && d.until.After(now) {
		return d.until
	}
	return time.Time{}
}

// probe picks the row that a Matrix gateway in trouble is asked with: the oldest of whoever it failed longest ago, or
// never. One whom it fails for ever does not hide that it is back for others.
func (s *schedule) probe(g Gateway, rows []Row) (chosen int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := s.lane(g).witnesses
	for i, row := range rows {
		if failed[row.Pusher.Owner].Before(failed[rows[chosen].Pusher.Owner]) {
			chosen = i
		}
	}
	return chosen
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
		if l.busy() || l.failures > 0 {
			all++
		}
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

// earliest returns the earlier of two times, of which zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
