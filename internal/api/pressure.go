package api

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// crowd is how many goroutines may wait for one processor: some 3 ms of work, as each runs for about 30 us at a time.
	crowd = 100
	// gathering is how many requests may be under way for each processor while there is a crowd. Some full batches start
	// hundreds of goroutines, and end within moments.
	gathering = 64
	// crowdPatience is how long the crowd may last before it is overload and not a burst. Slots have the same.
	crowdPatience = 250 * time.Millisecond
	// crowdMemory is how long after a refusal the next crowd is overload at once.
	crowdMemory = time.Second

	// lookEvery is how old a look at the crowd may be; looks further apart than lookGap say nothing about the time between.
	lookEvery = 5 * time.Millisecond
	lookGap   = 100 * time.Millisecond
	// tellEvery keeps the log readable while overload comes and goes.
	tellEvery = 10 * time.Second
	// pressureDelay is how long refused callers are told to stay away.
	pressureDelay = time.Second
)

// pressure tells when more arrives than the processors can do. Without it every request is taken in, all of them wait for
// each other, and the callers' patience ends before the first answer: at twice what one core could do, 5 % of that was
// done. Refusing costs about a seventh of serving.
//
// Slow providers do not count: who waits for an answer does not wait for a processor. They have slots of their own.
type pressure struct {
	waiting func() int64 // goroutines that could run but have no processor
	logger  *slog.Logger
	crowd   int64
	gather  int64

	underWay atomic.Int64 // requests
	high     atomic.Bool
	refused  atomic.Int64 // since the log was told
	next     atomic.Int64 // when to look again, in nanoseconds since began
	began    time.Time

	mu     sync.Mutex // for what the looks have seen
	looked time.Time
	since  time.Time // the crowd is there
	last   time.Time // it was overload
	told   time.Time
}

func newPressure(logger *slog.Logger) *pressure {
	n := int64(runtime.GOMAXPROCS(0))
	return &pressure{waiting: runnable, logger: logger, crowd: n * crowd, gather: n * gathering, began: time.Now()}
}

// runnable asks Go's scheduler. It takes about a microsecond.
func runnable() int64 {
	sample := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(min(sample[0].Value.Uint64(), 1<<32)) //nolint:gosec // bounded
}

// enter reports whether a request that arrives now may be served. Whoever may calls leave when it has ended.
func (p *pressure) enter(ctx context.Context) bool {
	now := time.Now()
	at := int64(now.Sub(p.began))
	if next := p.next.Load(); at >= next && p.next.CompareAndSwap(next, at+int64(lookEvery)) {
		p.look(ctx, now)
	}
	if p.high.Load() && p.underWay.Load() >= p.gather {
		p.refused.Add(1)
		return false
	}
	p.underWay.Add(1)
	return true
}

func (p *pressure) leave() { p.underWay.Add(-1) }

// look decides about the requests until the next look.
func (p *pressure) look(ctx context.Context, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting() <= p.crowd || p.underWay.Load() < p.gather {
		p.since = time.Time{}
		p.high.Store(false)
		p.looked = now
		return
	}
	if p.since.IsZero() || now.Sub(p.looked) > lookGap {
		p.since = now
	}
	p.looked = now
	if now.Sub(p.since) < crowdPatience && (p.last.IsZero() || now.Sub(p.last) > crowdMemory) {
		return
	}
	p.last = now
	p.high.Store(true)
	if now.Sub(p.told) > tellEvery {
		p.told = now
		p.logger.LogAttrs(ctx, slog.LevelWarn, "more requests than the processors can do, refusing some",
			slog.Int64("refused_before", p.refused.Swap(0)), slog.Int64("under_way", p.underWay.Load()))
	}
}
