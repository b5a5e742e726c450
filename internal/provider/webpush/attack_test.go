package webpush

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/push"
)

// trap is an HTTPS service on loopback that counts accepted connections: the only honest proof that nothing was dialled.
type trap struct {
	net.Listener
	accepted atomic.Int64
	server   *httptest.Server
	port     string
}

// Accept counts.
func (l *trap) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

func newTrap(t *testing.T, h http.HandlerFunc) *trap {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	l := &trap{Listener: server.Listener, server: server}
	server.Listener = l
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	l.port = port
	return l
}

// resolver answers every A question with what the test says at that moment.
func resolver(t *testing.T, answer func(name string, asked int) []string) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = server.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for asked := 0; ; {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
			if q.Type == dnsmessage.TypeA {
				for _, ip := range answer(strings.TrimSuffix(q.Name.String(), "."), asked) {
					out.Answers = append(out.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(ip).To4())},
					})
				}
				asked++
			}
			if packed, err := out.Pack(); err == nil {
				_, _ = server.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// careless returns a provider whose allow-list lets every host through, so that only the judgement of addresses is left,
// with the trap's port open to everybody.
func careless(t *testing.T, l *trap, o egress.Options) *Client {
	t.Helper()
	port, err := strconv.ParseUint(l.port, 10, 16)
	require.NoError(t, err)
	cfg := DefaultConfig()
	cfg.VAPIDPrivateKeyFile, cfg.Contact = vapidFile(t), "mailto:ops@example.com"
	cfg.AllowedHosts = []string{"*", "*:" + l.port}
	cfg.Check(func(path, problem string) { t.Errorf("%s: %s", path, problem) })
	require.Equal(t, []uint16{uint16(port)}, cfg.Ports())
	c, err := New(cfg, Options{HTTP: guarded(t, cfg, o)})
	require.NoError(t, err)
	return c
}

func aim(t *testing.T, c *Client, endpoint string) (push.Outcome, error) {
	t.Helper()
	p256dh, auth := browser(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return c.Send(ctx, push.Notification{
		Device: device(t, p256dh, map[string]any{"endpoint": endpoint, "auth": auth}), Event: event(`{}`),
	}, push.Hash{})
}

// TestAttacks_ZeroConnections is the list of facts 3.1, and what else is known, through the whole provider: every address
// leads to a live listener on loopback, and none may reach it.
func TestAttacks_ZeroConnections(t *testing.T) {
	t.Parallel()
	l := newTrap(t, func(http.ResponseWriter, *http.Request) {})
	names := resolver(t, func(name string, asked int) []string {
		switch {
		case name == "inside.example":
			return []string{"127.0.0.1"}
		case name == "metadata.example":
			return []string{"169.254.169.254"}
		case name == "mixed.example":
			return []string{"127.0.0.1", "10.0.0.1", "192.168.0.1"}
		case name == "flip.example" && asked%2 == 0: // the check and the dial see different answers, if they ask twice
			return []string{"0.0.0.0"}
		default:
			return []string{"127.0.0.1"}
		}
	})
	c := careless(t, l, egress.Options{Resolver: names})
	p := ":" + l.port
	for _, endpoint := range []string{
		"https://127.0.0.1" + p + "/x", "https://localhost" + p + "/x", "https://[::1]" + p + "/x", "https://[::ffff:127.0.0.1]" + p + "/x",
		"https://[::ffff:7f00:1]" + p + "/x", "https://[64:ff9b::7f00:1]" + p + "/x", "https://[::127.0.0.1]" + p + "/x",
		"https://2130706433" + p + "/x", "https://0177.0.0.1" + p + "/x", "https://0x7f000001" + p + "/x", "https://0x7f.1" + p + "/x",
		"https://127.1" + p + "/x", "https://0" + p + "/x", "https://0.0.0.0" + p + "/x", "https://[::]" + p + "/x",
		"https://169.254.169.254" + p + "/latest/meta-data", "https://[fd00:ec2::254]" + p + "/x", "https://[fe80::1%25lo]" + p + "/x",
		"https://10.0.0.1" + p + "/x", "https://100.64.0.1" + p + "/x", "https://192.168.1.1" + p + "/x", "https://[fc00::1]" + p + "/x",
		"https://inside.example" + p + "/x", "https://metadata.example" + p + "/x", "https://mixed.example" + p + "/x",
		"https://flip.example" + p + "/x", "https://INSIDE.example." + p + "/x",
		"http://127.0.0.1" + p + "/x", "https://push.example@127.0.0.1" + p + "/x", "https://127.0.0.1" + p + "#@push.example/",
		"https://127.0.0.1" + p + "\\@push.example/", "https://push.example" + p + "@127.0.0.1" + p + "/x",
		"file:///etc/passwd", "gopher://127.0.0.1" + p, "//127.0.0.1" + p + "/x", "https:127.0.0.1" + p, "https:///x",
	} {
		for range 2 { // the second time what the first has left in a cache would show
			out, err := aim(t, c, endpoint)
			require.Zero(t, out, endpoint)
			fault, ok := errors.AsType[*push.Fault](err)
			require.True(t, ok, endpoint)
			require.Equal(t, push.FaultMessage, fault.Kind, endpoint)
			require.Equal(t, reasonBadEndpoint, fault.Reason, endpoint)
		}
	}
	require.Zero(t, l.accepted.Load())
}

// TestAttacks_TheTrapIsLive: the zero above means something only if the same request arrives where it is allowed to.
func TestAttacks_TheTrapIsLive(t *testing.T) {
	t.Parallel()
	l := newTrap(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	out, err := aim(t, careless(t, l, loopback()), "https://127.0.0.1:"+l.port+"/x")
	require.NoError(t, err)
	require.Equal(t, push.Outcome{Reason: reasonTransport}, out, "its certificate is not trusted")
	require.EqualValues(t, 1, l.accepted.Load())
}

// TestAttacks_RedirectLeadsNowhere: a service that is allowed points inside.
func TestAttacks_RedirectLeadsNowhere(t *testing.T) {
	t.Parallel()
	inside := newTrap(t, func(http.ResponseWriter, *http.Request) {})
	for _, status := range []int{301, 302, 303, 307, 308} {
		outside := newTrap(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://127.0.0.1:"+inside.port+"/x")
			w.WriteHeader(status)
		})
		c := careless(t, outside, loopback())
		c.vapid.next = trusting{outside}
		_, err := aim(t, c, "https://127.0.0.1:"+outside.port+"/x")
		fault, ok := errors.AsType[*push.Fault](err)
		require.True(t, ok)
		require.Equal(t, reasonRedirect, fault.Reason)
		require.EqualValues(t, 1, outside.accepted.Load())
	}
	require.Zero(t, inside.accepted.Load())
}

// trusting is the guarded client with the trap's own authority.
type trusting struct{ l *trap }

// Do makes one request.
func (h trusting) Do(req *http.Request) (*http.Response, error) {
	guard, err := egress.NewGuard(loopback())
	if err != nil {
		return nil, err
	}
	c := guard.Client(egress.ClientOptions{TLS: h.l.server.Client().Transport.(*http.Transport).TLSClientConfig})
	defer c.CloseIdleConnections()
	return c.Do(req)
}

// TestAttacks_TheEnvironmentsProxyIsNotAsked: whoever sets HTTPS_PROXY for APNs need not want strangers' addresses there.
func TestAttacks_TheEnvironmentsProxyIsNotAsked(t *testing.T) {
	l := newTrap(t, func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:"+l.port)
	}
	c := careless(t, l, egress.Options{Resolver: resolver(t, func(string, int) []string { return []string{"127.0.0.1"} })})
	_, err := aim(t, c, "https://push.example/x")
	require.Error(t, err)
	require.Zero(t, l.accepted.Load())
}

// TestAttacks_AnAnswerWithoutEndIsNotRead bounds what a service can make us read.
func TestAttacks_AnAnswerWithoutEndIsNotRead(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	l := newTrap(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.WriteHeader(http.StatusCreated)
		chunk := make([]byte, 32<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	c := careless(t, l, loopback())
	c.vapid.next = trusting{l}
	out, err := aim(t, c, "https://127.0.0.1:"+l.port+"/x")
	require.NoError(t, err)
	require.Equal(t, push.Delivered, out.Verdict)
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Fatal("the service still writes")
	}
}

// FuzzSubscription_IsNeverAnErrorOfOurs: whatever a stranger registers ends as a verdict or a message fault, and never
// leaves the house.
func FuzzSubscription_IsNeverAnErrorOfOurs(f *testing.F) {
	for _, data := range []string{
		`{"endpoint":"https://127.0.0.1/x","auth":"AAAAAAAAAAAAAAAAAAAAAA"}`, `{"endpoint":"https://[::1]/x"}`, `null`, ``, `[]`, `{"endpoint":5,"auth":{}}`,
		`{"endpoint":"https://xn--/%","auth":"AAAAAAAAAAAAAAAAAAAAAA","default_payload":{"a":[1e999]},"events_only":true,"only_last_per_room":1}`,
		`{"endpoint":"https://push.example:99999/","auth":"AAAAAAAAAAAAAAAAAAAAAA=="}`, `{"Endpoint":"https://fcm.googleapis.com/x"}`,
	} {
		f.Add(data, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
	}
	f.Fuzz(func(t *testing.T, data, key string) {
		guard, err := egress.NewGuard(egress.Options{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no names here")
		}}})
		require.NoError(t, err)
		c := &Client{vapid: newVAPID(deaf{guard}, time.Now), now: time.Now, counts: true, contact: "ops@example.com", topicKey: []byte("k"), allowed: []string{"*"}}
		out, err := c.Send(t.Context(), push.Notification{Device: push.Device{Pushkey: push.Pushkey(key), Data: push.Object(data)}, Event: event(`{}`)}, push.Hash{})
		require.NotEqual(t, push.Rejected, out.Verdict)
		require.NotEqual(t, push.Delivered, out.Verdict)
		if err == nil {
			return
		}
		fault, ok := errors.AsType[*push.Fault](err)
		require.True(t, ok)
		require.Equal(t, push.FaultMessage, fault.Kind)
		text, err := json.Marshal(fault.Error())
		require.NoError(t, err)
		if len(key) > 8 {
			require.NotContains(t, string(text), key)
		}
	})
}

// deaf judges URLs as the guard does and goes no further.
type deaf struct{ guard *egress.Guard }

// Do never sends.
func (h deaf) Do(req *http.Request) (*http.Response, error) {
	if err := h.guard.CheckURL(req.URL); err != nil {
		return nil, err
	}
	return nil, errors.New("unreachable")
}
