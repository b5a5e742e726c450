package app

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/simulator"
)

// phones is a configuration of an app at Apple's and one at Google's.
const phones = `data_dir: data
listen: {public: "127.0.0.1:0", admin: "127.0.0.1:0"}
apps:
  - app_id: ios
    apns: {topic: com.example.app, key_file: %[1]s, key_id: %[2]s, team_id: %[3]s, endpoint: "%[4]s", ca_file: %[5]s}
  - app_id: android
    fcm: {project_id: %[6]s, service_account_file: %[7]s, endpoint: "%[8]s", ca_file: %[5]s}
`

func simulated(t *testing.T) (*simulator.Simulator, simulator.Credentials) {
	t.Helper()
	sim, err := simulator.Start(simulator.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	creds, err := sim.WriteCredentials(t.TempDir())
	require.NoError(t, err)
	return sim, creds
}

func phonesText(sim *simulator.Simulator, c simulator.Credentials, apple string) string {
	return fmt.Sprintf(phones, c.APNsKeyFile, c.APNsKeyID, c.APNsTeamID, apple, c.CAFile, c.ProjectID, c.ServiceAccountFile, sim.FCMURL())
}

// notify sends one event to a device of an app and returns the gateway's answer.
func (r *rig) notify(t *testing.T, app, pushkey string) string {
	t.Helper()
	body := fmt.Sprintf(`{"notification":{"event_id":"$e","room_id":"!r:x","devices":[{"app_id":%q,"pushkey":%q}]}}`, app, pushkey)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.Addr("public")+"/_matrix/push/v1/notify", strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode, string(text))
	return string(text)
}

// silent is a listener that accepts and never answers, until it is released.
type silent struct {
	net.Listener
	met chan net.Conn
}

func newSilent(t *testing.T) *silent {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &silent{Listener: inner, met: make(chan net.Conn, 64)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := inner.Accept()
			if err != nil {
				return
			}
			s.met <- c
		}
	}()
	t.Cleanup(func() { _ = inner.Close(); <-done; s.release() })
	return s
}

// release hangs up on everybody who has come.
func (s *silent) release() {
	for {
		select {
		case c := <-s.met:
			_ = c.Close()
		default:
			return
		}
	}
}

// TestStart_WaitsForNoProvider: one app that cannot be reached is no reason to keep the others, and the probes, waiting.
func TestStart_WaitsForNoProvider(t *testing.T) {
	t.Parallel()
	sim, creds := simulated(t)
	apple := newSilent(t)
	r := newRig(t, phonesText(sim, creds, "https://"+apple.Addr().String()))
	r.start(t)
	require.NotContains(t, string(r.logs.Bytes()), "provider not reached yet", "the start has seen the warm-up fail")
	require.JSONEq(t, `{"rejected":[]}`, r.notify(t, "android", "phone"))
	require.Len(t, sim.Receipts(), 1)

	first := <-apple.met // the warm-up is there all the same
	require.NotContains(t, string(r.logs.Bytes()), "provider not reached yet")
	_ = first.Close()
	_ = apple.Close()
	apple.release()
	require.Eventually(t, func() bool { return strings.Contains(string(r.logs.Bytes()), "provider not reached yet") }, 30*time.Second, time.Millisecond)
}

// TestStop_EndsTheWarmUp: nothing of it outlives the process's parts.
func TestStop_EndsTheWarmUp(t *testing.T) {
	t.Parallel()
	sim, creds := simulated(t)
	apple := newSilent(t)
	r := newRig(t, phonesText(sim, creds, "https://"+apple.Addr().String()))
	r.start(t)
	one := <-apple.met
	defer func() { _ = one.Close() }()
	r.end()
	require.NoError(t, <-r.done)
	r.Stop()
	logs := string(r.logs.Bytes())
	require.Contains(t, logs, `"stopped"`)
	require.NotContains(t, logs, "not stopped cleanly")
	require.NotContains(t, logs, "provider not reached yet", "it was not given its time")
}
