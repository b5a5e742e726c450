package faults

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// split is traffic whose APNs half needs the queue while APNs is away; the FCM half never does.
func split(i int) order {
	if i%2 == 0 {
		return order{opMatrix, []device{iosDevice(i)}}
	}
	return order{opMatrix, []device{androidDevice(i)}}
}

// diskFull (F11): no space left, twice. What needs the queue is refused, what does not is delivered, nothing crashes,
// and space is all it takes to go on.
func (x *rig) diskFull() {
	disk := x.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		x.result.note = "not run: mounting a small file system needs root"
		require.Emptyf(x, os.Getenv("CI"), "%s: %v", x.result.note, err) // in CI nothing goes missing unnoticed
		x.Skip(x.result.note, err)
	}
	x.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	set := quick()
	set.DataDir = disk
	x.start(set)
	n := x.node()
	x.set(simulator.APNs, simulator.Conditions{Outage: simulator.OutageRefuse})
	x.take(20, to(iosDevice))

	for round := range 2 {
		ballast := filepath.Join(disk, "ballast")
		fill(x, ballast)
		x.withoutStore(1000 * (round + 1))
		x.during(0, 5*time.Minute)
		require.NoError(x, os.Remove(ballast))
		x.until("the store's return", func() bool {
			return x.send(1, to(func(i int) device { return iosDevice(10_000*(round+1) + i) })) == 1
		})
	}

	x.set(simulator.APNs, simulator.Conditions{})
	x.faultEnds()
	x.settle()
	x.verdict()
	require.True(x, n.Alive(), "and all that without a restart")
}

// withoutStore sends while nothing can be written: 503 for what would wait, 200 for what arrives.
func (x *rig) withoutStore(from int) {
	x.Helper()
	x.sender.mu.Lock()
	refused := x.sender.refused
	x.sender.mu.Unlock()
	got := x.send(40, func(i int) order { return split(from + i) })
	require.Equal(x, 20, got, "what needs no queue is delivered, what needs it is refused")
	require.Equal(x, refused+20, x.sender.refused)
	for _, n := range x.nodes {
		require.Equal(x, http.StatusOK, n.Admin(x, "/healthz").Status, "alive")
	}
}

// fill writes until there is no space left.
func fill(x *rig, path string) {
	x.Helper()
	f, err := os.Create(path)
	require.NoError(x, err)
	defer func() { _ = f.Close() }()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			require.ErrorIs(x, err, syscall.ENOSPC)
			size /= 2
		}
	}
}

// databaseDown (F13): the database falls silent, goes away, and becomes slow. Never a 200 for what is neither
// delivered nor stored.
func (x *rig) databaseDown() {
	x.start(quick())
	x.set(simulator.APNs, simulator.Conditions{Outage: simulator.OutageRefuse})
	x.take(20, to(iosDevice))
	from := 100
	for _, trouble := range []func(*harness.Proxy){
		(*harness.Proxy).Freeze,
		(*harness.Proxy).Refuse,
		func(p *harness.Proxy) { p.Slow(2 * time.Second) },
	} {
		for _, w := range x.wires {
			trouble(w)
		}
		x.withoutStore(from)
		for _, n := range x.nodes {
			require.Equal(x, http.StatusServiceUnavailable, n.Admin(x, "/readyz").Status, "not ready")
		}
		x.during(time.Second, 5*time.Minute)
		for _, w := range x.wires {
			w.Heal()
		}
		x.until("the store's return", func() bool {
			from += 4
			return x.send(4, to(func(i int) device { return iosDevice(from + i) })) == 4 // both nodes
		})
		for _, n := range x.nodes {
			x.until("readiness", func() bool { return n.Admin(x, "/readyz").Status == http.StatusOK })
		}
		from += 1000
	}
	x.set(simulator.APNs, simulator.Conditions{})
	x.faultEnds()
	x.settle()
	x.verdict()
}

// queueFull (F14): one app may fill half of the queue, all of them nine tenths; then only 503, until it is down to
// seven tenths. What was taken is never dropped.
func (x *rig) queueFull() {
	x.start(quick("max_queued: 200"))
	x.set(simulator.APNs, simulator.Conditions{Outage: simulator.OutageRefuse})
	next := 0
	push := func(kind func(int) device) func(int) order {
		return to(func(int) device { x.sender.mu.Lock(); defer x.sender.mu.Unlock(); next++; return kind(next) })
	}
	depth := func() int { return int(x.sum(x.node(), "pushgate_queue_depth")) }
	x.until("one app's half", func() bool { return x.send(10, push(iosDevice)) < 10 && depth() == 100 })
	require.Zero(x, x.send(30, push(iosDevice)), "one app holds half")
	require.Equal(x, 100, depth())
	x.take(20, push(androidDevice)) // nobody else is refused
	require.Equal(x, 100, depth())
	x.set(simulator.FCM, simulator.Conditions{Outage: simulator.OutageRefuse})
	x.until("nine tenths", func() bool { return x.send(10, push(androidDevice)) < 10 && depth() == 180 })
	require.Equal(x, 180, depth())
	require.InDelta(x, 1, x.sum(x.node(), "pushgate_queue_full"), 0)
	require.Zero(x, x.send(5, push(androidDevice)), "and stay so")

	x.set(simulator.FCM, simulator.Conditions{})
	x.until("room", func() bool { return depth() <= 140 })
	x.set(simulator.WebPush, simulator.Conditions{Outage: simulator.OutageRefuse})
	x.take(5, to(func(i int) device { return x.web[i%len(x.web)] }))
	x.set(simulator.WebPush, simulator.Conditions{})
	x.until("the end of the alert", func() bool { return x.sum(x.node(), "pushgate_queue_full") == 0 })
	x.set(simulator.APNs, simulator.Conditions{})
	x.faultEnds()
	x.settle()
	x.verdict()
}

// healthyDay: what providers accept in time is never written to disk. The files stay as they were, byte for byte.
func (x *rig) healthyDay() {
	x.start(quick())
	x.take(20, x.mixed)
	x.settle()
	before := x.prints()
	require.NotEmpty(x, before)
	const devices = 10_000
	requests := devices / 100
	x.take(requests, func(i int) order {
		o := order{op: opBatch}
		for d := range 100 {
			n := i*100 + d
			if d%2 == 0 {
				o.devices = append(o.devices, iosDevice(n))
			} else {
				o.devices = append(o.devices, androidDevice(n))
			}
		}
		return o
	})
	x.settle()
	x.verdict()
	require.GreaterOrEqual(x, x.node().Metrics(x).Devices("delivered"), int64(devices))
	require.Equal(x, before, x.prints(), "the database was written")
	require.Zero(x, x.sum(x.node(), "pushgate_notifications_total", `state="queued"`))
}

// prints are the finger prints of the files that hold rows.
func (x *rig) prints() map[string][32]byte {
	x.Helper()
	out := map[string][32]byte{}
	for _, name := range []string{"pushgate.db", "pushgate.db-wal"} {
		text, err := os.ReadFile(filepath.Join(dataDir(x.node()), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(x, err)
		out[name] = sha256.Sum256(text)
	}
	return out
}
