package faults

import (
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/simulator"
)

// kills (F9): kill -9 at random moments, while a third of all answers are errors, so that rows are accepted, claimed,
// sent and settled all the time.
func (x *rig) kills() {
	const inFlight = 16 // of each app; the retry worker takes half of them
	set := quick()
	set.More = ", max_in_flight: 16"
	x.start(set)
	for _, s := range every {
		x.set(s, simulator.Conditions{Latency: 10 * time.Millisecond, ErrorRate: 0.3})
	}
	stop := x.load(x.mixed)
	kills := pick(10, 200)
	for range kills {
		time.Sleep(50*time.Millisecond + rand.N(pick(600*time.Millisecond, 900*time.Millisecond)))
		n := x.nodes[rand.N(len(x.nodes))]
		n.Kill()
		n.Wait(x)
		require.NoError(x, n.Launch(x))
	}
	for _, s := range every {
		x.set(s, simulator.Conditions{})
	}
	x.faultEnds()
	stop()
	x.settle()
	// In flight at a kill: what callers were waiting for, and the rows in the worker's hands.
	x.dupBound = x.sender.cut + kills*3*inFlight/2
	x.result.note = "kills: " + strconv.Itoa(kills)
	x.verdict()
}

// rolling (F15): SIGTERM under load, again and again. Every exit is clean and nothing is sent twice.
func (x *rig) rolling() {
	x.start(quick())
	for _, s := range every {
		x.set(s, simulator.Conditions{Latency: 20 * time.Millisecond, ErrorRate: 0.2})
	}
	stop := x.load(x.mixed)
	for range pick(3, 50) {
		for _, n := range x.nodes {
			time.Sleep(300 * time.Millisecond)
			n.Signal(syscall.SIGTERM)
			require.Zero(x, n.Wait(x), tail(n.Output()))
			require.NoError(x, n.Launch(x))
		}
	}
	for _, s := range every {
		x.set(s, simulator.Conditions{})
	}
	x.faultEnds()
	stop()
	x.settle()
	x.verdict()
}

// reloads (F18): SIGHUP under load, every other time with a file that is broken in one way or another. A new app works
// at once; nothing leaks.
func (x *rig) reloads() {
	x.start(quick())
	stop := x.load(x.mixed)
	good := x.files()
	warm := x.node().Metrics(x)
	for i := range pick(30, 500) {
		for j, n := range x.nodes {
			n.WriteFile(x, "pushgate.yaml", []byte(broken(good[j], i)))
		}
		x.reload(false)
		for j, n := range x.nodes {
			n.WriteFile(x, "pushgate.yaml", []byte(changed(good[j], i)))
		}
		x.reload(true)
	}
	x.reconfigure(func(s *harness.Settings) {
		s.Apps = "  - app_id: com.example.fresh\n    apns: {topic: com.example.fresh, key_file: {{.C.APNsKeyFile}}, key_id: {{.C.APNsKeyID}}, team_id: {{.C.APNsTeamID}}, endpoint: \"{{.APNs}}\", ca_file: {{.C.CAFile}}}\n"
	})
	fresh := device{app: "com.example.fresh", pushkey: iosDevice(5000).pushkey, token: iosDevice(5000).token}
	require.True(x, x.sender.send(opMatrix, x.sender.event(), fresh))
	x.faultEnds()
	stop()
	x.settle()
	x.verdict()
	require.Equal(x, "com.example.fresh", x.oracle.receipts[fresh.token][0].Topic)
	require.Zero(x, x.sender.refused)
	x.until("an end of what reloads left behind", func() bool {
		m := x.node().Metrics(x)
		return m["go_goroutines"] <= warm["go_goroutines"]+100 && m["process_open_fds"] <= warm["process_open_fds"]+40
	})
}

// files are the configurations as they stand.
func (x *rig) files() []string {
	x.Helper()
	var out []string
	for _, n := range x.nodes {
		text, err := os.ReadFile(n.ConfigFile())
		require.NoError(x, err)
		out = append(out, string(text))
	}
	return out
}

// broken is a file that must be refused: half-written, unknown key, missing key file, contradiction.
func broken(text string, i int) string {
	switch i % 5 {
	case 0:
		return text[:strings.Index(text, "https://")]
	case 1:
		return text + "surprise: true\n"
	case 2:
		return strings.Replace(text, ", ca_file: ", ", ca_file: /nonexistent", 1)
	case 3:
		return strings.Replace(text, "com.example.cert.ios", "com.example.app.*", 1) + "listen: {}\n"
	default:
		return ""
	}
}

// changed is a good file that differs from the last good one in settings that make new connections.
func changed(text string, i int) string {
	if i%2 == 0 {
		return text
	}
	return strings.ReplaceAll(text, ", ca_file: ", ", max_in_flight: 900, ca_file: ")
}

// certificates (F8): providers show bad certificates; callers show bad ones to us.
func (x *rig) certificates() {
	set := quick("require_client_cert: true")
	x.start(set)
	matrix := func(i int) order { return order{opMatrix, []device{iosDevice(i), androidDevice(i)}} }
	n := 0
	for _, bad := range []simulator.Certificate{simulator.CertificateExpired, simulator.CertificateWrongName, simulator.CertificateWrongCA} {
		for _, s := range every {
			x.set(s, simulator.Conditions{Certificate: bad})
			require.NoError(x, x.sim.Disconnect(x.ctx(), s))
		}
		x.take(20, func(i int) order { return matrix(n + i) })
		n += 20
		x.collect()
		require.Empty(x, x.oracle.arrived, "nothing may be sent to a stranger: %s", bad)
	}
	for _, s := range every {
		x.set(s, simulator.Conditions{})
	}
	x.faultEnds()
	x.settle()
	x.verdict()
	x.callers()
}

// callers: who has no business is not let in, and what they sent goes nowhere.
func (x *rig) callers() {
	x.Helper()
	bundle, own, expired := ownAuthority(x)
	_, foreign, _ := ownAuthority(x)
	for _, n := range x.nodes {
		n.WriteFile(x, "ca.pem", append(n.CA.CertPEM(), bundle...))
	}
	x.reload(true)
	stranger, welcome := iosDevice(9000), iosDevice(9001)
	text := func(d device) string { return body(opNotify, x.sender.event(), []device{d}) }
	issued := make([][2]*mtls.Pair, len(x.nodes)) // good, and to be revoked
	for i, n := range x.nodes {
		for j := range issued[i] {
			pair, err := n.CA.Client("fd.example.com")
			require.NoError(x, err)
			issued[i][j] = pair
		}
		require.Equal(x, http.StatusOK, n.Post(x, n.ClientWith(x, issued[i][0]), string(opNotify), text(welcome)).Status)
		require.Equal(x, http.StatusOK, n.Post(x, n.ClientWith(x, own), string(opNotify), text(welcome)).Status, "the second authority counts")
		x.keepOut(n, expired, text(stranger), "expired")
		x.keepOut(n, nil, text(stranger), "none")
		x.keepOut(n, foreign, text(stranger), "of another authority")

		list, err := n.CA.CRL(issued[i][1])
		require.NoError(x, err)
		n.WriteFile(x, "crl.pem", list)
		n.WriteFile(x, "ca.pem", n.CA.CertPEM())
	}
	x.reconfigure(func(s *harness.Settings) { s.TLS = ", crl_file: crl.pem" })
	for i, n := range x.nodes {
		require.Equal(x, http.StatusOK, n.Post(x, n.ClientWith(x, issued[i][0]), string(opNotify), text(welcome)).Status)
		x.keepOut(n, issued[i][1], text(stranger), "revoked")
	}
	x.collect()
	require.Empty(x, x.oracle.receipts[stranger.token], "what a stranger sent went nowhere")
}

// keepOut sends with a certificate that must not be let in: a failed handshake or 401.
func (x *rig) keepOut(n *harness.Node, pair *mtls.Pair, text, which string) {
	x.Helper()
	a, err := n.Try(n.ClientWith(x, pair), string(opNotify), text)
	if err == nil {
		require.Equal(x, http.StatusUnauthorized, a.Status, which)
	}
}

// dataDir is where a node keeps its files.
func dataDir(n *harness.Node) string { return filepath.Join(n.Dir, "data") }
