package gateway

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// backlog counts, per app name, what waits in the durable queue and when to look at it next, so that an idle gateway
// asks the store next to nothing. Where nodes share the database, a slow poll corrects it.
type backlog struct {
	mu    sync.Mutex
	max   int
	total int
	full  bool
	apps  map[push.AppID]*appBacklog
}

// appBacklog is what is known about one app's rows.
type appBacklog struct {
	rows int
	held int // claimed by our worker and not settled yet
	full bool
	// next is when the earliest row that waits is due, as far as we know; zero when we know of none.
	next time.Time
	// short is set when a claim found less than it asked for although rows wait: they may belong to devices in flight,
	// and then the next row that lands makes room for them. The store does not say which it was.
	short bool
	// again is when the store may be asked again after it had nothing for us; rest until when the app is left alone in any
	// case: the store failed, or what it had could not be sent.
	again  time.Time
	rest   time.Time
	oldest time.Time // acceptance of the oldest row
	fewer  bool      // rows have gone since the last look, the oldest one perhaps
}

func newBacklog(limit int) *backlog {
	return &backlog{max: limit, apps: map[push.AppID]*appBacklog{}}
}

func (b *backlog) app(name push.AppID) *appBacklog {
	a := b.apps[name]
	if a == nil {
		a = &appBacklog{}
		b.apps[name] = a
	}
	return a
}

// The hysteresis of a full queue: refused from 90 % on until it is down to 70 %; an app from half of max_queued on
// until it is down to 70 % of that (design.md 2 and 5, F14).
func closeAt(limit int) int { return max(limit*9/10, 1) }
func openAt(limit int) int  { return limit * 7 / 10 }
func appLimit(limit int) int {
	return max(limit/2, 1)
}

// reserve counts rows that are about to be written. It returns the name of the app that has no room, and whether the
// queue as a whole became full or got room again.
func (b *backlog) reserve(names []push.AppID) (refused push.AppID, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.full
	if b.full && b.total <= openAt(b.max) {
		b.full = false
	}
	if !b.full && b.total+len(names) > closeAt(b.max) {
		b.full = true
	}
	if b.full {
		return names[0], was != b.full
	}
	limit := appLimit(b.max)
	for i, name := range names {
		a := b.app(name)
		if a.full && a.rows <= openAt(limit) {
			a.full = false
		}
		if a.full || a.rows >= limit {
			a.full = true
			b.drop(names[:i])
			return name, was != b.full
		}
		if a.rows == 0 {
			a.oldest = time.Now()
		}
		a.rows++
		b.total++
	}
	return "", was != b.full
}

func (b *backlog) unreserve(names []push.AppID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(names)
}

func (b *backlog) drop(names []push.AppID) {
	for _, name := range names {
		b.remove(name, 1)
	}
}

// remove takes rows out of the count; an app without rows is forgotten.
func (b *backlog) remove(name push.AppID, n int) {
	a := b.apps[name]
	if a == nil {
		return
	}
	n = min(n, a.rows)
	a.rows -= n
	a.fewer = a.fewer || n > 0
	b.total -= n
	if a.rows == 0 && a.held == 0 {
		delete(b.apps, name)
	}
}

// gone counts rows that were deleted.
func (b *backlog) gone(name push.AppID, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(name, n)
}

func (b *backlog) isFull() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full && b.total <= openAt(b.max) {
		b.full = false
	}
	return b.full
}

// reopened reports whether the queue was full and has room again by now, once each time.
func (b *backlog) reopened() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.full || b.total > openAt(b.max) {
		return false
	}
	b.full = false
	return true
}

// dueAt notes that a row of the app waits until t.
func (b *backlog) dueAt(name push.AppID, t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.app(name)
	if a.next.IsZero() || t.Before(a.next) {
		a.next = t
	}
}

// nowDue makes the app's rows worth looking at at once.
func (b *backlog) nowDue(name push.AppID, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.apps[name]; a != nil {
		a.next, a.again, a.rest = now, time.Time{}, time.Time{}
	}
}

// landed notes that a row of the app is not in flight any more, claimed when our worker had it: what waited behind its
// device may go now.
func (b *backlog) landed(name push.AppID, claimed bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.apps[name]
	if a == nil {
		return
	}
	if claimed {
		a.held--
	}
	if a.short {
		a.next = now // not before again: most often nothing has waited behind it
	}
	if a.rows == 0 && a.held == 0 {
		delete(b.apps, name)
	}
}

// claimed notes the answer of a claim: fewer rows than asked for means that no more are due now, and that only the store
// knows when the next one is (true: ask it).
func (b *backlog) claimed(name push.AppID, asked, got int, now time.Time) (ask bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.app(name)
	a.held += got
	if got == asked {
		return false
	}
	a.next, a.short = time.Time{}, a.rows > a.held
	if got == 0 {
		// What is due belongs to a device in flight, or expires; do not spin.
		a.again = now.Add(time.Second)
	}
	return a.short
}

// rest keeps the app from being looked at for a while.
func (b *backlog) rest(name push.AppID, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.apps[name]; a != nil {
		a.rest = until
	}
}

// turn is an app that may have due rows.
type turn struct {
	name push.AppID
	held int
}

// due lists the apps to look at now, how many rows are held in all, and the time of the next look if nothing happens
// before.
func (b *backlog) due(now time.Time) (turns []turn, held int, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, a := range b.apps {
		held += a.held
		if a.next.IsZero() {
			continue
		}
		at := a.next
		for _, other := range []time.Time{a.again, a.rest} {
			if other.After(at) {
				at = other
			}
		}
		if at.After(now) {
			next = earliest(next, at)
			continue
		}
		turns = append(turns, turn{name, a.held})
	}
	// The app with the fewest rows in flight goes first: a small one never waits for a big one.
	slices.SortFunc(turns, func(x, y turn) int { return x.held - y.held })
	return turns, held, next
}

// rebase takes what the store says. counts is false where our own count is exact: it may have changed since the store
// looked. What was enqueued meanwhile keeps its earlier time.
func (b *backlog) rebase(found []push.Backlog, counts bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := make(map[push.AppID]bool, len(found))
	for _, f := range found {
		seen[f.AppID] = true
		a := b.app(f.AppID)
		a.oldest, a.fewer = f.Oldest, false
		if counts {
			b.total += f.Rows - a.rows
			a.rows = f.Rows
		}
		if !f.Next.IsZero() {
			a.next = earliest(a.next, f.Next)
		}
	}
	for name, a := range b.apps {
		if seen[name] {
			continue
		}
		a.oldest = time.Time{}
		if counts {
			b.remove(name, a.rows)
		}
	}
}

// unsure reports whether only the store knows: rows wait for something that nobody has promised to tell us of, a device
// in flight most often; or the oldest one may be gone.
func (b *backlog) unsure() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.apps {
		if a.next.IsZero() && a.rows > a.held || a.fewer && a.rows > 0 {
			return true
		}
	}
	return false
}

// rows returns how many rows there are in all.
func (b *backlog) rows() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// empty reports whether no app has rows, not even one that the store alone knows of.
func (b *backlog) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.apps) == 0
}

// names lists the apps that have rows.
func (b *backlog) names() []push.AppID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.apps))
}

// has reports whether an app has rows.
func (b *backlog) has(name push.AppID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.apps[name] != nil
}

// look returns a copy for the metrics.
func (b *backlog) look() (total int, full bool, apps map[push.AppID]appBacklog) {
	b.mu.Lock()
	defer b.mu.Unlock()
	apps = make(map[push.AppID]appBacklog, len(b.apps))
	for name, a := range b.apps {
		apps[name] = *a
	}
	return b.total, b.full, apps
}

func (b *backlog) resize(limit int) {
	b.mu.Lock()
	b.max = limit
	b.mu.Unlock()
}

// earliest returns the earlier of two times, of which zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
