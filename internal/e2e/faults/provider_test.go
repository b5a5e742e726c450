package faults

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// queued counts what was put into the queue for an app, on all nodes.
func (x *rig) queued(app string) float64 {
	x.Helper()
	sum := 0.0
	for _, n := range x.nodes {
		sum += x.sum(n, "pushgate_notifications_total", `app="`+app+`"`, `state="queued"`)
	}
	return sum
}

// refused (F1): APNs is gone. Everything is taken over, the breaker opens, and the others do not notice.
func (x *rig) refused() {
	x.startCalm(quick())
	stop := x.load(x.mixed)
	x.set(simulator.APNs, simulator.Conditions{Outage: simulator.OutageRefuse})
	x.until("the open breaker", func() bool {
		return x.sum(x.node(), "pushgate_app_breaker_state", `app="`+harness.AppIOS+`"`) == 2
	})
	x.during(2*time.Second, 10*time.Minute)
	x.set(simulator.APNs, simulator.Conditions{})
	x.faultEnds()
	stop()
	x.settle()
	x.verdict()
	x.nobodyRefused()
	require.Positive(x, x.queued(harness.AppIOS))
	require.Zero(x, x.queued(harness.AppAndroid), "another provider's outage queues nothing here")
}

// slow (F2): FCM takes seconds, then longer than it may. APNs does not notice.
func (x *rig) slow() {
	x.startCalm(quick())
	latency := pick(1500*time.Millisecond, 2*time.Second)
	x.set(simulator.FCM, simulator.Conditions{Latency: latency})
	stop := x.load(x.mixed)
	x.during(2*time.Second, 30*time.Second)
	x.set(simulator.FCM, simulator.Conditions{Latency: 5 * time.Second}) // over provider_timeout
	x.during(2*time.Second, 30*time.Second)
	x.set(simulator.FCM, simulator.Conditions{})
	x.faultEnds()
	stop()
	x.settle()
	x.verdict()
	x.nobodyRefused()
	require.Zero(x, x.queued(harness.AppIOS), "another app's slowness queues nothing here")
	require.Positive(x, x.queued(harness.AppAndroid))
}

// unanswered (F3): a request is read and never answered; the phone got it all the same. Its repeat carries the same
// collapse id, so the phone shows one.
func (x *rig) unanswered() {
	x.start(quick())
	x.script(simulator.APNs, simulator.AnyToken, simulator.Answer{Fault: simulator.FaultHang, Delivered: true, Times: 15})
	x.take(40, to(iosDevice))
	x.faultEnds()
	x.settle()
	x.verdict()
	require.LessOrEqual(x, x.result.duplicates, 15)
	for it, receipts := range x.oracle.arrived {
		for _, r := range receipts {
			require.NotEmpty(x, r.CollapseID)
			require.Equal(x, receipts[0].CollapseID, r.CollapseID, it.event)
		}
	}
}

// throttled (F4): 429 of every shape. Nothing is sent before the time it names.
func (x *rig) throttled() {
	x.start(quick("retention: 20s"))
	const wait = 3 * time.Second
	seconds, date, absurd, bare := iosDevice(1), iosDevice(2), iosDevice(3), iosDevice(4)
	x.script(simulator.APNs, seconds.token, simulator.Answer{Reason: "TooManyRequests", RetryAfter: "3"})
	x.script(simulator.APNs, date.token, simulator.Answer{Reason: "TooManyRequests", RetryAfter: time.Now().Add(wait).UTC().Format(http.TimeFormat)})
	x.script(simulator.APNs, absurd.token, simulator.Answer{Reason: "TooManyRequests", RetryAfter: "315360000", Times: simulator.Forever})
	x.script(simulator.APNs, bare.token, simulator.Answer{Reason: "TooManyRequests", Times: 2})
	x.take(10, to(iosDevice))
	for _, n := range []int{6, 7, 8} {
		x.script(simulator.FCM, androidDevice(n).token, simulator.Answer{Reason: "QUOTA_EXCEEDED", RetryAfter: "2"})
	}
	x.take(10, to(androidDevice))
	x.faultEnds()
	for it := range x.sender.promised {
		if it.token == absurd.token {
			x.excuse("asked to wait for ten years: expires", it)
		}
	}
	x.settle()
	x.verdict()
	for d, least := range map[device]time.Duration{seconds: wait, date: wait - 2*time.Second, androidDevice(6): 2 * time.Second} {
		receipts := x.oracle.receipts[d.token]
		require.GreaterOrEqual(x, len(receipts), 2)
		require.GreaterOrEqual(x, receipts[1].Time.Sub(receipts[0].Time), least, "sent again before its time")
	}
	require.Len(x, x.oracle.receipts[absurd.token], 1)
	expired := func() (sum int64) {
		for _, n := range x.nodes {
			sum += n.Metrics(x).Devices("expired")
		}
		return sum
	}
	// A row that waits in a shared database is nobody's to answer for, so the nodes were quiet before it expired.
	x.until("the expiry", func() bool { return expired() > 0 })
	require.EqualValues(x, 1, expired(), "only who was told to come back in ten years expires")
}

// serverErrors (F5): every answer is an error, in each service's own way; then one in ten is. What is offered to a
// provider that is in trouble is no storm.
func (x *rig) serverErrors() {
	x.startCalm(quick())
	stop := x.load(x.mixed)
	x.set(simulator.APNs, simulator.Conditions{ErrorRate: 1, Error: simulator.Answer{Reason: "InternalServerError"}})
	x.set(simulator.FCM, simulator.Conditions{ErrorRate: 1, Error: simulator.HTMLError(http.StatusBadGateway)})
	x.set(simulator.WebPush, simulator.Conditions{ErrorRate: 1})
	x.during(2*time.Second, 5*time.Minute)
	stop()
	outage := x.offered()
	for _, s := range every {
		x.set(s, simulator.Conditions{})
	}
	x.faultEnds()
	// Five minutes of traffic come out of a shared database within twice that; what is left would be counted below.
	for limit := time.Now().Add(10 * time.Minute); len(x.missing()) > 0 && time.Now().Before(limit); {
		time.Sleep(time.Second)
	}
	x.settle()

	before := x.offered()
	for _, s := range every {
		x.set(s, simulator.Conditions{ErrorRate: 0.1})
	}
	stop = x.load(x.mixed)
	x.during(2*time.Second, 5*time.Minute)
	stop()
	x.settle()
	random := x.offered().since(before)
	x.result.note = fmt.Sprintf("asked per notification: %s while all fail, %s while one in ten does", outage, random)
	x.verdict()
	x.nobodyRefused()
	const least, slack = 1 / (1 - 0.1), 1.1 // whoever delivers everything asks 1.11 times
	for app := range random {
		require.LessOrEqual(x, random.share(app), least*slack, app)
	}
	// The breaker holds everything back but its probes. Web Push has none: its devices are at services that strangers
	// choose, so there each notification climbs the ladder by itself.
	for _, app := range []string{harness.AppIOS, harness.AppAndroid} {
		require.LessOrEqual(x, outage.share(app), slack, app)
	}
}

// offers counts, by app, what was promised and how often a provider was asked.
type offers map[string]struct{ promised, asked int }

// offered counts until now.
func (x *rig) offered() offers {
	x.Helper()
	x.collect()
	out, apps := offers{}, map[string]string{}
	x.sender.mu.Lock()
	defer x.sender.mu.Unlock()
	for it, p := range x.sender.promised {
		o := out[p.app]
		o.promised++
		out[p.app], apps[it.token] = o, p.app
	}
	for token, receipts := range x.oracle.receipts {
		o := out[apps[token]]
		o.asked += len(receipts)
		out[apps[token]] = o
	}
	return out
}

func (o offers) since(before offers) offers {
	out := offers{}
	for app, n := range o {
		n.promised -= before[app].promised
		n.asked -= before[app].asked
		out[app] = n
	}
	return out
}

// share is how often a provider was asked for each notification of an app.
func (o offers) share(app string) float64 { return float64(o[app].asked) / float64(o[app].promised) }

func (o offers) String() string {
	return fmt.Sprintf("APNs %.2f, FCM %.2f, Web Push %.2f", o.share(harness.AppIOS), o.share(harness.AppAndroid), o.share(harness.AppWeb))
}

// goAway (F6): connections end in every way that HTTP/2 knows, with streams in flight.
func (x *rig) goAway() {
	x.start(quick())
	for _, s := range every {
		x.set(s, simulator.Conditions{Latency: 100 * time.Millisecond})
	}
	stop := x.load(x.mixed)
	for range pick(2, 20) {
		for _, g := range []simulator.GoAway{{Unprocessed: 0.5}, {Unprocessed: 1}, {Reason: "Shutdown"}, {Abort: true}} {
			for _, s := range every[:2] {
				require.NoError(x, x.sim.GoAway(x.ctx(), s, g))
			}
			time.Sleep(150 * time.Millisecond)
		}
		for _, s := range every {
			require.NoError(x, x.sim.Disconnect(x.ctx(), s))
			x.script(s, simulator.AnyToken, simulator.Answer{Fault: simulator.FaultRefuse, Times: 3}, simulator.Answer{Fault: simulator.FaultReset, Times: 3},
				simulator.Answer{Fault: simulator.FaultTruncate, Delivered: true, Times: 3}) // its status was heard
		}
		time.Sleep(150 * time.Millisecond)
		for _, s := range every {
			x.set(s, simulator.Conditions{Latency: 100 * time.Millisecond, StreamLimit: 1})
		}
		time.Sleep(300 * time.Millisecond)
		for _, s := range every {
			x.set(s, simulator.Conditions{Latency: 100 * time.Millisecond})
		}
	}
	for _, s := range every {
		x.script(s, simulator.AnyToken) // what nobody has met yet is called off
	}
	x.faultEnds()
	stop()
	x.settle()
	x.verdict()
}

// halfOpen (F7): the network forgets the connections to APNs without telling anybody; new ones work.
func (x *rig) halfOpen() {
	x.startCalm(quick())
	wire := harness.NewProxy(x, strings.TrimPrefix(x.sim.Info.APNs, "https://"))
	x.reconfigure(func(s *harness.Settings) { s.APNs = "https://" + wire.Addr() })
	x.take(20, to(iosDevice))
	wire.Forget()
	stop := x.load(to(func(i int) device { return iosDevice(i % 97) }))
	time.Sleep(2 * time.Second)
	x.faultEnds() // from here on it is the gateway's to notice
	stop()
	x.settle()
	x.verdict()
	x.nobodyRefused()
}
