package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// hashOf spreads numbers as the keyed hash does.
func hashOf(n int) push.Hash {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	sum := sha256.Sum256(b[:])
	return push.Hash(sum[:16])
}

func TestRecall_RemembersAtLeastThreeQuartersAndNeverMoreThanItsBound(t *testing.T) {
	t.Parallel()
	const bound = 40 * recallShards * recallGenerations
	r := newRecall(Dedup{Window: time.Hour, MaxEntries: bound}, 1000)
	for i := range 4 * bound {
		r.delivered(hashOf(i), time.Now())
		if i%1000 == 0 {
			require.LessOrEqual(t, r.size(), bound)
		}
	}
	forgotten := 0
	for i := 4*bound - bound/2; i < 4*bound; i++ {
		if !r.wasDelivered(hashOf(i)) {
			forgotten++
		}
	}
	require.Zero(t, forgotten, "the newer half is all there")
	require.False(t, r.wasDelivered(hashOf(0)))
}

func TestRecall_States(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		r := newRecall(Dedup{Window: time.Hour, MaxEntries: 1000}, 1000)
		h := hashOf(1)
		first := &flight{hash: h}
		known, f := r.enter(h, first, time.Now())
		require.Equal(t, seenNever, known)
		require.Same(t, first, f)
		known, f = r.enter(h, &flight{hash: h}, time.Now())
		require.Equal(t, seenUnderWay, known)
		require.Same(t, first, f)
		require.Equal(t, 2, first.callers)

		r.queuedUntil(h, time.Minute)
		known, _ = r.enter(h, &flight{hash: h}, time.Now())
		require.Equal(t, seenQueued, known)
		time.Sleep(2 * time.Minute)
		r.sweep()
		known, f = r.enter(h, &flight{hash: h}, time.Now())
		require.Equal(t, seenNever, known, "past its deadline")
		r.landed(f)

		r.delivered(h, time.Now())
		known, _ = r.enter(h, &flight{hash: h}, time.Now())
		require.Equal(t, seenDelivered, known)
		r.queuedUntil(h, time.Minute)
		r.unqueued(h)
		require.True(t, r.wasDelivered(h))
		time.Sleep(3 * time.Hour)
		r.sweep()
		require.Zero(t, r.size(), "old generations are dropped without new entries")

		zero := push.Hash{}
		r.delivered(zero, time.Now())
		r.queuedUntil(zero, time.Hour)
		require.False(t, r.wasDelivered(zero))
		require.Zero(t, r.size())
	})
}

// A request may have begun a moment before a copy was delivered, and look a moment after; in between a second ends.
func TestRecall_ALookFromBeforeTheDelivery(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		r := newRecall(Dedup{Window: time.Hour, MaxEntries: 1_000_000}, 1000)
		time.Sleep(time.Minute)
		now := time.Now()
		h := hashOf(1)
		r.delivered(h, now)
		known, _ := r.enter(h, &flight{hash: h}, now.Add(-time.Second))
		require.Equal(t, seenDelivered, known)
		for i := range recallGenerations {
			other := h
			other[15] = byte(i) // of the same shard
			r.delivered(other, now.Add(-time.Second))
		}
		require.True(t, r.wasDelivered(h), "no generation ends early")
	})
}

// Where other nodes end our rows, nobody tells us: what is remembered as queued must not grow for a day.
func TestRecall_QueuedIsBounded(t *testing.T) {
	t.Parallel()
	r := newRecall(Dedup{Window: time.Hour, MaxEntries: 1000}, 64*recallShards)
	for i := range 10_000 {
		r.queuedUntil(hashOf(i), 24*time.Hour)
	}
	known, _ := r.enter(hashOf(9_999), &flight{}, time.Now())
	require.Equal(t, seenQueued, known)
	rows := 0
	for i := range r.shards {
		rows += len(r.shards[i].queued)
	}
	require.LessOrEqual(t, rows, 2*64*recallShards+recallShards)
}

func TestRecall_EntryLivesForTheWholeWindowWhateverItsGeneration(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		r := newRecall(Dedup{Window: time.Hour, MaxEntries: 1_000_000}, 1000)
		for i := range 600 {
			r.delivered(hashOf(i), time.Now())
			if i >= 59 {
				require.True(t, r.wasDelivered(hashOf(i-59)), "59 minutes old")
			}
			if i >= 62 {
				require.False(t, r.wasDelivered(hashOf(i-62)), "62 minutes old")
			}
			time.Sleep(time.Minute)
		}
	})
}

// Memory is a promise (issue 7.4): at most 64 bytes per configured entry, at the worst fill of the maps.
func TestMemory_BytesPerEntry(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a million entries")
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	const step, most = 50_000, 1_000_000
	before := heap()
	r := newRecall(Dedup{Window: 24 * time.Hour, MaxEntries: most}, 1000)
	worst := 0.0
	for i := range 2 * most {
		r.delivered(hashOf(i), time.Now())
		if i%step == step-1 && i > most/4 {
			worst = max(worst, float64(heap()-before)/float64(min(i+1, most)))
		}
	}
	t.Logf("duplicates: %.1f bytes per entry at worst, %d entries", worst, r.size())
	require.Less(t, worst, 64.0)
	runtime.KeepAlive(r)
	r = nil

	before = heap()
	worst = 0
	var d deadKeys
	at := time.Now()
	for i := range most {
		d.put(push.DeadKey{AppID: "com.example.app", Device: hashOf(i), Since: at, Recorded: at})
		if i%step == step-1 && i > most/4 {
			worst = max(worst, float64(heap()-before)/float64(i+1))
		}
	}
	t.Logf("dead pushkeys: %.1f bytes per entry at worst, %d entries", worst, d.size.Load())
	require.Less(t, worst, 64.0)
	runtime.KeepAlive(&d)
}
