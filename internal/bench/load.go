package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// goodTime is how long after its time an answer is still worth something under overload.
const goodTime = time.Second

// samples are the answers of one load.
type samples struct {
	latencies []time.Duration
	failed    int64
	inTime    int // answered within goodTime
}

func load(ctx context.Context, target *callers, w workload, d time.Duration, seq *atomic.Int64) (samples, error) {
	if w.rate > 0 {
		return open(ctx, target, w, d, seq)
	}
	return closed(ctx, target, w, d, seq)
}

// closed sends from a fixed number of workers as fast as answers come: capacity.
func closed(ctx context.Context, target *callers, w workload, d time.Duration, seq *atomic.Int64) (samples, error) {
	end := time.Now().Add(d)
	per := make([]samples, w.workers)
	var all sync.WaitGroup
	for i := range per {
		all.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				began := time.Now()
				if target.post(w, seq.Add(1)) != nil {
					per[i].failed++
					continue
				}
				per[i].latencies = append(per[i].latencies, time.Since(began))
			}
		})
	}
	all.Wait()
	var sum samples
	for _, s := range per {
		sum.latencies, sum.failed = append(sum.latencies, s.latencies...), sum.failed+s.failed
	}
	return sum, ctx.Err()
}

// open sends at fixed times whether answers come or not, and measures from the intended time: a stall of the server is
// seen by every notification that should have been sent meanwhile.
func open(ctx context.Context, target *callers, w workload, d time.Duration, seq *atomic.Int64) (samples, error) {
	var mu sync.Mutex
	var sum samples
	var all sync.WaitGroup
	gap := time.Second * time.Duration(w.batch) / time.Duration(w.rate)
	began := time.Now()
	for i := 0; time.Duration(i)*gap < d && ctx.Err() == nil; i++ {
		intended := began.Add(time.Duration(i) * gap)
		time.Sleep(time.Until(intended))
		all.Go(func() {
			err := target.post(w, seq.Add(1))
			took := time.Since(intended)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				sum.failed++
				return
			}
			sum.latencies = append(sum.latencies, took)
			if took <= goodTime {
				sum.inTime++
			}
		})
	}
	all.Wait()
	return sum, ctx.Err()
}
