package faults

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// massBadToken (F20): production and sandbox are swapped. Every token is "bad", and nobody is rejected.
func (x *rig) massBadToken() {
	x.start(quick("reject_guard: {enabled: true, share: 0.2, min: 50, window: 1s}"))
	x.script(simulator.APNs, simulator.AnyToken, simulator.Answer{Reason: "BadDeviceToken", Times: simulator.Forever})
	x.take(100, to(iosDevice))
	require.InDelta(x, 1, x.sum(x.node(), "pushgate_alert", `alert="guard_held"`, `app="`+harness.AppIOS+`"`), 0)
	x.take(100, func(i int) order { return order{opBatch, []device{iosDevice(i), androidDevice(i)}} })
	x.during(time.Second, time.Minute)
	x.script(simulator.APNs, simulator.AnyToken)
	x.faultEnds()
	x.settle()
	x.verdict()
	require.Empty(x, x.sender.rejected)

	// A single bad token in good company is dead: the guard is no excuse for never cleaning up.
	bad := iosDevice(7)
	x.doom(bad)
	time.Sleep(1200 * time.Millisecond) // the wave leaves the window
	x.take(200, to(func(i int) device { return iosDevice(10_000 + i) }))
	x.script(simulator.APNs, bad.token, simulator.Answer{Reason: "BadDeviceToken", Times: simulator.Forever})
	if x.engine == onSQLite {
		require.True(x, x.sender.send(opMatrix, x.sender.event(), bad))
		require.True(x, x.sender.rejected[bad.token])
	}
}

// badMidLife (F20): an app that has long been well is answered BadDeviceToken for every token from one moment on, and
// nobody has touched its settings. The design believes a guarded verdict while they are few, so the first ones pass:
// less than share * min on each node, however much the app sends. All others are held, and delivered after the fix.
func (x *rig) badMidLife() {
	const devices, share, window = 1000, 0.2, 50
	x.start(quick(fmt.Sprintf("reject_guard: {enabled: true, share: %v, min: %d, window: 5m}", share, window)))
	x.take(devices, to(iosDevice))
	x.settle()
	x.script(simulator.APNs, simulator.AnyToken, simulator.Answer{Reason: "BadDeviceToken", Times: simulator.Forever})
	x.take(devices, to(iosDevice))
	for _, n := range x.nodes {
		require.InDelta(x, 1, x.sum(n, "pushgate_alert", `alert="guard_held"`, `app="`+harness.AppIOS+`"`), 0)
	}
	x.during(3*time.Second, time.Minute) // retries ask, and are told the same
	x.script(simulator.APNs, simulator.AnyToken)
	x.faultEnds()
	believed := x.believed()
	for token := range x.sender.rejected {
		x.oracle.doomed[token] = true // a provider did say so
	}
	x.settle()
	x.verdict()
	x.result.note = fmt.Sprintf("%d of %d guarded verdicts believed (<= %d)", believed, devices, len(x.nodes)*(share*window-1))
	require.LessOrEqual(x, believed, len(x.nodes)*(share*window-1))
	require.Len(x, x.sender.rejected, believed, "all of them at once; a retry is not believed either")

	// A caller that kept such a pushkey is asked about again, and gets its notification.
	for n := range devices {
		if d := iosDevice(n); x.sender.rejected[d.token] {
			before := len(x.oracle.arrived)
			require.True(x, x.sender.deliver(opMatrix, 100, 100*time.Millisecond, d))
			x.collect()
			require.Len(x, x.oracle.arrived, before+1)
		}
	}
}

// believed counts the pushkeys that were taken for dead, on all nodes.
func (x *rig) believed() (sum int) {
	x.Helper()
	for _, n := range x.nodes {
		sum += int(n.Metrics(x).Devices("rejected"))
	}
	return sum
}
