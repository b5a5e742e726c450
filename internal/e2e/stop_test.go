package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// TestStop_SecondSignalEndsAtOnce asks a process to stop that waits for a push service, and asks again. The first answer
// was a promise: the next process keeps it.
func TestStop_SecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	n := harness.StartGateway(t, s, harness.Settings{LogLevel: "info", Gateway: "{attempt_timeout: 1s, provider_timeout: 1h}"})
	require.NoError(t, s.SetConditions(t.Context(), simulator.APNs, simulator.Conditions{Outage: simulator.OutageUnanswered}))
	body := `{"notification":{"event_id":"$s","room_id":"!r:x","devices":[{"app_id":"com.example.app.ios","pushkey":"` + iosToken + `"}]}}`
	require.Equal(t, http.StatusOK, n.Post(t, n.Client(t, "fd.example.com"), "/push/v1/notify", body).Status)

	n.Signal(syscall.SIGINT)
	require.Eventually(t, func() bool { return strings.Contains(n.Output(), `"stopping"`) }, harness.Patience, 5*time.Millisecond)
	require.True(t, n.Alive(), "a request at the push service is under way")
	n.Signal(syscall.SIGINT)
	require.Equal(t, -1, n.Wait(t), "ended by the signal itself")

	require.NoError(t, s.SetConditions(t.Context(), simulator.APNs, simulator.Conditions{}))
	n.Up(t)
	s.Delivered(t, 1)
}
