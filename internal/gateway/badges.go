package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// badgeBatch bounds the devices of one clean-up.
const badgeBatch = 500

// badges knows which devices have a badge-only update in the queue. Any later notification with counts makes it
// superfluous: then it is deleted in the background, and until that has happened the worker drops it unsent. It speaks
// for one process alone; where nodes share the database only useless is in use.
type badges struct {
	mu      sync.Mutex
	newest  map[push.Hash]int64     // row id of the one that was stored last
	useless map[push.Hash]time.Time // device -> what was accepted before this may be deleted
	out     map[int64]*badgeOut     // rows that this process holds, by id
	outOf   map[push.Hash]int       // how many of them a device has
}

// badgeOut is a row in our hands.
type badgeOut struct {
	device push.Hash
	// ends is set when a newer one was stored beside it: the store ends it instead of letting it wait again.
	ends bool
}

func newBadges() *badges {
	return &badges{newest: map[push.Hash]int64{}, useless: map[push.Hash]time.Time{}, out: map[int64]*badgeOut{}, outOf: map[push.Hash]int{}}
}

// loaded notes a row found in the store.
func (b *badges) loaded(device push.Hash, id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest[device] = max(b.newest[device], id)
}

// stored notes a new row; held when this process holds it. It reports whether that ended an older row unseen: one that
// did not make place for the new one was held, and was given back before we got to know of the new one.
func (b *badges) stored(device push.Hash, e push.Enqueued) (ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	older := b.newest[device]
	b.newest[device] = max(older, e.ID)
	if e.Lease != 0 {
		b.hold(device, e.ID)
	}
	if older == 0 || older > e.ID || e.State == push.EnqueueReplaced {
		return false
	}
	if o := b.out[older]; o != nil {
		o.ends = true
		return false
	}
	return true
}

func (b *badges) hold(device push.Hash, id int64) {
	if b.out[id] == nil {
		b.out[id] = &badgeOut{device: device}
		b.outOf[device]++
	}
}

func (b *badges) letGo(id int64) (ends bool) {
	o := b.out[id]
	if o == nil {
		return false
	}
	delete(b.out, id)
	if b.outOf[o.device]--; b.outOf[o.device] == 0 {
		delete(b.outOf, o.device)
	}
	return o.ends
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
	return outdated && row.Accepted.Before(before) || b.newest[row.Device] > row.ID
}

// waitsAgain notes that a row is back in the queue. It reports true when the store ended it instead.
func (b *badges) waitsAgain(id int64) (ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.letGo(id)
}

// ended forgets a row that is gone.
func (b *badges) ended(device push.Hash, id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letGo(id)
	if b.newest[device] == id {
		delete(b.newest, device)
	}
}

// outdated notes that counts accepted at a time reached the device. anyway says to look in the store although we know
// of no row: other nodes may have stored one.
func (b *badges) outdated(device push.Hash, accepted time.Time, anyway bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.newest[device]; ok || anyway {
		delete(b.newest, device)
		b.useless[device] = accepted
	}
}

// outdatedBefore is outdated for counts that come out of the queue themselves: only rows older than theirs are stale.
func (b *badges) outdatedBefore(device push.Hash, id int64, accepted time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if waiting, ok := b.newest[device]; ok && waiting < id {
		delete(b.newest, device)
		b.useless[device] = accepted
	}
}

// take returns devices to clean up, and a time that is safe for all of them.
func (b *badges) take(limit int) (devices []push.Hash, before time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for device, accepted := range b.useless {
		if len(devices) == limit {
			break
		}
		if b.outOf[device] > 0 {
			continue // a row in our hands cannot be deleted yet
		}
		devices = append(devices, device)
		before = earliest(before, accepted)
		delete(b.useless, device)
	}
	return devices, before
}

func (b *badges) giveBack(devices []push.Hash, before time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range devices {
		if _, ok := b.useless[d]; !ok {
			b.useless[d] = before
		}
	}
}

// dropBadges deletes the badge updates that later counts made superfluous.
func (g *Gateway) dropBadges() {
	for {
		devices, before := g.badges.take(badgeBatch)
		if len(devices) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		gone, err := g.queue.DropBadges(ctx, devices, before)
		cancel()
		if g.storeFailed(opBadges, err) {
			g.badges.giveBack(devices, before)
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
