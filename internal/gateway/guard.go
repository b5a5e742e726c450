package gateway

import (
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// guardBuckets cuts the guard's window into equal parts; the oldest part leaves as a whole.
const guardBuckets = 20

// guard decides whether an ambiguous "dead pushkey" verdict of an app may be believed with its settings of one
// fingerprint (design.md 2, guarded dead). The same answer also follows from a wrong setting, and then it comes for every
// token: believing it would delete every pusher of the app.
type guard struct {
	settings push.Hash // the fingerprint

	mu sync.Mutex
	// proven is set by the first success with the app's current settings.
	proven bool
	// last holds the newest `min` sends as bits (guarded or not), in a ring; it is allocated with the first send.
	last    []uint64
	size    int // capacity of the ring, the configured min
	at      int // where the next bit goes
	lastBad int // set bits in the ring
	buckets [guardBuckets]guardBucket
}

type guardBucket struct {
	period int64 // number of the part of time that the counts belong to
	sends  int32
	bad    int32
}

// record notes a send that was accepted or called dead, bad when it was a guarded verdict. Other answers say nothing
// about pushkeys, so they must not make a share of bad ones look small.
func (g *guard) record(cfg RejectGuard, now time.Time, bad bool) {
	if !cfg.Enabled {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.size != cfg.Min {
		g.last, g.size, g.at, g.lastBad = make([]uint64, (cfg.Min+63)/64), cfg.Min, 0, 0
	}
	word, bit := g.at/64, uint64(1)<<(g.at%64)
	if g.last[word]&bit != 0 {
		g.lastBad--
	}
	g.last[word] &^= bit
	if bad {
		g.last[word] |= bit
		g.lastBad++
	}
	g.at = (g.at + 1) % g.size

	period := guardPeriod(cfg, now)
	b := &g.buckets[period%guardBuckets]
	if b.period != period {
		*b = guardBucket{period: period}
	}
	b.sends++
	if bad {
		b.bad++
	}
}

// prove notes a success with the current settings.
func (g *guard) prove() {
	g.mu.Lock()
	g.proven = true
	g.mu.Unlock()
}

// believes reports whether a guarded verdict counts now: while they are few among the last min sends, and also among
// those of the window if it holds more. Either alone is not enough. The window of a busy app is full of good sends when
// every token turns bad, and would let a quarter of them through; the last sends of a quiet one may all be good.
// Until min sends were seen the missing ones count as harmless, so fewer than share*min pushkeys can be reported in one
// go, however much an app sends.
func (g *guard) believes(cfg RejectGuard, now time.Time) bool {
	if !cfg.Enabled {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.proven || !few(g.lastBad, cfg.Min, cfg.Share) {
		return false
	}
	oldest := guardPeriod(cfg, now) - guardBuckets
	sends, bad := 0, 0
	for _, b := range g.buckets {
		if b.period > oldest {
			sends += int(b.sends)
			bad += int(b.bad)
		}
	}
	return sends <= cfg.Min || few(bad, sends, cfg.Share)
}

// few reports whether bad is below a share of sends.
func few(bad, sends int, share float64) bool { return float64(bad) < share*float64(sends) }

func guardPeriod(cfg RejectGuard, now time.Time) int64 {
	return now.UnixNano() / max(int64(cfg.Window)/guardBuckets, 1)
}
