package backoff

import (
	"math/rand/v2"
	"time"
)

// jitterShare is the most that a delay is stretched by: 20 %, the bar of facts/providers-and-faults.md F4.
const jitterShare = 0.2

// Ladder is a retry schedule. With Initial 10 s and Max 15 m the delays are 10 s, 20 s, 40 s, 80 s, 160 s, 320 s,
// 640 s and then 15 m for ever, each stretched by up to 20 %.
type Ladder struct {
	Initial time.Duration
	Max     time.Duration
}

// Step returns the delay after the given attempt, counted from 1, without jitter. Attempts below 1 count as 1.
func (l Ladder) Step(attempt int) time.Duration {
	d := min(l.Initial, l.Max)
	for range attempt - 1 {
		if d >= l.Max || d <= 0 {
			break
		}
		// Compared before doubling, so that an absurd Max cannot overflow.
		if d > l.Max/2 {
			return l.Max
		}
		d *= 2
	}
	return max(d, 0)
}

// Delay returns Step with jitter.
func (l Ladder) Delay(attempt int) time.Duration { return Jitter(l.Step(attempt)) }

// Jitter stretches d by a random share of up to 20 %. It never shortens: a provider that named a time must not hear
// from us before it.
func Jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	stretched := d + time.Duration(rand.Float64()*jitterShare*float64(d)) //nolint:gosec // spreading load needs no secret randomness
	return max(stretched, d)                                              // an overflow must not turn into "at once"
}
