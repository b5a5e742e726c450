package faults

import (
	"net/http"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

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

// readOnly (F11): the database takes no writes, as providers of databases do when its disk is full; twice, and again
// without a restart. What needs the queue is refused, what does not is delivered.
func (x *rig) readOnly() {
	x.start(quick())
	x.set(simulator.APNs, simulator.Conditions{Outage: simulator.OutageRefuse})
	x.take(20, to(iosDevice))
	for round := range 2 {
		from := 1000 * (round + 1)
		pgtest.ReadOnly(x.T, x.db, true)
		x.withoutStore(from)
		for _, n := range x.nodes {
			require.Equal(x, http.StatusServiceUnavailable, n.Admin(x, "/readyz").Status, "not ready")
		}
		x.during(0, 5*time.Minute)
		pgtest.ReadOnly(x.T, x.db, false)
		x.until("the store's return", func() bool {
			from += 4
			return x.send(4, to(func(i int) device { return iosDevice(10_000 + from + i) })) == 4 // both nodes
		})
		for _, n := range x.nodes {
			x.until("readiness", func() bool { return n.Admin(x, "/readyz").Status == http.StatusOK })
		}
	}
	x.set(simulator.APNs, simulator.Conditions{})
	x.faultEnds()
	x.settle()
	x.verdict()
	for _, n := range x.nodes {
		require.True(x, n.Alive(), "and all that without a restart")
	}
}

// powerLoss (F10): a process cannot fail the power of its own machine. A layer under SQLite that drops what was not synced
// can; the rest of a crash is that of F9. A PostgreSQL server of our own can be crashed.
func (x *rig) powerLoss() {
	if x.engine == onPostgres {
		x.serverCrashes()
		return
	}
	x.inProcess("internal/store/sqlite/powerloss", "TestPowerLoss_WhatWasCommittedIsThere", "TestPowerLoss_TheShimDropsWhatWasNotSynced")
	x.result.lost, x.result.falseRejects = 0, 0
}

// serverCrashes: the database server loses everything that it had only in its memory, again and again under load, and its
// administrator told it to flush commits every ten seconds only. What it wrote without a flush is for PostgreSQL to test.
func (x *rig) serverCrashes() {
	const inFlight = 16 // of each app; the retry worker takes half of them
	server := pgtest.NewServer(x.T, pgtest.Durable, "synchronous_commit = off", "wal_writer_delay = 10s", "wal_writer_flush_after = 1GB")
	x.db = server.URL()
	set := quick()
	set.More = ", max_in_flight: 16"
	x.start(set)
	for _, s := range every {
		x.set(s, simulator.Conditions{Latency: 10 * time.Millisecond, ErrorRate: 0.3})
	}
	stop := x.load(x.mixed)
	crashes := pick(3, 30)
	for range crashes {
		x.during(time.Second, 3*time.Second)
		server.Crash()
		x.during(300*time.Millisecond, 2*time.Second)
		server.Start()
		x.until("the store's return", func() bool { return x.send(2, to(iosDevice)) == 2 })
	}
	for _, s := range every {
		x.set(s, simulator.Conditions{})
	}
	x.faultEnds()
	stop()
	x.settle()
	// What callers had no answer for, and what was in the workers' hands.
	x.dupBound = x.sender.cut + crashes*len(x.nodes)*3*inFlight/2
	x.result.note = "crashes: " + strconv.Itoa(crashes)
	x.verdict()
}
