package faults

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// oracle compares what was promised with what arrived.
type oracle struct {
	read     uint64                         // receipts up to here are in
	arrived  map[item][]simulator.Receipt   // delivered, in order
	receipts map[string][]simulator.Receipt // all of them, by token
	all      int
	excused  map[item]string // promised, and ended otherwise on purpose: the injected verdict or expiry
	doomed   map[string]bool // tokens that a provider was told to call dead
	ended    time.Time       // when the fault was over
}

func newOracle() *oracle {
	return &oracle{
		arrived: map[item][]simulator.Receipt{}, receipts: map[string][]simulator.Receipt{},
		excused: map[item]string{}, doomed: map[string]bool{},
	}
}

// eventIn finds the notification's name in a payload.
var eventIn = regexp.MustCompile(`"(?:event_id|identifier)":"([^"]+)"`)

// collect reads the receipts that came since.
func (x *rig) collect() {
	x.Helper()
	for _, r := range x.sim.LogSince(x, x.oracle.read) {
		x.oracle.read = r.Seq
		x.oracle.all++
		x.oracle.receipts[r.Token] = append(x.oracle.receipts[r.Token], r)
		if m := eventIn.FindSubmatch(r.Payload); m != nil && r.Delivered {
			it := item{string(m[1]), r.Token}
			x.oracle.arrived[it] = append(x.oracle.arrived[it], r)
		}
	}
}

// missing lists what was promised and is neither here nor excused.
func (x *rig) missing() []item {
	x.collect()
	x.sender.mu.Lock()
	defer x.sender.mu.Unlock()
	var out []item
	for it, p := range x.sender.promised {
		if p.failed || len(x.oracle.arrived[it]) > 0 || x.oracle.excused[it] != "" || x.calledDead(it.token) {
			continue
		}
		out = append(out, it)
	}
	return out
}

// calledDead reports whether a provider was told to call this device dead, and has.
func (x *rig) calledDead(token string) bool {
	if !x.oracle.doomed[token] {
		return false
	}
	for _, r := range x.oracle.receipts[token] {
		if r.Status >= 400 && r.Status < 500 && !r.Delivered {
			return true
		}
	}
	return false
}

// duplicates counts second arrivals; unexplained are those of which more than one was acknowledged to somebody who was
// still listening.
func (x *rig) duplicates() (all, unexplained int) {
	for _, receipts := range x.oracle.arrived {
		all += len(receipts) - 1
		unexplained += max(heard(receipts)-1, 0)
	}
	return all, unexplained
}

// heard counts the arrivals whose acknowledgement was heard.
func heard(receipts []simulator.Receipt) int {
	n := 0
	for _, r := range receipts {
		if !r.Unheard && r.Fault == "" {
			n++
		}
	}
	return n
}

// falseRejects lists tokens that were reported although nobody called them dead.
func (x *rig) falseRejects() []string {
	x.sender.mu.Lock()
	defer x.sender.mu.Unlock()
	var out []string
	for token := range x.sender.rejected {
		if !x.oracle.doomed[token] {
			out = append(out, token)
		}
	}
	return out
}

// faultEnds marks the moment from which recovery counts.
func (x *rig) faultEnds() { x.oracle.ended = time.Now() }

// recovery is how long after the fault what was promised before its end first arrived, and arrived at last.
func (x *rig) recovery() (first, last time.Duration) {
	if x.oracle.ended.IsZero() {
		return 0, 0
	}
	x.sender.mu.Lock()
	defer x.sender.mu.Unlock()
	first = -1
	for it, p := range x.sender.promised {
		receipts := x.oracle.arrived[it]
		if p.at.After(x.oracle.ended) || len(receipts) == 0 {
			continue
		}
		if late := receipts[0].Time.Sub(x.oracle.ended); late > 0 {
			last = max(last, late)
			if first < 0 || late < first {
				first = late
			}
		}
	}
	return max(first, 0), last
}

// settle waits until every promise is kept and nothing is under way, and then checks the books of every node.
func (x *rig) settle() {
	x.Helper()
	limit := time.Now().Add(settleTime)
	for len(x.missing()) > 0 && time.Now().Before(limit) {
		time.Sleep(50 * time.Millisecond)
	}
	x.quiet(limit)
	for i, n := range x.nodes {
		m := n.Metrics(x)
		for until := time.Now().Add(harness.Patience); m.Imbalance() != 0 && time.Now().Before(until); m = n.Metrics(x) {
			time.Sleep(50 * time.Millisecond) // a request may be between two counters
		}
		require.Zerof(x, m.Imbalance(), "node %d: accepted + taken_over = delivered + rejected + dead_lettered + expired + handed_over + pending: %v", i, account(m.Devices, m.Pending()))
	}
}

// quiet waits until the nodes answer for nothing any more.
func (x *rig) quiet(limit time.Time) {
	for time.Now().Before(limit) {
		busy := int64(0)
		for _, n := range x.nodes {
			m := n.Metrics(x)
			busy += m.Pending() + int64(m.Sum("pushgate_app_in_flight"))
		}
		if busy == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	x.collect()
}

func account(count func(string) int64, pending int64) string {
	var b strings.Builder
	for _, s := range []string{"accepted", "taken_over", "delivered", "rejected", "dead_lettered", "expired", "handed_over", "suppressed", "refused"} {
		fmt.Fprintf(&b, "%s=%d ", s, count(s))
	}
	return b.String() + fmt.Sprint("pending=", pending)
}

// verdict fills in the row's result and fails the row on what must never be.
func (x *rig) verdict() {
	x.Helper()
	missing, dead := x.missing(), x.falseRejects()
	dup, unexplained := x.duplicates()
	x.result.first, x.result.recovery = x.recovery()
	x.sender.mu.Lock()
	x.result.promised, x.result.refused, x.result.cut = len(x.sender.promised), x.sender.refused, x.sender.broken
	odd, retryAfter, turned := x.sender.odd, x.sender.retryAfter, x.sender.turned
	x.sender.mu.Unlock()
	x.result.lost, x.result.duplicates, x.result.falseRejects = len(missing), dup, len(dead)
	if len(x.nodes) > 1 {
		// Suppression is per node (design.md 4): of a request that was answered 503 after some of its devices had been
		// delivered, the caller's repeat may reach the other node.
		x.dupBound += turned
	}
	x.result.bound = x.dupBound
	if len(missing) > 0 {
		for _, n := range x.nodes {
			x.Logf("%s\n%s", n.Admin(x, "/metrics").Body, tail(n.Output()))
		}
	}
	require.Emptyf(x, sample(missing), "lost %d of %d", len(missing), x.result.promised)
	require.Empty(x, dead, "reported as dead although nobody said so")
	require.Empty(x, odd, "answers beside the contract")
	require.True(x, retryAfter, "a 503 says when to come again")
	require.LessOrEqualf(x, unexplained, x.dupBound, "duplicates that no broken exchange explains (%d in all): %s", dup, x.sampleDuplicates())
	require.NotZero(x, x.result.promised, "a row that promised nothing proves nothing")
}

func sample(items []item) []item {
	sort.Slice(items, func(i, j int) bool { return items[i].event < items[j].event })
	return items[:min(len(items), 5)]
}

func (x *rig) sampleDuplicates() string {
	var b strings.Builder
	n := 0
	for it, receipts := range x.oracle.arrived {
		if heard(receipts) < 2 {
			continue
		}
		fmt.Fprintf(&b, "\n%s %s:", it.event, it.token)
		for _, r := range receipts {
			fmt.Fprintf(&b, " [%s conn %d status %d %s unheard=%t %s]", r.Time.Format("05.000"), r.Conn, r.Status, r.Reason, r.Unheard, r.Fault)
		}
		if n++; n == 5 {
			break
		}
	}
	return b.String()
}

// excuse takes a promise as kept for another reason.
func (x *rig) excuse(why string, items ...item) {
	for _, it := range items {
		x.oracle.excused[it] = why
	}
}

// doom notes that a provider will call these devices dead: they may be in `rejected`, and what was promised to them
// may end there.
func (x *rig) doom(devices ...device) {
	for _, d := range devices {
		x.oracle.doomed[d.token] = true
	}
}

// notSent reports whether a request never reached the gateway.
func notSent(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
