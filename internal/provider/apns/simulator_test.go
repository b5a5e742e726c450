package apns

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/simulator"
)

const testTopic = "com.example.pushgate.ios"

// rig is a simulator with credentials and a client that uses them.
type rig struct {
	*Client
	sim   *simulator.Simulator
	creds simulator.Credentials
	cfg   Config
}

// startSimulator starts a simulator and writes credentials that it trusts.
func startSimulator(t testing.TB, o simulator.Options) *rig {
	t.Helper()
	sim, err := simulator.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	creds, err := sim.WriteCredentials(t.TempDir())
	require.NoError(t, err)
	cfg := DefaultConfig()
	cfg.Topic = testTopic
	cfg.KeyFile, cfg.KeyID, cfg.TeamID = creds.APNsKeyFile, creds.APNsKeyID, creds.APNsTeamID
	cfg.Endpoint, cfg.CAFile = sim.APNsURL(), creds.CAFile
	return &rig{sim: sim, creds: creds, cfg: cfg}
}

// newRig also makes a client; edit may change its settings first.
func newRig(t testing.TB, so simulator.Options, o Options, edit func(*Config)) *rig {
	t.Helper()
	r := startSimulator(t, so)
	if edit != nil {
		edit(&r.cfg)
	}
	r.cfg.Check(func(path, problem string) { t.Errorf("%s: %s", path, problem) })
	var err error
	r.Client, err = New(r.cfg, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// withCertificate changes the settings to the simulator's certificate.
func (r *rig) useCertificate(c *Config) {
	c.KeyFile, c.KeyID, c.TeamID, c.Topic = "", "", "", ""
	c.CertFile, c.CertPasswordFile = r.creds.APNsP12File, r.creds.APNsP12PasswordFile
}

func newToken() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

// to returns a text message for a token.
func to(token string) push.Notification {
	return with(event(nil), func(n *push.Notification) { n.Device.Pushkey = push.Pushkey(token) })
}

// send sends n and requires that it ends in time.
func (r *rig) send(t *testing.T, n push.Notification) (push.Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return r.Send(ctx, n, push.Hash{0xab})
}

// mustDeliver sends a message to a fresh token and returns its receipt.
func (r *rig) mustDeliver(t *testing.T, n push.Notification) simulator.Receipt {
	t.Helper()
	if n.Device.Pushkey == "" {
		n.Device.Pushkey = push.Pushkey(newToken())
	}
	token, ok := deviceToken(n.Device.Pushkey)
	require.True(t, ok)
	out, err := r.send(t, n)
	require.NoError(t, err)
	require.Equal(t, push.Outcome{Verdict: push.Delivered, Reason: reasonOK}, out)
	receipts := r.receipts(token)
	require.NotEmpty(t, receipts)
	return receipts[len(receipts)-1]
}

// receipts returns what arrived for one token.
func (r *rig) receipts(token string) []simulator.Receipt {
	var all []simulator.Receipt
	for _, one := range r.sim.Receipts() {
		if one.Token == token {
			all = append(all, one)
		}
	}
	return all
}

// connections returns how many connections were opened so far.
func (r *rig) connections() int64 {
	return r.sim.Stats().Services[simulator.APNs].ConnectionsOpened
}

// burst sends n notifications at once, each to its own token, and returns the outcomes by token.
func (r *rig) burst(t *testing.T, n int) map[string]push.Outcome {
	t.Helper()
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all = map[string]push.Outcome{}
	)
	for range n {
		wg.Go(func() {
			token := newToken()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := r.Send(ctx, to(token), push.Hash{})
			expect(t, nil, err)
			mu.Lock()
			defer mu.Unlock()
			all[token] = out
		})
	}
	wg.Wait()
	return all
}

// deadAddress returns a loopback address on which nobody listens.
func deadAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// until repeats try until it is true. It runs on the test's own goroutine, so try may require.
func until(t *testing.T, try func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !try() {
		select {
		case <-deadline:
			t.Fatal("still not so")
		case <-time.After(time.Millisecond):
		}
	}
}
