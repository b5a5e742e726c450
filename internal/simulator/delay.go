package simulator

import (
	"sync"
	"time"
)

// delayer runs functions later, all on one goroutine: thousands of answers may be waiting at a time, and they often
// fall due together. The functions must not block.
type delayer struct {
	mu      sync.Mutex
	heap    []delayed
	wake    chan struct{}
	stopped chan struct{}
	done    sync.WaitGroup
}

type delayed struct {
	due time.Time
	run func()
}

func newDelayer() *delayer {
	d := &delayer{wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	d.done.Go(d.loop)
	return d
}

// after runs f when the time has passed; never after stop.
func (d *delayer) after(wait time.Duration, f func()) {
	due := time.Now().Add(wait)
	d.mu.Lock()
	first := len(d.heap) == 0 || due.Before(d.heap[0].due)
	d.push(delayed{due, f})
	d.mu.Unlock()
	if first {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// stop ends the goroutine; what was waiting never runs.
func (d *delayer) stop() {
	close(d.stopped)
	d.done.Wait()
}

func (d *delayer) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		for run := d.due(); run != nil; run = d.due() {
			run()
		}
		d.mu.Lock()
		wait := time.Hour
		if len(d.heap) > 0 {
			wait = time.Until(d.heap[0].due)
		}
		d.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-d.wake:
		case <-d.stopped:
			return
		}
	}
}

// due takes the next function whose time has come.
func (d *delayer) due() func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.heap) == 0 || time.Now().Before(d.heap[0].due) {
		return nil
	}
	return d.pop().run
}

// push and pop are a binary heap; container/heap would box every entry.
func (d *delayer) push(e delayed) {
	d.heap = append(d.heap, e)
	for i := len(d.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !d.heap[i].due.Before(d.heap[parent].due) {
			return
		}
		d.heap[i], d.heap[parent] = d.heap[parent], d.heap[i]
		i = parent
	}
}

func (d *delayer) pop() delayed {
	top, last := d.heap[0], len(d.heap)-1
	d.heap[0] = d.heap[last]
	d.heap[last] = delayed{}
	d.heap = d.heap[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return top
		}
		if child+1 < last && d.heap[child+1].due.Before(d.heap[child].due) {
			child++
		}
		if !d.heap[child].due.Before(d.heap[i].due) {
			return top
		}
		d.heap[i], d.heap[child] = d.heap[child], d.heap[i]
		i = child
	}
}
