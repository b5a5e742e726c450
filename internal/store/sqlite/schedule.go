package sqlite

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"sync"

	"github.com/pushgate/pushgate/internal/push"
)

// schedule is what is known about rows in flight and rows worth looking at. It lives in memory because one process has
// the file: nobody else can hold a row, and a restart frees all.
//
// The rows of an app are read in order of (due, id) behind a cursor, so that a claim costs the same with a hundred
// rows waiting as with a million. Everything at or before the cursor is in flight, or is past its deadline, or its
// device is remembered: in passed while a row of the device is in flight, in revisit once it is free.
type schedule struct {
	mu     sync.Mutex
	apps   map[push.AppID]*app
	byNo   map[int64]push.AppID
	leases map[int64]*lease
	busy   map[push.Hash]int     // rows in flight, by device
	passed map[push.Hash][]*look // devices in flight with rows behind a cursor; one for each app, so nearly always one
	expiry int64                 // no lease ends before
}

// app is one configured app that has or had rows.
type app struct {
	id      push.AppID
	no      int64
	rows    int
	firstID int64 // no row has a smaller id
	cursor  position
	revisit []*look // free devices with rows behind the cursor
	queued  map[push.Hash]*look
}

// position orders the rows of an app.
type position struct{ due, id int64 }

func (p position) before(o position) bool {
	return p.due < o.due || p.due == o.due && p.id < o.id
}

// look is a device to look at: its rows behind the cursor.
type look struct {
	app    *app
	device push.Hash
	first  position   // of the rows known there; may be before it, never behind
	ahead  []position // rows read ahead, so that a device with very many is not read anew for each
}

// lease is one row in flight.
type lease struct {
	id     push.LeaseID
	app    *app
	device push.Hash
	due    int64
	until  int64
	badge  bool
	pinned bool // a settlement or removal under way: not to be given to somebody else
}

func newSchedule() *schedule {
	return &schedule{
		apps:   map[push.AppID]*app{},
		byNo:   map[int64]push.AppID{},
		leases: map[int64]*lease{},
		busy:   map[push.Hash]int{},
		passed: map[push.Hash][]*look{},
		expiry: math.MaxInt64,
	}
}

// newLease draws a lease's name. Random, so that a verdict from before a restart can never fit a row held since.
func newLease() push.LeaseID {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand crashes the process instead
	return push.LeaseID(binary.BigEndian.Uint64(b[:])>>1 | 1)
}

// add registers an app; known already, it is returned as it is.
func (s *schedule) add(id push.AppID, no int64) *app {
	if a, ok := s.apps[id]; ok {
		return a
	}
	a := &app{id: id, no: no, firstID: math.MaxInt64, queued: map[push.Hash]*look{}}
	s.apps[id], s.byNo[no] = a, id
	return a
}

// hold leases a row.
func (s *schedule) hold(id int64, l *lease) {
	s.leases[id] = l
	s.busy[l.device]++
	s.expiry = min(s.expiry, l.until)
}

// free ends a lease. When it was the device's last, the device's other rows come into view again.
func (s *schedule) free(id int64) {
	l := s.leases[id]
	delete(s.leases, id)
	if s.busy[l.device]--; s.busy[l.device] > 0 {
		return
	}
	delete(s.busy, l.device)
	for _, k := range s.passed[l.device] {
		k.app.look(k)
	}
	delete(s.passed, l.device)
}

// giveBack ends a lease whose row waits again as it was.
func (s *schedule) giveBack(id int64) {
	l := s.leases[id]
	s.pass(&look{app: l.app, device: l.device, first: position{l.due, id}})
	s.free(id)
}

// waits notes that a row waits at p. Behind the cursor nobody would find it otherwise.
func (s *schedule) waits(a *app, device push.Hash, p position) {
	if !a.cursor.before(p) {
		s.pass(&look{app: a, device: device, first: p})
	}
}

// pass remembers a device with rows behind the cursor: for now when it is free, for later when it is in flight.
func (s *schedule) pass(k *look) {
	if s.busy[k.device] == 0 {
		k.app.look(k)
		return
	}
	for _, known := range s.passed[k.device] {
		if known.app == k.app {
			known.join(k)
			return
		}
	}
	s.passed[k.device] = append(s.passed[k.device], k)
}

func (a *app) look(k *look) {
	if known, ok := a.queued[k.device]; ok {
		known.join(k)
		return
	}
	a.queued[k.device] = k
	a.revisit = append(a.revisit, k)
}

// join notes a further row of the device. What was read ahead is forgotten when the row comes before it.
func (k *look) join(o *look) {
	if o.first.before(k.first) {
		k.first = o.first
	}
	if len(k.ahead) > 0 && o.first.before(k.ahead[0]) {
		k.ahead = nil
	}
}

// next takes the device to look at first.
func (a *app) next() *look {
	k := a.revisit[0]
	a.revisit = a.revisit[1:]
	delete(a.queued, k.device)
	if len(a.revisit) == 0 {
		a.revisit = nil // let the array go
	}
	return k
}

// woken makes the next claim read all due rows of the app again.
func (s *schedule) woken(a *app, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.cursor = position{}
	for _, l := range s.leases {
		if l.app == a {
			l.due = min(l.due, now)
		}
	}
}

// sweep ends the leases that have run out. It costs nothing until one has.
func (s *schedule) sweep(now int64) {
	if now < s.expiry {
		return
	}
	s.expiry = math.MaxInt64
	for id, l := range s.leases {
		switch {
		case l.pinned: // its settlement decides; it was in time
		case l.until <= now:
			s.giveBack(id)
		default:
			s.expiry = min(s.expiry, l.until)
		}
	}
}

// pin reserves the rows that are still held under these leases, so that no lease ends while their settlement is
// written. It reports which are.
func (s *schedule) pin(held []push.Held) []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := make([]bool, len(held))
	for i, h := range held {
		if l, ok := s.leases[h.ID]; ok && l.id == h.Lease && !l.pinned {
			l.pinned, mine[i] = true, true
		}
	}
	return mine
}

// take reserves rows that wait, so that they can be removed or moved; a row in flight is not taken.
func (s *schedule) take(id int64, a *app, device push.Hash, due int64) bool {
	if _, ok := s.leases[id]; ok {
		return false
	}
	s.hold(id, &lease{id: newLease(), app: a, device: device, due: due, until: math.MaxInt64, pinned: true})
	return true
}

// unpin lets leases run on after a failed settlement; one that ran out meanwhile ends with the next sweep.
func (s *schedule) unpin(id int64) {
	l := s.leases[id]
	l.pinned = false
	s.expiry = min(s.expiry, l.until)
}

// app returns what is known about an app, nil when it never had a row.
func (s *schedule) app(id push.AppID) *app {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apps[id]
}

// held reports whether a row is in flight.
func (s *schedule) held(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.leases[id]
	return ok
}

// reserve takes a row that a transaction wants to delete or move.
func (s *schedule) reserve(id, no int64, device push.Hash, due int64) (*app, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[s.byNo[no]]
	return a, s.take(id, a, device, due)
}

// finish ends what reserve or pin began: the row is gone, or nothing happened to it.
func (s *schedule) finish(r removed, gone bool) {
	if gone {
		r.app.rows--
		s.free(r.id)
		return
	}
	s.giveBack(r.id)
}

// name returns the app of a number.
func (s *schedule) name(no int64) push.AppID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byNo[no]
}

// seize takes a row whether it waits or is in flight; whoever held it is fenced off.
func (s *schedule) seize(id, no int64, device push.Hash, due int64) (*app, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[s.byNo[no]]
	if l, ok := s.leases[id]; ok {
		if l.pinned {
			return a, false // another transaction of this moment ends or moves it
		}
		s.free(id)
	}
	return a, s.take(id, a, device, due)
}

// leaseOf returns the lease of a row in flight, 0 when it waits.
func (s *schedule) leaseOf(id int64) push.LeaseID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.leases[id]; ok {
		return l.id
	}
	return 0
}

// lapse is sweep for callers without the lock.
func (s *schedule) lapse(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
}
