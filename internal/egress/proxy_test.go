package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tunnel is a CONNECT proxy. It leads every tunnel to one place, whatever was asked for, and remembers what was.
type tunnel struct {
	*httptest.Server
	listener *counting
	mu       sync.Mutex
	asked    []string
	auth     []string
}

func (p *tunnel) targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func newTunnel(t *testing.T, secure bool, to string, answer func(w http.ResponseWriter, r *http.Request) bool) *tunnel {
	t.Helper()
	p := &tunnel{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Method+" "+r.Host)
		p.auth = append(p.auth, r.Header.Get("Proxy-Authorization"))
		p.mu.Unlock()
		if answer != nil && !answer(w, r) {
			return
		}
		p.relay(w, to)
	}))
	p.listener = &counting{Listener: p.Listener}
	p.Listener = p.listener
	if secure {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

func (p *tunnel) relay(w http.ResponseWriter, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = out.Close() }()
	in, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = in.Close() }()
	_, _ = io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
	done := make(chan struct{})
	go func() { _, _ = io.Copy(out, buffered); _ = out.Close(); close(done) }()
	_, _ = io.Copy(in, out)
	_ = in.Close()
	<-done
}

func dialer(t *testing.T, o egress.DialerOptions) *egress.Dialer {
	t.Helper()
	d, err := egress.NewDialer(o)
	require.NoError(t, err)
	return d
}

// fetch makes one HTTPS request over a connection that d opened.
func fetch(t *testing.T, d *egress.Dialer, s *service, address string) (int, error) {
	t.Helper()
	tr := &http.Transport{
		DialContext: d.DialContext, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: s.roots, ServerName: "example.com"},
	}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("https://" + address + "/")
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

func TestDialer_Tunnel(t *testing.T) {
	t.Parallel()
	const password = "c4n4ry-password:with:colons"
	s := newService(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, secure := range []bool{false, true} {
		p := newTunnel(t, secure, s.Listener.Addr().String(), nil)
		file := filepath.Join(t.TempDir(), "password")
		require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
		o := egress.DialerOptions{Config: egress.Config{Proxy: p.URL}}
		if secure {
			o.ProxyTLS = &tls.Config{RootCAs: poolOf(p.Server)}
		}
		status, err := fetch(t, dialer(t, o), s, "api.push.example:443")
		require.NoError(t, err)
		require.Equal(t, http.StatusTeapot, status)

		o.Config.Proxy = strings.Replace(p.URL, "://", "://jane%40corp@", 1)
		o.Config.ProxyPasswordFile = file
		_, err = fetch(t, dialer(t, o), s, "127.0.0.1:2197")
		require.NoError(t, err)
		require.Equal(t, []string{"CONNECT api.push.example:443", "CONNECT 127.0.0.1:2197"}, p.targets())
		require.Equal(t, []string{"", "Basic " + base64.StdEncoding.EncodeToString([]byte("jane@corp:"+password))}, p.auth)
	}
}

func TestDialer_ProxySaysNo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		want   string
	}{
		{407, "egress: proxy: proxy wants other credentials"},
		{403, "egress: proxy: proxy refuses this host"},
		{502, "egress: proxy: proxy cannot connect"},
		{301, "egress: proxy: proxy cannot connect"},
	} {
		p := newTunnel(t, false, "", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, "c4n4ry: you asked for secret.example")
			return false
		})
		_, err := dialer(t, egress.DialerOptions{Config: egress.Config{Proxy: p.URL}}).DialContext(t.Context(), "tcp", "secret.example:443")
		require.EqualError(t, err, c.want)
		var pe *egress.ProxyError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, c.status, pe.Status)
	}
}

// raw serves every connection with f and ends when the test does.
func raw(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer func() { _ = c.Close() }(); f(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().String()
}

func readRequest(c net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(c)) }

func TestDialer_OddProxies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		talk func(net.Conn)
	}{
		{"hangs up", func(c net.Conn) { readRequest(c) }},
		{"speaks something else", func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, "220 mail ready\r\n\r\n") }},
		{"endless header", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(c, "X: "+strings.Repeat("y", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := dialer(t, egress.DialerOptions{Config: egress.Config{Proxy: "http://" + raw(t, c.talk)}})
			conn, err := d.DialContext(t.Context(), "tcp", "host.example:443")
			require.ErrorContains(t, err, "egress: proxy: ")
			require.NotContains(t, err.Error(), "host.example")
			require.Nil(t, conn)
		})
	}
}

func TestDialer_CallerGivesUpOnASilentProxy(t *testing.T) {
	t.Parallel()
	heard := make(chan struct{})
	address := raw(t, func(c net.Conn) {
		readRequest(c)
		close(heard)
		_, _ = io.Copy(io.Discard, c) // until the other side closes
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-heard; cancel() }()
	_, err := dialer(t, egress.DialerOptions{Config: egress.Config{Proxy: "http://" + address}}).DialContext(ctx, "tcp", "host.example:443")
	require.ErrorIs(t, err, context.Canceled)
}

func TestDialer_KeepsWhatTheOtherSideSaidEarly(t *testing.T) {
	t.Parallel()
	address := raw(t, func(c net.Conn) {
		readRequest(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nearly bird")
		_, _ = io.WriteString(c, " and the rest")
	})
	conn, err := dialer(t, egress.DialerOptions{Config: egress.Config{Proxy: "http://" + address}}).DialContext(t.Context(), "tcp", "host.example:443")
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "early bird and the rest", string(text))
}

func TestDialer_TunnelHasNoDeadlineLeft(t *testing.T) {
	t.Parallel()
	s := newService(t, func(http.ResponseWriter, *http.Request) {})
	p := newTunnel(t, false, s.Listener.Addr().String(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := dialer(t, egress.DialerOptions{Config: egress.Config{Proxy: p.URL}}).DialContext(ctx, "tcp", "host.example:443")
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	cancel() // the end of the dial's context is not the end of the connection
	secure := tls.Client(conn, &tls.Config{RootCAs: s.roots, ServerName: "example.com"})
	require.NoError(t, secure.HandshakeContext(t.Context()))
}

func TestGuard_ThroughAProxyNamesAreTheProxysAffair(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	p := newTunnel(t, false, s.Listener.Addr().String(), nil)
	noQuestions := names(t, func(name string, _ int) []string { t.Errorf("resolved %s", name); return nil })
	g := guard(t, egress.Options{Config: egress.Config{Proxy: p.URL}, Resolver: noQuestions})
	c := g.Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots, ServerName: "example.com"}})
	resp, err := post(t, c, "https://push.example/x")
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	require.Equal(t, []string{"CONNECT push.example:443"}, p.targets())

	// What can be told from the URL alone is still refused before the proxy hears of it.
	for _, bad := range []string{"https://127.0.0.1/", "https://169.254.169.254/", "https://[::1]/", "https://push.example:8443/", "https://2130706433/", "http://push.example/"} {
		_, err := post(t, c, bad)
		var refused *egress.Refused
		require.ErrorAs(t, err, &refused, bad)
	}
	require.Len(t, p.targets(), 1)
}

func TestGuard_AllowedAddressesAreDialledPastTheProxy(t *testing.T) {
	t.Parallel()
	s := newService(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	p := newTunnel(t, false, s.Listener.Addr().String(), nil)
	g := guard(t, egress.Options{Config: egress.Config{Proxy: p.URL, AllowNetworks: []string{"127.0.0.0/8"}}})
	resp, err := post(t, g.Client(egress.ClientOptions{TLS: &tls.Config{RootCAs: s.roots}}), s.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	require.Empty(t, p.targets())
}

func TestConfig_Check(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(file, []byte("secret\n"), 0o600))
	for _, c := range []struct {
		name   string
		config egress.Config
		want   []string
	}{
		{"defaults", egress.DefaultConfig(), nil},
		{"networks", egress.Config{AllowNetworks: []string{"10.0.0.0/8", "::1", "10.0.0.300", "house"}}, []string{
			"allow_networks[2]: must be a network like 10.0.0.0/8 or an address", "allow_networks[3]: must be a network like 10.0.0.0/8 or an address"}},
		{"proxy", egress.Config{Proxy: "http://proxy.example:3128"}, nil},
		{"proxy with a user", egress.Config{Proxy: "https://jane@proxy.example", ProxyPasswordFile: file}, nil},
		{"no scheme", egress.Config{Proxy: "proxy.example:3128"}, []string{"proxy: must be a URL like http://proxy.example:3128"}},
		{"socks", egress.Config{Proxy: "socks5://proxy.example:3128"}, []string{"proxy: must begin with http:// or https://"}},
		{"path", egress.Config{Proxy: "http://proxy.example/x"}, []string{"proxy: must not have a path"}},
		{"inline password", egress.Config{Proxy: "http://jane:c4n4ry@proxy.example"}, []string{"proxy: must not hold a password: write it into proxy_password_file"}},
		{"password without a user", egress.Config{Proxy: "http://proxy.example", ProxyPasswordFile: file}, []string{"proxy: needs a user (http://user@host:port) for proxy_password_file"}},
		{"password without a proxy", egress.Config{ProxyPasswordFile: file}, []string{"proxy_password_file: needs proxy"}},
		{"no file", egress.Config{Proxy: "http://jane@proxy.example", ProxyPasswordFile: file + "x"}, []string{"proxy_password_file: not readable"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			c.config.Check(func(path, problem string) { got = append(got, path+": "+problem) })
			require.Equal(t, c.want, got)
			if len(c.want) == 0 {
				_, err := egress.NewGuard(egress.Options{Config: c.config})
				require.NoError(t, err)
			}
		})
	}
}

func TestConfig_FingerprintFollowsThePassword(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	c := egress.Config{Proxy: "http://user@proxy.example:3128", ProxyPasswordFile: file}
	seen := map[string]bool{c.Fingerprint(): true}
	for _, password := range []string{"one", "two"} {
		require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
		require.False(t, seen[c.Fingerprint()])
		require.Equal(t, c.Fingerprint(), c.Fingerprint())
		seen[c.Fingerprint()] = true
	}
	c.AllowNetworks = []string{"10.0.0.0/8"}
	require.False(t, seen[c.Fingerprint()])
}

func TestKind(t *testing.T) {
	t.Parallel()
	require.Equal(t, "none", egress.Kind(nil))
	require.Equal(t, "failed", egress.Kind(errors.New("c4n4ry")))
	require.Equal(t, "connection closed", egress.Kind(io.ErrUnexpectedEOF))
	require.Equal(t, "refused by the rules", egress.Kind(&egress.Refused{Reason: "port"}))
}

func poolOf(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}
