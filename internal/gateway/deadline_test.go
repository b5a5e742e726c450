package gateway

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

// TestDeadline_EveryAttemptCarriesTheSame: a call that is tried again does not ring any later than one that is not.
func TestDeadline_EveryAttemptCarriesTheSame(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newHarness(t, withApp(func(a *App) { a.Lifetime = 30 * time.Second }))
		h.provider.script("k", throttled, throttled, ok)
		began := time.Now()
		require.Equal(t, push.StateQueued, h.state(event("k", "$e")))
		time.Sleep(time.Minute)
		sends := h.provider.sends()
		require.Greater(t, len(sends), 1)
		for _, s := range sends {
			require.Equal(t, 30*time.Second, s.note.Deadline.Sub(began))
		}
	})
}
