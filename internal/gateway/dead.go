package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	deadShards = 64
	// deadLife is how long an entry is kept (design.md 2).
	deadLife = 30 * 24 * time.Hour
	// deadMost bounds the mirror. What finds no place is asked of the provider again: slower, never wrong.
	deadMost = 4 << 20
)

// deadKeys mirrors the ledger of dead pushkeys in memory, so that no request costs SQL. An entry is 16 bytes of keyed
// hash and 8 of facts in a map without pointers.
type deadKeys struct {
	size   atomic.Int64
	shards [deadShards]deadShard
	names  nameTable
}

type deadShard struct {
	mu   sync.Mutex
	keys map[push.Hash]deadKey
}

// deadKey is what the mirror keeps of an entry.
type deadKey struct {
	since uint32 // unix seconds, rounded down
	facts uint32 // day of recording (14 bits, from dayZero), guarded (1 bit), app (17 bits)
}

const (
	appBits  = 17
	noApp    = 1<<appBits - 1 // more names than fit
	guardBit = 1 << appBits
	dayShift = appBits + 1
	dayZero  = 20_000 // days after 1970: October 2024
	lastDay  = 1<<(32-dayShift) - 1
)

// dayOf numbers days from dayZero on.
func dayOf(t time.Time) uint32 {
	return uint32(min(max(t.Unix()/(24*60*60)-dayZero, 0), lastDay)) //nolint:gosec // clamped
}

func (k deadKey) guarded() bool { return k.facts&guardBit != 0 }
func (k deadKey) app() uint32   { return k.facts & noApp }
func (k deadKey) day() uint32   { return k.facts >> dayShift }

// standing is what the ledger says about a device.
type standing uint8

const (
	standingUnlisted standing = iota
	standingDead              // dead later than it was registered: rejected without asking
	standingRenewed           // registered later than it died: the entry is wrong by now
	standingUnsure            // no pushkey_ts, or the same second: the provider's answer decides
)

// check compares an entry with the device's registration. pushkey_ts is in whole seconds, so a registration may be up to
// a second later than it says: only a death in a later second certainly follows it.
func (d *deadKeys) check(device push.Hash, registered int64) standing {
	if d.size.Load() == 0 {
		return standingUnlisted
	}
	s := d.shard(device)
	s.mu.Lock()
	k, ok := s.keys[device]
	s.mu.Unlock()
	switch since := int64(k.since); {
	case !ok:
		return standingUnlisted
	case registered <= 0:
		return standingUnsure
	case since > registered:
		return standingDead
	case since < registered:
		return standingRenewed
	default:
		return standingUnsure
	}
}

// put adds an entry that is on its way to the store; of two for one device the later wins, as there.
func (d *deadKeys) put(dead push.DeadKey) { d.set(dead, false) }

// replace adds an entry that comes from the store, which has weighed it already: an earlier death stands where a later
// one was cleared meanwhile, although whoever reads only the last change did not see that.
func (d *deadKeys) replace(dead push.DeadKey) { d.set(dead, true) }

func (d *deadKeys) set(dead push.DeadKey, weighed bool) {
	k := deadKey{
		since: uint32(min(max(dead.Since.Unix(), 0), 1<<32-1)), //nolint:gosec // clamped
		facts: dayOf(dead.Recorded)<<dayShift | d.names.number(dead.AppID),
	}
	if dead.Guarded {
		k.facts |= guardBit
	}
	s := d.shard(dead.Device)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.keys[dead.Device]
	switch {
	case known && !weighed && old.since > k.since:
		return
	case !known && d.size.Load() >= deadMost:
		return
	case !known:
		d.size.Add(1)
	}
	if s.keys == nil {
		s.keys = map[push.Hash]deadKey{}
	}
	s.keys[dead.Device] = k
}

// remove drops an entry and reports whether there was one.
func (d *deadKeys) remove(device push.Hash) bool {
	if d.size.Load() == 0 {
		return false
	}
	s := d.shard(device)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.keys[device]; !ok {
		return false
	}
	delete(s.keys, device)
	d.size.Add(-1)
	return true
}

// removeGuarded drops the entries of an app that rest on verdicts which its old settings may have caused.
func (d *deadKeys) removeGuarded(app push.AppID) {
	number := d.names.number(app)
	d.removeIf(func(k deadKey) bool { return k.guarded() && (k.app() == number || k.app() == noApp) })
}

// removeApp drops all entries of an app.
func (d *deadKeys) removeApp(app push.AppID) {
	number := d.names.number(app)
	d.removeIf(func(k deadKey) bool { return k.app() == number })
}

// prune drops entries recorded before t.
func (d *deadKeys) prune(t time.Time) {
	day := dayOf(t)
	d.removeIf(func(k deadKey) bool { return k.day() < day })
}

func (d *deadKeys) removeIf(gone func(deadKey) bool) {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		for device, k := range s.keys {
			if gone(k) {
				delete(s.keys, device)
				d.size.Add(-1)
			}
		}
		s.mu.Unlock()
	}
}

func (d *deadKeys) shard(device push.Hash) *deadShard { return &d.shards[device[0]%deadShards] }

// nameTable numbers the names of configured apps, so that an entry need not hold one.
type nameTable struct {
	mu      sync.Mutex
	numbers map[push.AppID]uint32
}

func (t *nameTable) number(app push.AppID) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.numbers[app]; ok {
		return n
	}
	n := uint32(len(t.numbers)) //nolint:gosec // at most noApp
	if n == noApp {
		return noApp
	}
	if t.numbers == nil {
		t.numbers = map[push.AppID]uint32{}
	}
	t.numbers[app] = n
	return n
}
