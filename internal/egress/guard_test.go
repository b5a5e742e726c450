package egress_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/pushgate/pushgate/internal/egress"
)

// counting counts accepted connections: the only honest proof that nothing was dialled.
type counting struct {
	net.Listener
	accepted atomic.Int64
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// service is an HTTPS server on loopback.
type service struct {
	*httptest.Server
	listener *counting
	port     string
	roots    *x509.CertPool
}

func newService(t *testing.T, h http.HandlerFunc) *service {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	l := &counting{Listener: server.Listener}
	server.Listener = l
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &service{server, l, port, roots}
}

// names is a DNS server on loopback whose answers may change from question to question.
func names(t *testing.T, answer func(name string, question int) []string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		for asked := 0; ; {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil || len(q.Questions) != 1 {
				continue
			}
			var ips []string
			if q.Questions[0].Type == dnsmessage.TypeA {
				ips = answer(strings.TrimSuffix(q.Questions[0].Name.String(), "."), asked)
				asked++
			}
			packed, err := reply(q, ips).Pack()
			if err == nil {
				_, _ = pc.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func reply(q dnsmessage.Message, ips []string) *dnsmessage.Message {
	m := &dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true}, Questions: q.Questions}
	for _, ip := range ips {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(ip).To4())},
		})
	}
	return m
}

func guard(t *testing.T, o egress.Options) *egress.Guard {
	t.Helper()
	g, err := egress.NewGuard(o)
	require.NoError(t, err)
	return g
}

func post(t *testing.T, c *egress.Client, target string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader("body"))
	require.NoError(t, err)
	resp, err := c.Do(req)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

// TestGuard_Attacks is the list of facts 3.1 and what else is known. Each address leads to a live listener on loopback,
// on the port that is open to strangers, and none may reach it.
func TestGuard_Attacks(t *testing.T) {
	t.Parallel()
	s := newService(t, func(http.ResponseWriter, *http.Request) {})
	port, err := strconv.ParseUint(s.port, 10, 16)
	require.NoError(t, err)
	flip := names(t, func(name string, question int) []string {
		switch {
		case name == "inside.example":
			return []string{"127.0.0.1"}
		case name == "mixed.example":
			return []string{"127.0.0.1", "127.0.0.1", "10.0.0.1", "169.254.169.254"}
		case name == "rebind.example" && question%2 == 0:
			return []string{"0.0.0.0"}
		default:
			return []string{"127.0.0.1"}
		}
	})
	g := guard(t, egress.Options{Ports: []uint16{uint16(port)}, Resolver: flip})
	c := g.Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots}})
	for _, host := range []string{
		"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "0", "0.0.0.0",
		"[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]",
		"[2002:7f00:1::]", "[fe80::1%25lo]", "[::1%25lo]", "localhost", "localhost.", "LOCALHOST", "inside.example", "inside.example.",
		"mixed.example", "rebind.example", "rebind.example", "rebind.example", "169.254.169.254", "[fd00:ec2::254]", "user@127.0.0.1",
	} {
		t.Run(host, func(t *testing.T) {
			target := "https://" + host + ":" + s.port + "/c4n4ry-path"
			resp, err := post(t, c, target)
			require.Error(t, err)
			require.Nil(t, resp)
			var refused *egress.Refused
			require.ErrorAs(t, err, &refused, "must be refused by the rules, not fail by chance")
			require.NotContains(t, err.Error(), "c4n4ry")
		})
	}
	require.Zero(t, s.listener.accepted.Load(), "a connection was made")
}

func TestGuard_RefusesWhatIsNotPlainHTTPS(t *testing.T) {
	t.Parallel()
	g := guard(t, egress.Options{})
	for _, c := range []struct{ url, reason string }{
		{"http://push.example/x", "not https"},
		{"HTTP://push.example/x", "not https"},
		{"ftp://push.example/x", "not https"},
		{"file:///etc/passwd", "not https"},
		{"gopher://push.example/x", "not https"},
		{"//push.example/x", "not https"},
		{"https:opaque", "no host"},
		{"https:///path", "no host"},
		{"https://:443/", "no host"},
		{"https://user:pw@push.example/", "holds a user name"},
		{"https://user@push.example/", "holds a user name"},
		{"https://push.example:22/", "port"},
		{"https://push.example:80/", "port"},
		{"https://push.example:0/", "port"},
		{"https://push.example:65536/", "port"},
		{"https://8.8.8.8:8443/", "port"},
		{"https://[2a00:1450:4001:830::200a]:8443/", "port"},
		{"https://2130706433/", "not a host name"},
		{"https://10.0.0.1/", "address is not public"},
		{"https://[fe80::1%25eth0]/", "address is not public"},
	} {
		t.Run(c.url, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(c.url)
			require.NoError(t, err)
			require.EqualError(t, g.CheckURL(u), "egress refused: "+c.reason)
		})
	}
	require.Error(t, g.CheckURL(nil))
	for _, ok := range []string{"https://push.example/x", "https://push.example:443/x", "https://8.8.8.8/", "HTTPS://Push.Example/"} {
		u, err := url.Parse(ok)
		require.NoError(t, err)
		require.NoError(t, g.CheckURL(u), ok)
	}
}

func TestGuard_RedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	t.Parallel()
	inside := newService(t, func(http.ResponseWriter, *http.Request) {})
	for _, status := range []int{301, 302, 303, 307, 308} {
		outside := newService(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL+"/inside", status) })
		g := guard(t, egress.Options{Config: egress.Config{AllowNetworks: []string{"127.0.0.0/8"}}})
		resp, err := post(t, g.Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: outside.roots}}), outside.URL)
		require.NoError(t, err)
		require.Equal(t, status, resp.StatusCode)
	}
	require.Zero(t, inside.listener.accepted.Load())
}

func TestGuard_AllowedNetworksMayBeDialledOnAnyPort(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	resolver := names(t, func(string, int) []string { return []string{"127.0.0.1"} })
	g := guard(t, egress.Options{Config: egress.Config{AllowNetworks: []string{"127.0.0.1"}}, Resolver: resolver})
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "[64:ff9b::127.0.0.1]", "example.com"} {
		t.Run(host, func(t *testing.T) {
			if strings.HasPrefix(host, "[64") {
				t.Skip("no NAT64 gateway on loopback; address_test.go has the rule")
			}
			c := g.Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots, ServerName: "example.com"}})
			resp, err := post(t, c, "https://"+host+":"+s.port+"/")
			require.NoError(t, err)
			require.Equal(t, http.StatusCreated, resp.StatusCode)
			require.Equal(t, 2, resp.ProtoMajor, "HTTP/2")
		})
	}
	_, err := post(t, g.Client(egress.ClientOptions{}), "https://127.0.0.2:"+s.port+"/")
	require.ErrorContains(t, err, "not public")
}

func TestGuard_IgnoresTheEnvironmentsProxy(t *testing.T) {
	proxy := newService(t, func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	s := newService(t, func(http.ResponseWriter, *http.Request) {})
	resolver := names(t, func(string, int) []string { return []string{"127.0.0.1"} })
	g := guard(t, egress.Options{Config: egress.Config{AllowNetworks: []string{"127.0.0.1"}}, Resolver: resolver})
	_, err := post(t, g.Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots}}), "https://example.com:"+s.port+"/")
	require.NoError(t, err)
	require.Zero(t, proxy.listener.accepted.Load())
	require.Equal(t, int64(1), s.listener.accepted.Load())
}

func TestClient_BodyLimit(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		_, _ = io.WriteString(w, strings.Repeat("x", n))
	})
	g := guard(t, egress.Options{Config: egress.Config{AllowNetworks: []string{"127.0.0.1"}}})
	c := g.Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots}, MaxBody: 1000})
	for _, n := range []int{0, 999, 1000, 1001, 100_000} {
		resp, err := post(t, c, s.URL+"/?n="+strconv.Itoa(n))
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.Len(t, body, min(n, 1000))
		if n <= 1000 {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, egress.ErrTooLarge)
		_, err = resp.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, egress.ErrTooLarge, "and stays so")
	}
}

func TestClient_CompressedAnswersStayAsTheyAre(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Accept-Encoding", r.Header.Get("Accept-Encoding"))
	})
	g := guard(t, egress.Options{Config: egress.Config{AllowNetworks: []string{"127.0.0.1"}}})
	resp, err := post(t, g.Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots}}), s.URL)
	require.NoError(t, err)
	require.Empty(t, resp.Header.Get("X-Accept-Encoding"), "the transport must not ask for compression, and so not undo it")
}

func TestClient_Errors(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry-path"
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("do") {
		case "hang":
			<-block
		case "abort":
			panic(http.ErrAbortHandler)
		case "headers":
			w.Header().Set("X-Large", strings.Repeat("x", 64<<10))
		}
	})
	allow := egress.Config{AllowNetworks: []string{"127.0.0.1"}}
	nobody := guard(t, egress.Options{Config: allow, Resolver: names(t, func(string, int) []string { return nil })})
	trusting := guard(t, egress.Options{Config: allow}).Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots}})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for _, c := range []struct {
		name   string
		client *egress.Client
		url    string
		want   string
	}{
		{"timeout", guard(t, egress.Options{Config: allow}).Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots}, Timeout: 50 * time.Millisecond}), s.URL + "/?do=hang", ": timeout"},
		{"reset", trusting, s.URL + "/?do=abort", "egress: request: "},
		{"large headers", trusting, s.URL + "/?do=headers", "egress: request: "},
		{"unknown authority", guard(t, egress.Options{Config: allow}).Client(egress.ClientOptions{}), s.URL, "egress: request: certificate not trusted"},
		{"address in another spelling", trusting, "https://[::ffff:127.0.0.1]:" + s.port, ""},
		{"no such name", nobody.Client(egress.ClientOptions{}), "https://nobody-c4n4ry.example:1", "egress: dial: name not resolved"},
		{"connection refused", trusting, "https://" + closed.Addr().String(), "egress: dial: connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := c.url
			if strings.Contains(target, "?") {
				target += "&p=" + canary
			} else {
				target += "/" + canary
			}
			_, err := post(t, c.client, target)
			if c.want == "" {
				require.NoError(t, err) // 127.0.0.1 in another spelling
				return
			}
			require.ErrorContains(t, err, c.want)
			for e := err; e != nil; {
				if _, ours := e.(*egress.Error); ours { //nolint:errorlint // this layer only
					require.NotContains(t, e.Error(), "c4n4ry")
				}
				e = errors.Unwrap(e)
			}
		})
	}
}

func TestClient_TimeoutIsATimeout(t *testing.T) {
	t.Parallel()
	s := newService(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	g := guard(t, egress.Options{Config: egress.Config{AllowNetworks: []string{"127.0.0.1"}}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	require.NoError(t, err)
	_, err = g.Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots}}).Do(req) // there is none
	var e *egress.Error
	require.ErrorAs(t, err, &e)
	require.True(t, e.Timeout())
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func FuzzCheckURL(f *testing.F) {
	for _, u := range []string{"https://push.example/", "https://127.0.0.1", "https://[::1]:443", "https://0x7f.1/", "https://a@b/", "https://%6c/", "https://１２７.0.0.1/"} {
		f.Add(u)
	}
	g, err := egress.NewGuard(egress.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil || g.CheckURL(u) != nil {
			return
		}
		// What may pass to the dialler is an https URL on port 443 whose host is a name or a public address.
		require.Equal(t, "https", u.Scheme)
		require.Contains(t, []string{"", "443"}, u.Port())
		if ip := net.ParseIP(strings.Trim(u.Hostname(), "[]")); ip != nil {
			require.False(t, ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast())
		}
	})
}
