package backoff

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLadder_Step(t *testing.T) {
	t.Parallel()
	queue := Ladder{Initial: 10 * time.Second, Max: 15 * time.Minute}
	tests := []struct {
		name    string
		ladder  Ladder
		attempt int
		want    time.Duration
	}{
		{"before any attempt", queue, 0, 10 * time.Second},
		{"negative attempt", queue, -7, 10 * time.Second},
		{"first", queue, 1, 10 * time.Second},
		{"second", queue, 2, 20 * time.Second},
		{"seventh", queue, 7, 640 * time.Second},
		{"eighth reaches the bound", queue, 8, 15 * time.Minute},
		{"ten thousandth", queue, 10_000, 15 * time.Minute},
		{"initial above max", Ladder{Initial: time.Hour, Max: time.Minute}, 1, time.Minute},
		{"zero ladder", Ladder{}, 3, 0},
		{"zero initial", Ladder{Max: time.Hour}, 30, 0},
		{"no overflow", Ladder{Initial: time.Second, Max: math.MaxInt64}, 100, math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.ladder.Step(tt.attempt))
		})
	}
}

func TestJitter_StretchesByAtMostAFifthAndNeverShortens(t *testing.T) {
	t.Parallel()
	var low, high time.Duration = math.MaxInt64, 0
	for range 10_000 {
		d := Jitter(10 * time.Second)
		require.GreaterOrEqual(t, d, 10*time.Second)
		require.LessOrEqual(t, d, 12*time.Second)
		low, high = min(low, d), max(high, d)
	}
	require.Less(t, low, 10500*time.Millisecond, "the low end is used")
	require.Greater(t, high, 11500*time.Millisecond, "the high end is used")
}

func TestJitter_EdgesStaySane(t *testing.T) {
	t.Parallel()
	require.Zero(t, Jitter(0))
	require.Zero(t, Jitter(-time.Second))
	for range 1000 {
		require.Equal(t, time.Duration(math.MaxInt64), Jitter(math.MaxInt64))
	}
}

func TestLadder_DelayIsAJitteredStep(t *testing.T) {
	t.Parallel()
	l := Ladder{Initial: time.Second, Max: time.Minute}
	for attempt := 1; attempt < 12; attempt++ {
		d, step := l.Delay(attempt), l.Step(attempt)
		require.GreaterOrEqual(t, d, step)
		require.LessOrEqual(t, d, step+step/5)
	}
}
