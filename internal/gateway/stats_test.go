package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

func TestStats_TellHowOldTheOldestRowIs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		require.Zero(t, h.Stats().OldestAge)
		h.provider.script("first", throttled.delayed(2*time.Hour), ok)
		h.provider.script("second", throttled.delayed(10*time.Hour), ok)
		require.Equal(t, push.StateQueued, h.state(event("first", "$1")))
		time.Sleep(time.Hour)
		require.Equal(t, push.StateQueued, h.state(event("second", "$2")))
		require.Equal(t, time.Hour, h.Stats().OldestAge)
		require.Equal(t, time.Hour, h.Stats().Apps[0].OldestAge)

		time.Sleep(2 * time.Hour)
		require.Equal(t, 1, h.provider.delivered())
		require.Equal(t, 2*time.Hour, h.Stats().OldestAge, "the first has gone")

		time.Sleep(10 * time.Hour)
		require.Equal(t, 2, h.provider.delivered())
		require.Zero(t, h.Stats().OldestAge)
	})
}

func TestStats_RowsOfAPausedAppAge(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t)
		h.provider.all(badConfig)
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		time.Sleep(time.Hour)
		require.Equal(t, time.Hour, h.Stats().OldestAge)
	})
}
