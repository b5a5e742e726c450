package faults

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// inProcess runs tests of another package that need a clock of their own, by name. All of them must exist and pass.
func (x *rig) inProcess(pkg string, tests ...string) {
	x.Helper()
	cmd := exec.CommandContext(x.Context(), "go", "test", "-count=1", "-v", "-run", "^("+strings.Join(tests, "|")+")$", "github.com/pushgate/pushgate/"+pkg)
	out, err := cmd.CombinedOutput()
	require.NoErrorf(x, err, "%s", out)
	for _, name := range tests {
		require.Containsf(x, string(out), "--- PASS: "+name+" ", "%s did not run", name)
	}
	x.result.note = strings.TrimSpace(x.result.note + " +" + strconv.Itoa(len(tests)) + " in process")
}

// clocks (F12): the provider's clock is days away from ours. Nothing is lost or rejected; it is our settings that are
// under suspicion. Jumps of our own clock are tested in process.
func (x *rig) clocks() {
	x.start(quick())
	for _, skew := range []time.Duration{25 * time.Hour, -25 * time.Hour} {
		for _, s := range every {
			x.set(s, simulator.Conditions{ClockSkew: skew})
		}
		x.reload(true)
		x.take(30, to(func(i int) device { return iosDevice(int(skew/time.Hour+100)*100 + i) }))
		x.take(10, func(i int) order { return order{opBatch, []device{androidDevice(i), x.web[i%3]}} })
		for _, s := range every {
			x.set(s, simulator.Conditions{})
		}
		x.reload(true)
	}
	x.faultEnds()
	x.settle()
	x.verdict()
	x.inProcess("internal/gateway", "TestUpkeep_AJumpingClockExpiresNothing", "TestUpkeep_NothingExpiresWhileTheClockIsInDoubt")
	if x.engine == onPostgres {
		x.inProcess("internal/store/postgres", "TestStore_WrongClockOfANode")
	}
}

// repeats (F16): the same request at once and again later, delivered or queued: one send, the same answer. What is
// delivered is remembered by the node that did it, what is queued by all of them.
func (x *rig) repeats() {
	x.start(quick())
	everyone := x.sender.nodes
	for _, outage := range []simulator.Outage{"", simulator.OutageRefuse} {
		x.set(simulator.APNs, simulator.Conditions{Outage: outage, Latency: 50 * time.Millisecond})
		for i := range 20 {
			x.sender.nodes = only(x, i%len(x.nodes))
			x.repeat(iosDevice(i), androidDevice(i))
			if outage != "" {
				x.sender.nodes = everyone
				x.repeat(iosDevice(i))
			}
		}
	}
	x.sender.nodes = everyone
	x.set(simulator.APNs, simulator.Conditions{})
	x.faultEnds()
	x.settle()
	x.verdict()
	require.Zero(x, x.result.duplicates)
	x.inProcess("internal/gateway", "TestDeliver_SuppressionWindowRenewsWithEachRepeat", "TestDeliver_TwinsShareOneAttemptAndItsAnswer", "TestBadge_NeverSuppressedAndCollapsesPerDevice")
}

// repeat sends one request ten times at once, and then until it is answered 2xx.
func (x *rig) repeat(devices ...device) {
	x.Helper()
	event := x.sender.event()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { x.sender.send(opMatrix, event, devices...) })
	}
	all.Wait()
	x.until("an answer", func() bool { return x.sender.send(opMatrix, event, devices...) })
}

// poison (F17): notifications that no provider will ever take, among others. They are dead-lettered, never rejected.
func (x *rig) poison() {
	x.start(quick())
	bad := []device{iosDevice(1), iosDevice(2), androidDevice(3)}
	x.script(simulator.APNs, bad[0].token, simulator.Answer{Reason: "BadMessageId", Times: simulator.Forever})
	x.script(simulator.APNs, bad[1].token, simulator.Answer{Reason: "PayloadTooLarge", Times: simulator.Forever})
	x.script(simulator.FCM, bad[2].token, simulator.Answer{Reason: "INVALID_ARGUMENT", Detail: "message.data", Times: simulator.Forever})
	devices := append(append([]device{}, bad...), iosDevice(11), androidDevice(12), iosDevice(13))
	require.True(x, x.sender.send(opBatch, x.sender.event(), devices...), "a batch says failed")
	for it, p := range x.sender.promised {
		require.Equalf(x, isOne(bad, it.token), p.failed, "%s", it.token)
	}
	for _, op := range []operation{opMatrix, opNotify} {
		require.True(x, x.sender.send(op, x.sender.event(), devices...), "notify cannot say it")
	}
	for it := range x.sender.promised {
		if isOne(bad, it.token) {
			x.excuse("no provider will ever take it", it)
		}
	}
	x.faultEnds()
	x.settle()
	x.verdict()
	require.Empty(x, x.sender.rejected)
	require.EqualValues(x, 9, x.deadLettered(), "three devices, three times")
	x.inProcess("internal/gateway", "TestRetry_PoisonIsDeadLetteredAndItsNeighboursArrive")
}

func isOne(of []device, token string) bool {
	for _, d := range of {
		if d.token == token {
			return true
		}
	}
	return false
}

// gone (F21): 410 counts when it is later than the registration, and a new registration ends it.
func (x *rig) gone() {
	x.start(quick())
	registered := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i, tc := range []struct {
		name   string
		answer simulator.Answer
		dead   bool
	}{
		{"later", simulator.Answer{Reason: "Unregistered", Timestamp: registered.Add(time.Minute)}, true},
		{"without a time", simulator.Answer{Reason: "Unregistered", NoTimestamp: true}, true},
		{"expired, later", simulator.Answer{Reason: "ExpiredToken", Timestamp: registered.Add(time.Minute)}, true},
		{"far in the future", simulator.Answer{Reason: "Unregistered", Timestamp: registered.AddDate(20, 0, 0)}, true},
		{"before", simulator.Answer{Reason: "Unregistered", Timestamp: registered.Add(-time.Minute)}, false},
		{"the same second", simulator.Answer{Reason: "Unregistered", Timestamp: registered}, false},
		{"1970", simulator.Answer{Reason: "Unregistered", Timestamp: time.UnixMilli(0)}, false},
	} {
		d := iosDevice(i)
		d.ts = registered.Unix()
		x.script(simulator.APNs, d.token, tc.answer) // once: the next answer is 200
		if tc.dead {
			x.doom(d)
		}
		require.True(x, x.sender.deliver(opMatrix, 100, 100*time.Millisecond, d), tc.name)
		require.Equal(x, tc.dead, x.sender.rejected[d.token], tc.name)
		if !tc.dead {
			continue
		}
		asked := x.asked(d)
		require.True(x, x.sender.deliver(opMatrix, 100, 100*time.Millisecond, d), tc.name)
		if x.engine == onSQLite { // another node learns of it a moment later
			require.Equal(x, asked, x.asked(d), "%s: known, the provider is not asked again", tc.name)
		}
		again := d
		again.ts = time.Now().Add(time.Minute).Unix()
		require.True(x, x.sender.send(opMatrix, x.sender.event(), again), tc.name)
		require.Greater(x, x.asked(d), asked, "%s: registered again, so it is asked", tc.name)
	}
	x.faultEnds()
	x.settle()
	x.verdict()
}

// asked counts the requests about a device.
func (x *rig) asked(d device) int {
	x.Helper()
	x.collect()
	return len(x.oracle.receipts[d.token])
}

// expired (F22): what waits longer than retention is dropped, counted, and never sent late.
func (x *rig) expired() {
	x.start(quick("retention: 15s"))
	x.set(simulator.APNs, simulator.Conditions{Outage: simulator.OutageRefuse})
	x.take(50, split)
	for it := range x.sender.promised {
		if !strings.HasPrefix(it.token, "android") {
			x.excuse("expired", it)
		}
	}
	count := func() (n int64) {
		for _, node := range x.nodes {
			n += node.Metrics(x).Devices("expired")
		}
		return n
	}
	x.until("the end of what waits", func() bool { return count() == 25 })
	x.set(simulator.APNs, simulator.Conditions{})
	x.faultEnds()
	x.take(1, to(func(int) device { return iosDevice(500) }))
	x.settle()
	x.verdict()
	for it := range x.oracle.excused {
		require.Empty(x, x.oracle.arrived[it], "sent late")
	}
	require.EqualValues(x, 25, count())
	x.inProcess("internal/gateway", "TestRetry_ExpiresAtItsDeadlineAndNeverSendsLate")
}

// flood (F23): one app sends more than its provider takes. Only its own callers notice.
func (x *rig) flood() {
	set := quick("max_queued: 2000")
	set.Apps = `  - app_id: com.example.giant
    fcm: {project_id: {{.C.ProjectID}}, service_account_file: {{.C.ServiceAccountFile}}, endpoint: "{{.FCM}}", ca_file: {{.C.CAFile}}, max_in_flight: 4}
`
	x.start(set)
	x.set(simulator.FCM, simulator.Conditions{Latency: 30 * time.Millisecond})
	giant := func(i int) order {
		d := androidDevice(i % 500)
		d.app = "com.example.giant"
		o := order{op: opBatch}
		for range 20 {
			o.devices = append(o.devices, d)
			d.token += "x"
			d.pushkey += "x"
		}
		return o
	}
	stopGiant := x.load(giant)
	quiet := newSender(x.sender.name+"-others", func() []*harness.Node { return x.nodes })
	defer quiet.client.CloseIdleConnections()
	others := *x
	others.sender = quiet
	stop := others.load(x.mixed)
	x.during(4*time.Second, time.Minute)
	stop()
	stopGiant()
	x.faultEnds()
	x.settle()
	x.verdict()
	x.result.promised += len(quiet.promised)
	others.oracle = x.oracle
	others.settle()
	require.Empty(x, others.missing())
	require.Zero(x, quiet.refused, "others were turned away")
	require.Empty(x, quiet.odd)
	require.Zero(x, x.queued(harness.AppIOS)+x.queued(harness.AppAndroid), "others waited")
	x.result.note = fmt.Sprintf("others: %d promised, 0 refused", len(quiet.promised))
}
