package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// badgeBatch bounds the devices of one clean-up.
	badgeBatch = 500
	// uselessMost bounds the devices whose rows are only guessed at, while the store is away.
	uselessMost = 100_000
)

// badges knows which devices have a badge-only update in the queue. Any later notification with counts makes it
// superfluous: then it is deleted in the background, and until that has happened the worker drops it unsent. It speaks
// for one process alone; where nodes share the database only useless is in use.
type badges struct {
	mu      sync.Mutex
	newest  map[push.Hash]badgeRow  // the one that was stored last
	useless map[push.Hash]time.Time // device -> what was accepted before this may be deleted
	out     map[int64]push.Hash     // devices of the rows that this process holds, by id
	outOf   map[push.Hash]int       // how many of them a device has
}

// badgeRow is a row of the queue. What a former process stored counts as accepted before everything of ours.
type badgeRow struct {
	id       int64
	accepted time.Time
	deadline time.Time // the store deletes it then, and says only how many it has deleted
}

func newBadges() *badges {
	return &badges{newest: map[push.Hash]badgeRow{}, useless: map[push.Hash]time.Time{}, out: map[int64]push.Hash{}, outOf: map[push.Hash]int{}}
}

// loaded notes a row found in the store at start.
func (b *badges) loaded(row push.Queued) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(row.Device, badgeRow{id: row.ID, deadline: row.Deadline})
}

func (b *badges) note(device push.Hash, row badgeRow) {
	if b.newest[device].id < row.id {
		b.newest[device] = row
	}
}

// stored notes a new row, which this process holds when it is under way. What becomes of an older one is the store's to
// say, never to be concluded from here: rows also expire.
func (b *badges) stored(row push.Queued, e push.Enqueued) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(row.Device, badgeRow{e.ID, row.Accepted, row.Deadline})
	if e.Lease != 0 {
		b.hold(row.Device, e.ID)
	}
}

func (b *badges) hold(device push.Hash, id int64) {
	if _, ok := b.out[id]; !ok {
		b.out[id] = device
		b.outOf[device]++
	}
}

func (b *badges) letGo(id int64) {
	device, ok := b.out[id]
	if !ok {
		return
	}
	delete(b.out, id)
	if b.outOf[device]--; b.outOf[device] == 0 {
		delete(b.outOf, device)
	}
}

// takesOff notes that the worker holds a row, and reports whether it is still worth sending.
func (b *badges) takesOff(row push.Queued) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hold(row.Device, row.ID)
	return !b.stale(row)
}

// worthWaiting reports whether a row that was not delivered is still of use.
func (b *badges) worthWaiting(row push.Queued) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.stale(row)
}

// stale reports whether newer counts are on their way or were shown. A row that nobody told us about yet is not.
func (b *badges) stale(row push.Queued) bool {
	before, outdated := b.useless[row.Device]
	return outdated && row.Accepted.Before(before) || b.newest[row.Device].id > row.ID
}

// waitsAgain notes that a row is back in the queue.
func (b *badges) waitsAgain(id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letGo(id)
}

// sweep forgets the rows whose deadline has passed. Where the clock had jumped, a later one is at worst sent beside a
// newer one.
func (b *badges) sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for device, row := range b.newest {
		if row.deadline.Before(now) {
			delete(b.newest, device)
		}
	}
}

// ended forgets a row that is gone.
func (b *badges) ended(device push.Hash, id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letGo(id)
	if b.newest[device].id == id {
		delete(b.newest, device)
	}
}

// outdated notes that counts accepted at a time reached the device. anyway says to look in the store although we know
// of no row: other nodes may have stored one.
func (b *badges) outdated(device push.Hash, accepted time.Time, anyway bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	row, ok := b.newest[device]
	b.drop(device, accepted, ok && row.accepted.Before(accepted), anyway)
}

// outdatedBefore is outdated for counts that come out of the queue themselves: only rows older than theirs are stale.
func (b *badges) outdatedBefore(device push.Hash, id int64, accepted time.Time, anyway bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	row, ok := b.newest[device]
	b.drop(device, accepted, ok && row.id < id, anyway)
}

// drop marks what was accepted before a time as useless.
func (b *badges) drop(device push.Hash, accepted time.Time, known, anyway bool) {
	if known {
		delete(b.newest, device)
	} else if !anyway || len(b.useless) >= uselessMost {
		return
	}
	b.mark(device, accepted)
}

// mark keeps the later of two times: counts may reach the phone in another order than they were accepted in.
func (b *badges) mark(device push.Hash, accepted time.Time) {
	if b.useless[device].Before(accepted) {
		b.useless[device] = accepted
	}
}

// take returns devices to clean up, each with its time.
func (b *badges) take(limit int) map[push.Hash]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := map[push.Hash]time.Time{}
	for device, accepted := range b.useless {
		if len(taken) == limit {
			break
		}
		if b.outOf[device] > 0 {
			continue // a row in our hands cannot be deleted yet
		}
		taken[device] = accepted
		delete(b.useless, device)
	}
	return taken
}

func (b *badges) giveBack(devices map[push.Hash]time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for device, accepted := range devices {
		b.mark(device, accepted)
	}
}

// dropBadges deletes the badge updates that later counts made superfluous. With a slow store what is left follows in the
// next round, as in expire.
func (g *Gateway) dropBadges() {
	for began := time.Now(); time.Since(began) < expireEvery; {
		devices := g.badges.take(badgeBatch)
		if len(devices) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		gone, err := g.queue.DropBadges(ctx, devices)
		cancel()
		if g.storeFailed(opBadges, err) {
			g.badges.giveBack(devices)
			return
		}
		g.bookGone(gone, reasonSuperseded)
	}
}

// bookGone books rows that were deleted without a verdict of their own.
func (g *Gateway) bookGone(gone map[push.AppID]int, reason string) {
	for app, n := range gone {
		if n <= 0 {
			continue
		}
		end := finalExpired
		if reason == reasonPurged {
			end = finalDeadLettered
		}
		if g.shared {
			g.account.takenOver.Add(uint64(n))
		} else {
			g.account.pending.Add(int64(-n))
		}
		if reason == reasonSuperseded {
			g.account.superseded.Add(uint64(n))
		}
		g.backlog.gone(app, n)
		g.finish(app, g.kindOf(app), end, reason, n)
	}
}

// lookForBadges reports whether other nodes may have stored badge updates that we do not know of.
func (g *Gateway) lookForBadges() bool { return g.shared && g.backlog.rows() > 0 }
