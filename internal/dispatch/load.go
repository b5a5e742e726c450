package dispatch

import (
	"sync"

	"github.com/pushgate/pushgate/internal/push"
)

// load counts the rows of the outbox, so that events are refused before the disk is full. Rows that go with their pusher
// are found out by the next look at the store.
type load struct {
	mu    sync.Mutex
	limit int
	all   share
	hosts map[machine]*share
}

// machine is what gateways share: one that is dead must not fill the outbox for all others, so it may hold half of it.
type machine struct {
	realm push.Realm
	host  string
}

func machineOf(g Gateway) machine { return machine{g.Realm, host(g)} }

// share is one count.
type share struct {
	rows int
	full bool
}

// room reports whether n more rows fit. What is full takes rows again when it is down to 70 %: callers that were told to
// wait do not find it full again at once.
func (s *share) room(n, limit int) bool {
	switch {
	case s.full && s.rows <= limit*7/10:
		s.full = false
	case !s.full && s.rows+n > limit:
		s.full = true
	}
	return !s.full
}

func newLoad(limit int) *load { return &load{limit: limit, hosts: map[machine]*share{}} }

// room reports whether these many more rows may be stored.
func (l *load) room(rows map[Gateway]int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := 0
	for g, n := range rows {
		total += n
		if !l.host(g).room(n, max(l.limit/2, 1)) {
			return false
		}
	}
	return l.all.room(total, l.limit)
}

func (l *load) host(g Gateway) *share {
	m := machineOf(g)
	if l.hosts[m] == nil {
		l.hosts[m] = &share{}
	}
	return l.hosts[m]
}

// stored counts new rows, for which others went.
func (l *load) stored(rows map[Gateway]int, replaced int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.rows = max(l.all.rows-replaced, 0)
	for g, n := range rows {
		l.all.rows += n
		old := min(n, replaced) // each row replaces at most one, as a rule
		replaced -= old
		l.host(g).rows += n - old
	}
}

func (l *load) ended(g Gateway) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.host(g)
	s.rows, l.all.rows = max(s.rows-1, 0), max(l.all.rows-1, 0)
}

// expired counts rows that went, of gateways that the next look tells.
func (l *load) expired(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.rows = max(l.all.rows-n, 0)
}

// set takes over what the store said.
func (l *load) set(all []Waiting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.hosts
	l.hosts, l.all.rows = map[machine]*share{}, 0
	for _, w := range all {
		s := l.host(w.Gateway)
		if old := before[machineOf(w.Gateway)]; old != nil {
			s.full = old.full
		}
		s.rows += w.Rows
		l.all.rows += w.Rows
	}
}

func (l *load) look() (rows int, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full = l.all.full
	for _, s := range l.hosts {
		full = full || s.full
	}
	return l.all.rows, full
}
