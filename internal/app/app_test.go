package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	_ "time/tzdata" // months begin in Europe/Berlin, also where the machine has no zone files

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/ops/opstest"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is one process in this one, with its folder.
type rig struct {
	*App
	dir    string
	text   string // the configuration
	logs   *opstest.Journal
	reload chan os.Signal
	end    context.CancelFunc
	done   chan error
}

// roles is a configuration with pushers and without apps.
const roles = `roles: [clientserver, fachdienst]
data_dir: data
listen: {public: "127.0.0.1:0", admin: "127.0.0.1:0"}
auth: {tokens_file: tokens.yaml}
fachdienst: {channels: [{id: a, default: enabled}]}
`

func newRig(t *testing.T, text string) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), text: text, logs: &opstest.Journal{}, reload: make(chan os.Signal), done: make(chan error, 1)}
	r.allow(t, "alice")
	return r
}

// allow writes the tokens file: who is named has a token of that name.
func (r *rig) allow(t *testing.T, names ...string) {
	t.Helper()
	text := ""
	for _, n := range names {
		sum := sha256.Sum256([]byte(n))
		text += fmt.Sprintf("- {token_sha256: %s, user_id: \"@%s:example.org\"}\n", hex.EncodeToString(sum[:]), n)
	}
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "tokens.yaml"), []byte(text), 0o600))
}

func (r *rig) load() (*config.Config, error) { return config.Parse([]byte(r.text), r.dir) }

func (r *rig) build(t *testing.T) error {
	t.Helper()
	c, err := r.load()
	require.NoError(t, err)
	r.App, err = New(t.Context(), Options{Config: c, Load: r.load, Reload: r.reload, Log: r.logs, Dev: true})
	return err
}

// start serves until the test ends.
func (r *rig) start(t *testing.T) {
	t.Helper()
	require.NoError(t, r.build(t))
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	ready := make(chan struct{})
	r.opts.Ready = func() { close(ready) }
	go func() { r.done <- r.serve(ctx); r.Stop() }()
	<-ready
	t.Cleanup(func() { cancel(); r.Stop(); http.DefaultClient.CloseIdleConnections() })
}

func (r *rig) get(t *testing.T, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Addr("public")+"/_matrix/client/v3/pushers", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestNew_FailureLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())
	r := newRig(t, strings.ReplaceAll(roles, `listen: {public: "127.0.0.1:0", admin: "127.0.0.1:0"}`,
		fmt.Sprintf(`listen: {public: %q, admin: %q}`, taken.Addr(), free.Addr())))
	require.ErrorIs(t, r.build(t), syscall.EADDRINUSE)

	again, err := net.Listen("tcp", free.Addr().String())
	require.NoError(t, err, "the admin listener was bound before and must be closed")
	require.NoError(t, again.Close())
	require.NoError(t, taken.Close())
	require.NoError(t, r.build(t), "the store is closed, its lock is free")
	r.Stop()
}

func TestStop_RequestsUnderWayAreAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t, roles)
	r.start(t)
	body := `{"kind":"http","app_id":"app","pushkey":"key","app_display_name":"a","device_display_name":"d","lang":"en",` +
		`"data":{"url":"https://push.example.com/_matrix/push/v1/notify"}}`
	conn, err := net.Dial("tcp", r.Addr("public"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST /_matrix/client/v3/pushers/set HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:10])
	require.NoError(t, err)
	// The server has read the head once another request that came later is answered.
	require.Equal(t, http.StatusOK, r.get(t, "alice"))

	r.end()
	require.Eventually(t, func() bool { return strings.Contains(string(r.logs.Bytes()), "stopping") }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", r.Addr("public"))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond, "nobody new is let in")
	_, err = io.WriteString(conn, body[10:])
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(answer), "HTTP/1.1 200 OK", "everything that the request stands on is still there")
	require.NoError(t, <-r.done)
	require.Eventually(t, func() bool { return strings.Contains(string(r.logs.Bytes()), `"stopped"`) }, 10*time.Second, time.Millisecond)
	require.NotContains(t, string(r.logs.Bytes()), "not stopped cleanly")
}

func TestReload_AllOrNothing(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, r *rig){
		"not YAML":        func(_ *testing.T, r *rig) { r.text += "\n:" },
		"unknown key":     func(_ *testing.T, r *rig) { r.text += "\nnonsense: 1\n" },
		"fixed key":       func(_ *testing.T, r *rig) { r.text += "data_dir: elsewhere\n" },
		"needs a restart": func(_ *testing.T, r *rig) { r.text = strings.Replace(r.text, "id: a", "id: b", 1) },
		"roles":           func(_ *testing.T, r *rig) { r.text = strings.Replace(r.text, "[clientserver, ", "[", 1) },
		"paths collide":   func(_ *testing.T, r *rig) { r.text += "clientserver: {base_paths: [/push/v1]}\n" },
		"no tokens":       func(t *testing.T, r *rig) { require.NoError(t, os.Remove(filepath.Join(r.dir, "tokens.yaml"))) },
		"no gateway client": func(_ *testing.T, r *rig) {
			r.text = strings.Replace(r.text, "fachdienst: {", "fachdienst: {gateway_client: {ca_file: gone.pem}, ", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, roles)
			r.start(t)
			good := r.text
			r.allow(t, "bob")
			r.text += "log: {level: error}\n"
			damage(t, r)
			r.reload <- syscall.SIGHUP
			require.Eventually(t, func() bool { return strings.Contains(string(r.logs.Bytes()), "the old one stays in force") }, 10*time.Second, time.Millisecond)
			require.Equal(t, http.StatusOK, r.get(t, "alice"))
			require.Equal(t, http.StatusUnauthorized, r.get(t, "bob"))
			require.True(t, r.log.Enabled(t.Context(), slog.LevelInfo))

			r.text = good
			r.allow(t, "bob")
			r.reload <- syscall.SIGHUP
			require.Eventually(t, func() bool { return strings.Contains(string(r.logs.Bytes()), "configuration reloaded") }, 10*time.Second, time.Millisecond)
			require.Equal(t, http.StatusOK, r.get(t, "bob"))
			require.Equal(t, http.StatusUnauthorized, r.get(t, "alice"))
		})
	}
}

// TestReload_QuestionsUnderWayAreAnswered: a reload must not make a caller pay whose token is just being asked for.
func TestReload_QuestionsUnderWayAreAnswered(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	homeserver := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked <- struct{}{}
		select {
		case <-answer:
		case <-req.Context().Done():
		}
		_, _ = io.WriteString(w, `{"user_id":"@carol:example.org"}`)
	})}
	go func() { _ = homeserver.Serve(inner) }()
	t.Cleanup(func() { _ = homeserver.Close() })
	r := newRig(t, strings.Replace(roles, "tokens_file: tokens.yaml", "tokens_file: tokens.yaml, matrix: {homeserver_url: \"http://"+inner.Addr().String()+"\"}", 1))
	r.start(t)
	status := make(chan int)
	go func() { status <- r.get(t, "carol") }()
	<-asked
	r.reload <- syscall.SIGHUP
	require.Eventually(t, func() bool { return strings.Contains(string(r.logs.Bytes()), "configuration reloaded") }, 10*time.Second, time.Millisecond)
	close(answer)
	require.Equal(t, http.StatusOK, <-status)
}

func TestCleanups_LastFirstAndAllOfThem(t *testing.T) {
	t.Parallel()
	logs := &opstest.Journal{}
	c := cleanups{log: slog.New(slog.NewTextHandler(logs, nil))}
	var order []string
	for _, name := range []string{"store", "gateway", "listener"} {
		c.add(name, func(ctx context.Context) error {
			order = append(order, name)
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.LessOrEqual(t, time.Until(deadline), stopTimeout)
			if name == "gateway" {
				return errors.New("stuck")
			}
			return nil
		})
	}
	c.run()
	c.run() // a second time does nothing
	require.Equal(t, []string{"listener", "gateway", "store"}, order)
	require.Contains(t, string(logs.Bytes()), "part=gateway")
}

// TestNew_PostgreSQLNeedsTheFolderToo: the admin socket lives there.
func TestNew_PostgreSQLNeedsTheFolderToo(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(pgtest.URL(t))
	require.NoError(t, err)
	password, _ := address.User.Password()
	address.User = url.User(address.User.Username())
	r := newRig(t, strings.Replace(roles, "data_dir: data",
		"data_dir: deep/below/data\nstorage: {url: \""+address.String()+"\", password_file: password, encryption_key_file: key}", 1))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "password"), []byte(password+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "key"), []byte(strings.Repeat("42", 32)+"\n"), 0o600))
	require.NoError(t, r.build(t))
	info, err := os.Stat(filepath.Join(r.dir, "deep", "below", "data"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), "nobody else may reach the socket")
	_, err = os.Stat(filepath.Join(r.dir, "deep", "below", "data", "admin.sock"))
	require.NoError(t, err)
	r.Stop()
}
