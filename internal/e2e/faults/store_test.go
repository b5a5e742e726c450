package faults

import (
	"crypto/sha256"
	"encoding/hex"
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
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

// split is traffic whose APNs half needs the queue while APNs is away; the FCM half never does.
func split(i int) order {
	if i%2 == 0 {
		return order{opMatrix, []device{iosDevice(i)}}
	}
	return order{opMatrix, []device{androidDevice(i)}}
}

// diskFull (F11): no space left, twice; and a disk or a database that takes no writes. What needs the queue is refused,
// what does not is delivered, nothing crashes, and space is all it takes to go on.
func (x *rig) diskFull() {
	if x.engine == onPostgres {
		x.readOnly()
		return
	}
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
	// The kernel lets nobody make a file system read-only while the database is open on it. A disk that does so by itself
	// is a layer under SQLite.
	x.inProcess("internal/store/sqlite/powerloss", "TestReadOnly_WritesFailAndGoOn")
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

// queueFull (F14): one app may fill half of the queue, all of them nine tenths; then only 503, until it is down to
// seven tenths. What was taken is never dropped. Nodes that share the queue learn of each other's rows within seconds, so
// one of them fills it, and then all must know.
func (x *rig) queueFull() {
	x.start(quick("max_queued: 200"))
	x.set(simulator.APNs, simulator.Conditions{Outage: simulator.OutageRefuse})
	next := 0
	push := func(kind func(int) device) func(int) order {
		return to(func(int) device { x.sender.mu.Lock(); defer x.sender.mu.Unlock(); next++; return kind(next) })
	}
	fill := func(kind func(int) device, rows int) {
		x.Helper()
		everyone := x.sender.nodes
		x.sender.nodes = only(x, 0)
		x.until("a full queue", func() bool { return x.send(10, push(kind)) < 10 })
		x.sender.nodes = everyone
		x.until("one count", func() bool { return x.depths(func(d int) bool { return d == rows }) })
	}
	fill(iosDevice, 100)
	require.Zero(x, x.send(30, push(iosDevice)), "one app holds half")
	x.take(20, push(androidDevice)) // nobody else is refused
	require.True(x, x.depths(func(d int) bool { return d == 100 }))
	x.set(simulator.FCM, simulator.Conditions{Outage: simulator.OutageRefuse})
	fill(androidDevice, 180)
	require.Zero(x, x.send(10, push(androidDevice)), "and stay so")
	for _, n := range x.nodes {
		require.InDelta(x, 1, x.sum(n, "pushgate_queue_full"), 0)
	}

	x.set(simulator.FCM, simulator.Conditions{})
	x.until("room", func() bool { return x.depths(func(d int) bool { return d <= 140 }) })
	x.set(simulator.WebPush, simulator.Conditions{Outage: simulator.OutageRefuse})
	x.take(5, to(func(i int) device { return x.web[i%len(x.web)] }))
	x.set(simulator.WebPush, simulator.Conditions{})
	for _, n := range x.nodes {
		x.until("the end of the alert", func() bool { return x.sum(n, "pushgate_queue_full") == 0 })
	}
	x.set(simulator.APNs, simulator.Conditions{})
	x.faultEnds()
	x.settle()
	x.verdict()
}

// depths reports whether what every node knows of the queue's length is right.
func (x *rig) depths(right func(depth int) bool) bool {
	x.Helper()
	for _, n := range x.nodes {
		if !right(int(x.sum(n, "pushgate_queue_depth"))) {
			return false
		}
	}
	return true
}

// healthyDay: what providers accept in time is never written to disk. On SQLite the files stay as they were, byte for
// byte; on PostgreSQL no table that holds notifications has grown, and no row has been given a number.
func (x *rig) healthyDay() {
	// Timeouts as in life: on a busy machine an answer may take its time.
	x.start(harness.Settings{Gateway: "{attempt_timeout: 5s}"})
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
	delivered, queued := int64(0), 0.0
	for _, n := range x.nodes {
		delivered += n.Metrics(x).Devices("delivered")
		queued += x.sum(n, "pushgate_notifications_total", `state="queued"`)
	}
	require.GreaterOrEqual(x, delivered, int64(devices))
	require.Equal(x, before, x.prints(), "the database was written")
	require.Zero(x, queued)
}

// prints are finger prints of what holds rows.
func (x *rig) prints() map[string]string {
	x.Helper()
	out := map[string]string{}
	if x.engine == onPostgres {
		for _, table := range []string{"queue", "queue_device", "queue_lease", "queue_count", "payload", "ledger"} {
			out[table] = pgtest.Text(x.T, x.db, "SELECT pg_relation_size('"+table+"')::text")
		}
		out["numbers"] = pgtest.Text(x.T, x.db, "SELECT last_value::text || is_called::text FROM queue_id")
		return out
	}
	for _, name := range []string{"pushgate.db", "pushgate.db-wal"} {
		text, err := os.ReadFile(filepath.Join(dataDir(x.node()), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(x, err)
		sum := sha256.Sum256(text)
		out[name] = hex.EncodeToString(sum[:])
	}
	return out
}
