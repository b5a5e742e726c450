package gateway

import (
	"sync"
	"time"
)

// slots bounds the requests under way at one app's provider. Whoever finds none free waits in line, first come, first
// served; callers and the retry worker stand in the same line, but only callers count as overload.
type slots struct {
	mu      sync.Mutex
	limit   int
	used    int
	callers int // waiting in line on behalf of a caller
	head    *waiter
	tail    *waiter
}

// waiter is one place in line. ready is closed when it gets a slot.
type waiter struct {
	ready      chan struct{}
	since      time.Time
	caller     bool
	ticket     int // number in line: minus that of the first, how many are ahead
	prev, next *waiter
	queued     bool
}

func newSlots(limit int) *slots { return &slots{limit: limit} }

// try takes a slot if one is free and nobody waits for it.
func (s *slots) try() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head != nil || s.used >= s.limit {
		return false
	}
	s.used++
	return true
}

// line takes a place in line. The waiter is ready at once when a slot is free by now.
func (s *slots) line(caller bool) *waiter {
	w := &waiter{ready: make(chan struct{}), since: time.Now(), caller: caller}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head == nil && s.used < s.limit {
		s.used++
		close(w.ready)
		return w
	}
	if s.head == nil {
		s.head = w
	} else {
		s.tail.next, w.prev, w.ticket = w, s.tail, s.tail.ticket+1
	}
	s.tail, w.queued = w, true
	if caller {
		s.callers++
	}
	return w
}

// abandon leaves the line; a slot that was already given is passed on.
func (s *slots) abandon(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.queued {
		s.unlink(w)
		return
	}
	s.pass()
}

// release gives a slot back.
func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pass()
}

// pass hands the caller's slot to the first in line, or frees it when there is none or the limit was lowered.
func (s *slots) pass() {
	if s.head == nil || s.used > s.limit {
		s.used--
		return
	}
	w := s.head
	s.unlink(w)
	close(w.ready)
}

func (s *slots) unlink(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		s.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		s.tail = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	if w.caller {
		s.callers--
	}
}

// resize changes the limit; more slots serve the line at once, fewer take effect as requests end.
func (s *slots) resize(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	for s.head != nil && s.used < s.limit {
		s.used++
		w := s.head
		s.unlink(w)
		close(w.ready)
	}
}

// overloaded reports whether more than twice the limit stand in line up to and with w, not counting own of the same
// request. Who came first keeps the place; the end of a line that is too long is refused.
func (s *slots) overloaded(w *waiter, own int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.queued && w.ticket-s.head.ticket-own >= 2*s.limit
}

// stuck reports whether a newcomer would be overload: the line is too long already, and its first has waited for longer
// than patience, so the newcomer would too. own as in overloaded.
func (s *slots) stuck(now time.Time, patience time.Duration, own int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head != nil && s.callers-own >= 2*s.limit && now.Sub(s.head.since) > patience
}

// free returns how many slots nobody uses or waits for.
func (s *slots) free() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head != nil {
		return 0
	}
	return max(s.limit-s.used, 0)
}

// counts returns the slots in use and the callers' devices in line.
func (s *slots) counts() (used, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.callers
}
