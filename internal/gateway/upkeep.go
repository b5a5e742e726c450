package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// How often the upkeep does what. Most of it finds nothing to do and costs a look at memory.
const (
	tick        = time.Second
	expireEvery = 5 * time.Second
	expireBatch = 1000
	sweepEvery  = 10 * time.Minute
	pruneEvery  = 6 * time.Hour
)

// upkeep expires, renews, cleans up and prunes, until the gateway leaves.
func (g *Gateway) upkeep(stop <-chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	begin := time.Now()
	g.watch.start(begin)
	var expired, renewed, swept, pruned time.Duration
	pruned = -pruneEvery // at start, too
	due := func(last *time.Duration, every, now time.Duration) bool {
		if now-*last < every {
			return false
		}
		*last = now
		return true
	}
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		now := time.Since(begin)
		g.watchClock()
		g.doChores()
		g.dropBadges()
		if due(&expired, expireEvery, now) {
			g.lookForStore()
			g.expire()
			g.endAlerts(time.Now())
		}
		if due(&renewed, renewEvery, now) {
			g.renewLeases()
		}
		if due(&swept, sweepEvery, now) {
			g.recall.sweep()
			g.badges.sweep(time.Now())
		}
		if due(&pruned, pruneEvery, now) {
			g.prune()
		}
	}
}

// expire deletes rows past their deadline, unless the clock has just jumped. Many of them, or a slow store, must not keep
// the upkeep from renewing leases: what is left follows in the next round.
func (g *Gateway) expire() {
	if g.backlog.empty() || g.watch.suspicious() {
		return
	}
	for began := time.Now(); time.Since(began) < expireEvery; {
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		gone, err := g.queue.Expire(ctx, expireBatch)
		cancel()
		if g.storeFailed(opExpire, err) {
			return
		}
		g.bookGone(gone, reasonDeadline)
		total := 0
		for _, n := range gone {
			total += n
		}
		if total < expireBatch {
			return
		}
	}
}

func (g *Gateway) prune() {
	before := time.Now().Add(-deadLife)
	g.dead.prune(before)
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	g.storeFailed(opPrune, g.ledger.Prune(ctx, before))
}

// chores are the apps whose rows a reload wants to be due, at once or when the store is back.
type chores struct {
	mu    sync.Mutex
	wakes map[push.AppID]bool
}

func (c *chores) wake(name push.AppID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wakes == nil {
		c.wakes = map[push.AppID]bool{}
	}
	c.wakes[name] = true
}

func (c *chores) take() map[push.AppID]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	wakes := c.wakes
	c.wakes = nil
	return wakes
}

func (g *Gateway) doChores() {
	failed := false
	for name := range g.chores.take() {
		if failed = failed || !g.wakeRows(name); failed {
			g.chores.wake(name) // later
		}
	}
}

// watchClock raises and ends the alert about a jumping clock.
func (g *Gateway) watchClock() {
	switch jumped, drift := g.watch.look(time.Now()); jumped {
	case clockJumped:
		g.alert("", alertClock, true)
		g.logger.Error("the clock jumped: nothing expires for an hour", slog.Duration("by", drift))
	case clockSettled:
		g.alert("", alertClock, false)
		g.logger.Info("the clock is trusted again")
	case clockSteady:
	}
}

// clockWatch compares the wall clock with the monotonic one. A jump must not expire what waits (F12): it may be wrong
// and be corrected.
type clockWatch struct {
	mu    sync.Mutex
	began time.Time
	drift time.Duration // that is accepted
	until time.Duration // after began: no trust before; 0 while trusted
}

const (
	clockSlack = time.Minute
	clockDoubt = time.Hour
)

type clockChange uint8

const (
	clockSteady clockChange = iota
	clockJumped
	clockSettled
)

func (c *clockWatch) start(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = now
}

func (c *clockWatch) look(now time.Time) (clockChange, time.Duration) {
	return c.compare(now.Round(0).Sub(c.began.Round(0)), now.Sub(c.began))
}

// compare takes the time since start on both clocks.
func (c *clockWatch) compare(wall, monotonic time.Duration) (clockChange, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	drift := wall - monotonic
	off := drift - c.drift
	switch steady := off.Abs() <= clockSlack; {
	case steady && c.until == 0:
		c.drift = drift // clocks are slewed a little all the time
		return clockSteady, 0
	case steady || c.until > 0 && monotonic >= c.until:
		c.drift, c.until = drift, 0
		return clockSettled, 0
	case c.until == 0:
		c.until = monotonic + clockDoubt
		return clockJumped, off
	default:
		return clockSteady, 0
	}
}

// sure returns the earlier of what the wall clock says at t and what it would say if it had not jumped.
func (c *clockWatch) sure(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := t.Round(0)
	if c.began.IsZero() {
		return wall
	}
	if steady := c.began.Round(0).Add(t.Sub(c.began) + c.drift); steady.Before(wall) {
		return steady
	}
	return wall
}

func (c *clockWatch) suspicious() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.until > 0
}
