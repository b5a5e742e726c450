package gateway

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/pushgate/pushgate/internal/backoff"
)

const (
	// probeEvery is how often a paused app is tried again (design.md 2, pause).
	probeEvery = 5 * time.Minute
	// breakerRest is how long an open breaker rests before it lets one probe through: with a probe that hangs for the
	// whole provider_timeout the first send still follows within 30 s of the provider's return (F1).
	breakerRest = 10 * time.Second
	// breakerRun opens the breaker. At 10 % random failures (F5) a run of 8 comes once in 10^8 sends.
	breakerRun = 8
	// maxBlock bounds how long one answer may stop a whole app: "in ten years" (F4) holds for the device that heard it.
	maxBlock = time.Hour
)

// errNoAnswer and errNotAsked tell the breaker how a request ended: without an answer, or without having been made.
var (
	errNoAnswer = errors.New("gateway: no answer")
	errNotAsked = errors.New("gateway: not asked")
)

// gate says whether requests of one app may go out now. Three things close it: a configuration fault (paused, until a
// probe succeeds), a provider that asked the whole app to wait (blocked), and a provider that does not answer (breaker).
type gate struct {
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	// restUntil is when the open breaker lets a probe through, in nanoseconds since base; 0 while it is not open.
	restUntil atomic.Int64
	base      time.Time

	// trouble is set while paused or blocked, so that a healthy app never takes the lock.
	trouble atomic.Bool
	mu      sync.Mutex
	paused  string // the reason; empty when not paused
	probing bool
	probeAt time.Time
	blocked time.Time // until
	// blocks counts those in a row that came without a time.
	blocks atomic.Int32
	// generation is that of the settings in use: what older ones led to must not pause the app again.
	generation atomic.Uint64
}

// newGate returns an open gate. changed is called, with a breaker's lock held, when the breaker opens or closes.
func newGate(changed func(open bool)) *gate {
	g := &gate{base: time.Now()}
	g.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     breakerRest,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerRun },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNotAsked) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				// A millisecond more, as the breaker is still open at the very end of its rest.
				g.restUntil.Store(int64(time.Since(g.base) + breakerRest + time.Millisecond))
			case gobreaker.StateHalfOpen, gobreaker.StateClosed:
				g.restUntil.Store(0)
			}
			if to != gobreaker.StateHalfOpen && from != to {
				changed(to == gobreaker.StateOpen)
			}
		},
	})
	return g
}

// permit is the right to make one request. It must be given back with leave.
type permit struct {
	done       func(error)
	probe      bool // of a paused app
	generation uint64
}

// enter asks for a permit for a request with settings of that generation.
func (g *gate) enter(generation uint64, now time.Time) (permit, bool) {
	p := permit{generation: generation}
	if g.trouble.Load() {
		var open bool
		if p.probe, open = g.enterTroubled(now); !open {
			return permit{}, false
		}
	}
	done, err := g.breaker.Allow()
	if err != nil {
		g.unprobe(p, now)
		return permit{}, false
	}
	p.done = done
	return p, true
}

func (g *gate) enterTroubled(now time.Time) (probe, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.blocked) {
		return false, false
	}
	g.blocked = time.Time{}
	if g.paused == "" {
		g.trouble.Store(false)
		return false, true
	}
	if g.probing || now.Before(g.probeAt) {
		return false, false
	}
	g.probing = true
	return true, true
}

// unprobe takes a probe back that was not made or proved nothing: another one may follow at once.
func (g *gate) unprobe(p permit, now time.Time) {
	if !p.probe {
		return
	}
	g.mu.Lock()
	g.probing, g.probeAt = false, now
	g.mu.Unlock()
}

// ending says how a request ended, as far as the app is concerned.
type ending uint8

const (
	endNotAsked ending = iota // no request was made, or we failed: proves nothing
	endNoAnswer               // dial error, reset, timeout, 5xx
	endAnswer                 // the provider answered; our credentials are good enough for that
	endFault                  // the provider refused our credentials or settings
)

// leave gives a permit back. It returns true when that ends a pause.
func (g *gate) leave(p permit, end ending, now time.Time) (mended bool) {
	switch end {
	case endNoAnswer:
		p.done(errNoAnswer)
	case endNotAsked:
		p.done(errNotAsked)
	case endAnswer, endFault:
		p.done(nil)
	}
	if !p.probe {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	switch {
	case end == endNotAsked || p.generation != g.generation.Load():
		g.probeAt = now
	case end == endFault:
		g.probeAt = now.Add(probeEvery)
	case end == endNoAnswer:
		// It says nothing about the settings, which may be mended by now: as an open breaker does, not in five minutes.
		g.probeAt = now.Add(breakerRest)
	case end == endAnswer:
		mended = g.paused != ""
		g.paused = ""
	}
	return mended
}

// pause closes the gate until a probe succeeds. It returns true when the app was not paused before.
func (g *gate) pause(generation uint64, reason string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if generation != g.generation.Load() {
		return false
	}
	fresh := g.paused == ""
	g.paused = reason
	if fresh {
		g.probeAt = now.Add(probeEvery)
	}
	g.trouble.Store(true)
	return fresh
}

// block closes the gate because the provider asked the whole app to wait. Without a time the ladder decides. Answers to
// requests that were under way together count once, answers to requests with older settings not at all.
func (g *gate) block(generation uint64, asked time.Duration, ladder backoff.Ladder, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if generation != g.generation.Load() {
		return
	}
	if asked <= 0 {
		if now.Before(g.blocked) {
			return
		}
		asked = ladder.Step(int(g.blocks.Add(1)))
	}
	if until := now.Add(backoff.Jitter(min(asked, maxBlock))); until.After(g.blocked) {
		g.blocked = until
	}
	g.trouble.Store(true)
}

// flowing notes a delivery: the next block starts the ladder anew.
func (g *gate) flowing() {
	if g.blocks.Load() != 0 {
		g.blocks.Store(0)
	}
}

// renew lets a paused app probe at once with settings of a new generation (after a reload). What the provider asked the
// whole app to wait for holds on, unless the settings are others: then it was asked of somebody else.
func (g *gate) renew(generation uint64, others bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.generation.Store(generation)
	g.probeAt = now
	if others {
		g.blocks.Store(0)
		g.blocked = time.Time{}
	}
}

// probeNow lets a paused app probe at once: a person believes that it is mended.
func (g *gate) probeNow(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probeAt = now
}

// shutUntil returns until when no request may go out as far as is known now; zero when one may. It takes no permit.
func (g *gate) shutUntil(now time.Time) time.Time {
	if rest := g.restUntil.Load(); rest > 0 {
		if until := g.base.Add(time.Duration(rest)); now.Before(until) {
			return until
		}
	}
	if !g.trouble.Load() {
		return time.Time{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case now.Before(g.blocked):
		return g.blocked
	case g.paused == "":
		return time.Time{}
	case g.probing:
		// Its answer opens the gate or sets the next time; whoever looks again before that finds out.
		return now.Add(time.Second)
	case now.Before(g.probeAt):
		return g.probeAt
	default:
		return time.Time{}
	}
}

// due returns when a row that could not go out now should be tried: when the provider said so for the whole app, else
// at once, as the gate itself holds it back and other nodes may have an open one.
func (g *gate) due(now time.Time) time.Time {
	if !g.trouble.Load() {
		return now
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Before(g.blocked) {
		return g.blocked
	}
	return now
}

// single reports whether only one request may go out: a probe of a paused or half-open app.
func (g *gate) single() bool {
	if g.breaker.State() == gobreaker.StateHalfOpen {
		return true
	}
	if !g.trouble.Load() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.paused != ""
}

// state returns what the metrics show.
func (g *gate) state() (breaker, pauseReason string) {
	breaker = g.breaker.State().String()
	g.mu.Lock()
	defer g.mu.Unlock()
	return breaker, g.paused
}
