package dispatch

import "sync"

// load counts the rows of the outbox, so that events are refused before the disk is full. Rows that go with their pusher
// are found out by the next look at the store.
type load struct {
	mu    sync.Mutex
	limit int
	rows  int
	full  bool
}

// room reports whether n more rows may be stored. A full outbox takes events again when it is down to 70 %: callers that
// were told to wait do not find it full again at once.
func (l *load) room(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.full && l.rows <= l.limit*7/10:
		l.full = false
	case !l.full && l.rows+n > l.limit:
		l.full = true
	}
	return !l.full
}

func (l *load) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = max(l.rows+n, 0)
}

func (l *load) set(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = n
}

func (l *load) look() (rows int, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rows, l.full
}
