package faults

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// settleTime bounds how long promises may take to be kept once a fault is over: a lease (45 s), an open breaker (10 s)
// and the machine's other work.
const settleTime = 3 * time.Minute

// patience bounds a wait for something that takes a lease (45 s) at most.
const patience = 2 * time.Minute

// full reports whether outages last as long as in life.
var full = os.Getenv("FAULTS") == "full"

// pick chooses between the short form and the full one.
func pick[T any](short, long T) T {
	if full {
		return long
	}
	return short
}

// engine is where the nodes keep their queue.
type engine string

const (
	onSQLite   engine = "sqlite"   // one node
	onPostgres engine = "postgres" // two nodes that share a database
)

// rig is one fault's world: a simulator, one or two gateways, a sender and the oracle.
type rig struct {
	*testing.T
	engine   engine
	sim      *harness.Sim
	nodes    []*harness.Node
	settings []harness.Settings
	db       string           // URL of the nodes' database; start makes one where it is empty
	wires    []*harness.Proxy // between each node and PostgreSQL
	sender   *sender
	oracle   *oracle
	web      []device
	dupBound int // duplicates that nothing explains but the kill of a process
	result   result
}

// gatewayText are timeouts for impatient people; everything else is the default.
const gatewayText = "attempt_timeout: 1s, provider_timeout: 3s, retry: {initial: 200ms, max: 1s}"

// quick is a configuration with short timeouts, and more members of the gateway section: "max_queued: 100".
func quick(more ...string) harness.Settings {
	return harness.Settings{Gateway: "{" + strings.Join(append([]string{gatewayText}, more...), ", ") + "}"}
}

// start brings everything up.
func (x *rig) start(set harness.Settings) {
	x.Helper()
	x.sim = harness.StartSim(x.T, "-keep", "0")
	x.oracle = newOracle()
	x.sender = newSender(strings.ToLower(strings.NewReplacer("/", "", " ", "").Replace(x.result.id)), func() []*harness.Node { return x.nodes })
	x.Cleanup(x.sender.client.CloseIdleConnections)
	for range 3 {
		sub, err := x.sim.Subscribe(x.ctx(), simulator.SubscribeOptions{VAPIDPublicKey: x.sim.Info.Credentials.VAPIDPublicKey})
		require.NoError(x, err)
		x.web = append(x.web, webDevice(sub))
	}
	if x.engine == onSQLite {
		x.settings = []harness.Settings{set}
	} else {
		x.settings = x.shared(set)
	}
	for _, s := range x.settings {
		x.nodes = append(x.nodes, harness.StartGateway(x.T, x.sim, s))
	}
}

// startCalm is start for rows about providers alone: SQLite gets a disk that is never busy with other tests, if the
// machine has one with room.
func (x *rig) startCalm(set harness.Settings) {
	x.Helper()
	const memory, room = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if x.engine == onSQLite && syscall.Statfs(memory, &fs) == nil && fs.Bavail*uint64(fs.Bsize) > room { //nolint:gosec // a size
		dir, err := os.MkdirTemp(memory, "pushgate-faults-")
		require.NoError(x, err)
		x.Cleanup(func() { _ = os.RemoveAll(dir) })
		set.DataDir = dir
	}
	x.start(set)
}

// shared are the settings of two nodes on one database, each behind a wire of its own.
func (x *rig) shared(set harness.Settings) []harness.Settings {
	x.Helper()
	if x.db == "" {
		x.db = pgtest.URL(x.T)
	}
	u, err := url.Parse(x.db)
	require.NoError(x, err)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	dir := x.TempDir()
	password, _ := u.User.Password()
	require.NoError(x, os.WriteFile(dir+"/key", []byte(hex.EncodeToString(key)+"\n"), 0o600))
	require.NoError(x, os.WriteFile(dir+"/password", []byte(password+"\n"), 0o600))
	u.User = url.User(u.User.Username())
	server := u.Host
	var out []harness.Settings
	for range 2 {
		wire := harness.NewProxy(x.T, server)
		x.wires = append(x.wires, wire)
		u.Host = wire.Addr()
		set.Storage = `{url: "` + u.String() + `", password_file: ` + dir + `/password, encryption_key_file: ` + dir + `/key}`
		out = append(out, set)
	}
	return out
}

func (x *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(x.Context(), harness.Patience)
	x.Cleanup(cancel)
	return ctx
}

// node is the only one, or the first.
func (x *rig) node() *harness.Node { return x.nodes[0] }

// set makes a provider behave.
func (x *rig) set(name simulator.Service, c simulator.Conditions) {
	x.Helper()
	if c.Outage == simulator.OutageRefuse || c.Outage == simulator.OutageReset {
		// It begins with the open connections being reset, and a reset throws away answers that were written already: what
		// was in flight may have to be sent again.
		x.dupBound += resetInFlight
	}
	require.NoError(x, x.sim.SetConditions(x.ctx(), name, c))
}

// resetInFlight is what the callers of a row and its retry worker have under way at one provider at a time.
const resetInFlight = 16

// script lays out a provider's next answers for a token.
func (x *rig) script(name simulator.Service, token string, answers ...simulator.Answer) {
	x.Helper()
	require.NoError(x, x.sim.Script(x.ctx(), name, token, answers...))
}

// every is all providers.
var every = []simulator.Service{simulator.APNs, simulator.FCM, simulator.WebPush}

// reconfigure writes changed settings for every node and makes them take them.
func (x *rig) reconfigure(change func(*harness.Settings)) {
	x.Helper()
	for i, n := range x.nodes {
		change(&x.settings[i])
		n.Configure(x, x.settings[i])
	}
	x.reload(true)
}

// reload sends SIGHUP to every node and waits until it has judged the configuration.
func (x *rig) reload(taken bool) {
	x.Helper()
	word := map[bool]string{true: "configuration reloaded", false: "configuration not reloaded"}[taken]
	for _, n := range x.nodes {
		before := strings.Count(n.Output(), word)
		n.Signal(syscall.SIGHUP)
		x.until("the reload", func() bool { return strings.Count(n.Output(), word) > before })
	}
}

// until waits for something that must come.
func (x *rig) until(what string, ok func() bool) {
	x.Helper()
	limit := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(limit) {
			var out string
			for _, n := range x.nodes {
				out += tail(n.Output())
			}
			x.Fatalf("%s does not come:\n%s", what, out)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// tail is the end of a log, without the requests.
func tail(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.Contains(line, `"msg":"request"`) {
			b.WriteString(line)
		}
	}
	return b.String()[max(0, b.Len()-3000):]
}

// nobodyRefused: a provider's trouble alone turns nobody away (design.md 2). A store that takes longer than a second for
// a commit does, and says so in the log.
func (x *rig) nobodyRefused() {
	x.Helper()
	for i, n := range x.nodes {
		require.Zerof(x, x.sum(n, "pushgate_notifications_total", `state="refused"`, `reason="overload"`), "node %d: no slot", i)
		require.NotContains(x, n.Output(), "no room in the queue")
		if strings.Contains(n.Output(), `"msg":"store failed"`) {
			x.result.note = strings.TrimSpace(x.result.note + " (the store was slow)")
			return
		}
	}
	require.Zero(x, x.sender.refused, "503 although the store is well")
}

// sum adds up a metric of a node.
func (x *rig) sum(n *harness.Node, name string, labels ...string) float64 {
	x.Helper()
	return n.Metrics(x).Sum(name, labels...)
}

// order is one request to send.
type order struct {
	op      operation
	devices []device
}

// mixed is everyday traffic: all operations, all providers, one to three devices, many of them again and again.
func (x *rig) mixed(i int) order {
	ios, android, web := iosDevice(i%97), androidDevice(i%89), x.web[i%len(x.web)]
	switch i % 5 {
	case 0:
		return order{opMatrix, []device{ios}}
	case 1:
		return order{opNotify, []device{ios, android}}
	case 2:
		return order{opBatch, []device{android, ios, web}}
	case 3:
		return order{opEncrypted, []device{ios, android}}
	default:
		return order{opMatrix, []device{android, web}}
	}
}

// to sends plain notifications to many devices of one kind.
func to(kind func(int) device) func(int) order {
	return func(i int) order { return order{opMatrix, []device{kind(i)}} }
}

// send sends n requests, a few at a time, each once, and returns how many were answered 2xx.
func (x *rig) send(n int, what func(int) order) int {
	x.Helper()
	var mu sync.Mutex
	next, ok := 0, 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return
				}
				o := what(i)
				if x.sender.send(o.op, x.sender.event(), o.devices...) {
					mu.Lock()
					ok++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return ok
}

// take sends n requests that must all be taken. A disk that is busy with other tests for more than a second means 503,
// so each is repeated, as callers do.
func (x *rig) take(n int, what func(int) order) {
	x.Helper()
	const callers = 8
	var all sync.WaitGroup
	failed := make(chan int, n)
	for c := range callers {
		all.Go(func() {
			for i := c; i < n; i += callers {
				if o := what(i); !x.sender.deliver(o.op, 100, 100*time.Millisecond, o.devices...) {
					failed <- i
				}
			}
		})
	}
	all.Wait()
	require.Empty(x, failed, "not taken")
}

// load sends until it is stopped: some callers, each repeating what was not answered 2xx, as homeservers do.
func (x *rig) load(what func(int) order) (stop func()) {
	const callers, pause = 6, 15 * time.Millisecond
	done := make(chan struct{})
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := c; ; i += callers {
				o, event := what(i), x.sender.event()
				for range 40 {
					if x.sender.send(o.op, event, o.devices...) {
						break
					}
					time.Sleep(5 * pause)
				}
				select {
				case <-done:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	var once sync.Once
	stop = func() { once.Do(func() { close(done); all.Wait() }) }
	x.Cleanup(stop)
	return stop
}

// during keeps a state of the world for a while.
func (x *rig) during(short, long time.Duration) { time.Sleep(pick(short, long)) }
