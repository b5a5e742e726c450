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
// superfluous: then it is deleted in the background, and until that has happened the worker drops it unsent.
type badges struct {
	mu      sync.Mutex
	newest  map[push.Hash]int64     // row id of the one that was stored last
	useless map[push.Hash]time.Time // device -> what was accepted before this may be deleted
	flying  map[push.Hash]int64     // row id of the one that our worker sends: it cannot be deleted yet
}

func newBadges() *badges {
	return &badges{newest: map[push.Hash]int64{}, useless: map[push.Hash]time.Time{}, flying: map[push.Hash]int64{}}
}

func (b *badges) waits(device push.Hash, id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest[device] = max(b.newest[device], id)
}

// ended forgets a row that is gone.
func (b *badges) ended(device push.Hash, id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.flying[device] == id {
		delete(b.flying, device)
	}
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

// takesOff notes that the worker sends a row, unless it is not worth sending any more (false).
func (b *badges) takesOff(row push.Queued) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stale(row) {
		return false
	}
	b.flying[row.Device] = row.ID
	return true
}

// waitsAgain notes that a row was not delivered. It reports false when it need not wait any more.
func (b *badges) waitsAgain(row push.Queued) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.flying[row.Device] == row.ID {
		delete(b.flying, row.Device)
	}
	return !b.stale(row)
}

// stale reports whether newer counts are on their way or were shown. A row that nobody told us about yet is not.
func (b *badges) stale(row push.Queued) bool {
	before, outdated := b.useless[row.Device]
	return outdated && row.Accepted.Before(before) || b.newest[row.Device] > row.ID
}

// take returns devices to clean up, and a time that is safe for all of them.
func (b *badges) take(limit int) (devices []push.Hash, before time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for device, accepted := range b.useless {
		if len(devices) == limit {
			break
		}
		if _, ok := b.flying[device]; ok {
			continue // the next round finds out what became of it
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
