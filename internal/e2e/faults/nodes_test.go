package faults

import (
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// only is one of the nodes, for a sender that does not know the other.
func only(x *rig, i int) func() []*harness.Node {
	return func() []*harness.Node { return x.nodes[i : i+1] }
}

// splitByStop (F25): one node stands still for longer than its leases, with requests at the provider and rows in its
// hands. The other one takes them over; when the first goes on, its verdicts are fenced off.
func (x *rig) splitByStop() {
	x.start(quick())
	const devices = 30
	// Held at the provider for longer than a caller waits: committed under a lease, and still under way.
	x.set(simulator.APNs, simulator.Conditions{Latency: 2 * time.Second})
	first := x.nodes[0]
	x.sender.nodes = only(x, 0)
	x.take(devices, to(iosDevice))
	first.Signal(syscall.SIGSTOP)
	x.Cleanup(func() { first.Signal(syscall.SIGCONT) })
	x.set(simulator.APNs, simulator.Conditions{})

	x.sender.nodes = only(x, 1)
	stop := x.load(x.mixed)
	x.until("the end of the leases", func() bool { // a lease lasts 45 s
		x.collect()
		return x.sum(x.nodes[1], "pushgate_devices_total", `state="taken_over"`) > 0 && x.sum(x.nodes[1], "pushgate_queue_depth") == 0
	})
	first.Signal(syscall.SIGCONT)
	x.faultEnds()
	time.Sleep(time.Second)
	stop()
	x.settle()
	x.dupBound = devices // in flight when the node stopped
	x.verdict()
}

// splitByWire (F25): one node loses the database for longer than its leases, the other one does not.
func (x *rig) splitByWire() {
	x.start(quick())
	for _, s := range every {
		x.set(s, simulator.Conditions{Latency: 20 * time.Millisecond, ErrorRate: 0.3})
	}
	stop := x.load(x.mixed)
	time.Sleep(time.Second)
	inFlight := int(x.nodes[0].Metrics(x).Pending())
	x.wires[0].Freeze()
	x.during(50*time.Second, 2*time.Minute)
	x.wires[0].Heal()
	for _, s := range every {
		x.set(s, simulator.Conditions{})
	}
	x.faultEnds()
	stop()
	x.settle()
	x.dupBound = inFlight // what the cut-off node had in its hands
	x.verdict()
}
