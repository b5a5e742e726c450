package app

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/provider/webpush"
	"github.com/pushgate/pushgate/internal/push"
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

// gated is a listener that lets nobody in before its gate is open, and counts those who come in.
type gated struct {
	net.Listener
	gate   chan struct{}
	opened atomic.Int32
}

func (l *gated) Accept() (net.Conn, error) {
	<-l.gate
	c, err := l.Listener.Accept()
	if err == nil {
		l.opened.Add(1)
	}
	return c, err
}

// TestWebPush_DialsAFewConnections: many notifications that wait for the first connection must not dial one each.
func TestWebPush_DialsAFewConnections(t *testing.T) {
	t.Parallel()
	const requests = 60 // a client sends a hundred over HTTP/2 before it knows the server's limit
	for name, c := range map[string]struct {
		http2    bool
		together int32 // that many arrive before one is answered, so that no connection has been replaced
	}{"HTTP/2": {true, requests}, "HTTP/1.1": {false, webPushConns}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var came, opened atomic.Int32
			arrived := make(chan struct{})
			door := &gated{gate: make(chan struct{})}
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if came.Add(1) == c.together {
					opened.Store(door.opened.Load())
					close(arrived)
				}
				<-arrived
				w.WriteHeader(http.StatusCreated)
			}))
			door.Listener, s.Listener, s.EnableHTTP2 = s.Listener, door, c.http2
			s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // HTTP/2 hangs up on what it need not have dialled
			s.StartTLS()
			t.Cleanup(s.Close)
			open := sync.OnceFunc(func() { close(door.gate) })
			t.Cleanup(open)
			one := webPushTo(t, s)
			var waiting, delivered atomic.Int32
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(string) {
				if waiting.Add(1) == requests {
					open()
				}
			}})
			event := &push.Event{ID: push.NewText("$e"), Type: push.NewText("m.room.message")}
			var sending sync.WaitGroup
			for range requests {
				n := push.Notification{Device: browserAt(t, s.URL), Event: event}
				sending.Go(func() {
					out, err := one.Send(ctx, n, push.Hash{})
					if err == nil && out.Verdict == push.Delivered {
						delivered.Add(1)
					}
				})
			}
			sending.Wait()
			require.EqualValues(t, requests, delivered.Load())
			require.NotZero(t, opened.Load())
			require.LessOrEqual(t, opened.Load(), int32(webPushConns))
			require.NoError(t, one.Close())
		})
	}
}

// webPushTo returns the provider of an app whose browsers are all at one service.
func webPushTo(t *testing.T, s *httptest.Server) provider.Provider {
	t.Helper()
	_, creds := simulated(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	w := webpush.DefaultConfig()
	w.VAPIDPrivateKeyFile, w.Contact, w.CAFile = creds.VAPIDKeyFile, "mailto:ops@example.com", ca
	w.AllowedHosts = []string{strings.TrimPrefix(s.URL, "https://")}
	one, err := edges{}.webPush(w, &config.Config{Egress: egress.Config{AllowNetworks: []string{"127.0.0.0/8"}}})
	require.NoError(t, err)
	return one
}

// browserAt returns a subscription that nobody else has.
func browserAt(t *testing.T, service string) push.Device {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	return push.Device{
		AppID: "web", Pushkey: push.Pushkey(base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes())),
		Data: push.Object(`{"endpoint":"` + service + "/" + rand.Text() + `","auth":"AAAAAAAAAAAAAAAAAAAAAA"}`),
	}
}
