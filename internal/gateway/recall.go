package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	recallShards = 64
	// recallGenerations cuts the window: the oldest generation is dropped as a whole, so a full memory still holds the
	// newest 3/4 of its entries, and no list orders them.
	recallGenerations = 4
)

// recall is the memory of duplicates: by duplicate hash, what was delivered within the window, what waits in the queue,
// and what is under way. A dead pushkey is not remembered here but in the ledger, where a newer registration clears it;
// a caller that sends no pushkey_ts is never answered from memory, as its pushkey may have come back to life.
//
// An entry is 16 bytes of hash and 4 of time in a map without pointers; the test of this file measures what the maps
// add. The hashes are keyed, so nobody outside can aim at one shard.
type recall struct {
	base   time.Time
	window atomic.Int64 // in seconds
	room   atomic.Int64 // entries per shard and generation
	rows   atomic.Int64 // queued entries per shard
	shards [recallShards]recallShard
}

type recallShard struct {
	mu      sync.Mutex
	done    [recallGenerations]map[push.Hash]uint32 // when it was delivered or last repeated; newest generation first
	since   uint32                                  // when the newest generation began
	queued  map[push.Hash]uint32                    // when the row's deadline ends
	flights map[push.Hash]*flight
}

// seen is what recall knows about a hash.
type seen uint8

const (
	seenNever seen = iota
	seenDelivered
	seenQueued
	seenUnderWay
)

func newRecall(cfg Dedup, maxQueued int) *recall {
	r := &recall{base: time.Now()}
	r.resize(cfg, maxQueued)
	return r
}

// resize takes new bounds; they show as entries are added. What waits in the queue is bounded by the queue itself, unless
// other nodes end our rows: then twice as many, as nobody tells us.
func (r *recall) resize(cfg Dedup, maxQueued int) {
	r.rows.Store(int64(2*maxQueued/recallShards + 1))
	r.window.Store(int64((cfg.Window + time.Second - 1) / time.Second))
	r.room.Store(int64(max(cfg.MaxEntries/recallShards/recallGenerations, 1)))
}

// clock returns seconds since the memory began, on the monotonic clock: a wrong wall clock forgets nothing.
func (r *recall) clock(now time.Time) uint32 { return uint32(now.Sub(r.base) / time.Second) } //nolint:gosec // 136 years

// since returns the seconds from one time to another, below 0 when it lies ahead: a copy may have begun a moment before
// the first was delivered, and be looked up a moment after.
func since(from, to uint32) int64 { return int64(to) - int64(from) }

func (r *recall) shard(h push.Hash) *recallShard { return &r.shards[h[0]%recallShards] }

// enter looks a hash up and registers f when it is new. With seenUnderWay it returns the flight to share instead.
func (r *recall) enter(h push.Hash, f *flight, at time.Time) (seen, *flight) {
	s := r.shard(h)
	now := r.clock(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.flights[h]; other != nil {
		other.callers++
		return seenUnderWay, other
	}
	if until, ok := s.queued[h]; ok && now <= until {
		return seenQueued, nil
	}
	if r.repeated(s, h, now) {
		return seenDelivered, nil
	}
	if s.flights == nil {
		s.flights = map[push.Hash]*flight{}
	}
	s.flights[h] = f
	f.callers = 1
	return seenNever, f
}

// repeated reports whether h was delivered within the window, which begins anew then.
func (r *recall) repeated(s *recallShard, h push.Hash, now uint32) bool {
	for i := range s.done {
		at, ok := s.done[i][h]
		if !ok {
			continue
		}
		delete(s.done[i], h)
		if since(at, now) > r.window.Load() {
			return false
		}
		r.remember(s, h, max(now, at))
		return true
	}
	return false
}

// remember puts h into the newest generation, beginning a new one when that is full or old.
func (r *recall) remember(s *recallShard, h push.Hash, now uint32) {
	full := len(s.done[0]) >= int(r.room.Load())
	old := since(s.since, now) > r.window.Load()/(recallGenerations-1)
	if s.done[0] == nil || full || old {
		copy(s.done[1:], s.done[:recallGenerations-1])
		s.done[0], s.since = map[push.Hash]uint32{}, now
	}
	s.done[0][h] = now
}

// delivered notes that the phone got it: repeats within the window are answered without an attempt.
func (r *recall) delivered(h push.Hash, at time.Time) {
	if h.IsZero() {
		return
	}
	s := r.shard(h)
	now := r.clock(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, h)
	delete(s.queued, h)
	for i := range s.done {
		delete(s.done[i], h)
	}
	r.remember(s, h, now)
}

// wasDelivered looks without renewing the window.
func (r *recall) wasDelivered(h push.Hash) bool {
	if h.IsZero() {
		return false
	}
	s := r.shard(h)
	now := r.clock(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.done {
		if at, ok := s.done[i][h]; ok {
			return since(at, now) <= r.window.Load()
		}
	}
	return false
}

// queuedUntil notes that a row with this hash waits, at most for that long from now.
func (r *recall) queuedUntil(h push.Hash, life time.Duration) {
	if h.IsZero() {
		return
	}
	s := r.shard(h)
	until := r.clock(time.Now()) + uint32(max(life, 0)/time.Second) + 1 //nolint:gosec // at most a day
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, h)
	if s.queued == nil {
		s.queued = map[push.Hash]uint32{}
	}
	if len(s.queued) >= int(r.rows.Load()) {
		for any := range s.queued { // any one: the store still knows a copy of it, should it still wait
			delete(s.queued, any)
			break
		}
	}
	s.queued[h] = until
}

// unqueued notes that the row is gone without a delivery.
func (r *recall) unqueued(h push.Hash) {
	if h.IsZero() {
		return
	}
	s := r.shard(h)
	s.mu.Lock()
	delete(s.queued, h)
	s.mu.Unlock()
}

// landed forgets a flight that ended without anything to remember.
func (r *recall) landed(f *flight) {
	if f.hash.IsZero() {
		return
	}
	s := r.shard(f.hash)
	s.mu.Lock()
	if s.flights[f.hash] == f {
		delete(s.flights, f.hash)
	}
	s.mu.Unlock()
}

// leave ends one caller's interest. When it was the last and the flight has ended with nothing to remember, the
// flight is forgotten: the next copy is a new attempt.
func (r *recall) leave(f *flight) {
	if f.hash.IsZero() {
		return
	}
	s := r.shard(f.hash)
	s.mu.Lock()
	f.callers--
	if f.callers == 0 && s.flights[f.hash] == f && f.stranded() {
		delete(s.flights, f.hash)
	}
	s.mu.Unlock()
}

// abandoned reports whether nobody waits for a flight any more, and forgets it then. A flight whose duplicate hash is
// zero has no twins; its only caller looks after it.
func (r *recall) abandoned(f *flight) bool {
	if f.hash.IsZero() {
		return false
	}
	s := r.shard(f.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.callers > 0 {
		return false
	}
	if s.flights[f.hash] == f {
		delete(s.flights, f.hash)
	}
	return true
}

// sweep forgets rows past their deadline, which were expired by now, and generations past the window.
func (r *recall) sweep() {
	now := r.clock(time.Now())
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for h, until := range s.queued {
			if now > until {
				delete(s.queued, h)
			}
		}
		if since(s.since, now) > 2*r.window.Load() {
			s.done = [recallGenerations]map[push.Hash]uint32{}
		}
		s.mu.Unlock()
	}
}

// size returns the remembered deliveries.
func (r *recall) size() int {
	n := 0
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, g := range s.done {
			n += len(g)
		}
		s.mu.Unlock()
	}
	return n
}
