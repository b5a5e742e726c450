package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a wall clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a server with everything it needs, and an authority that its callers come from.
type world struct {
	dir     string
	ca      *Authority // of the server and, at first, of the callers
	config  ServerConfig
	server  *Server
	clock   *clock
	address string
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}

func authority(t *testing.T, name string) *Authority { return must[*Authority](t)(NewAuthority(name)) }

func client(t *testing.T, a *Authority, names ...string) *Pair {
	return must[*Pair](t)(a.Client(names...))
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	// Replaced like operators and Kubernetes do: never half-written.
	require.NoError(t, os.WriteFile(name+".new", text, 0o600))
	require.NoError(t, os.Rename(name+".new", name))
	return name
}

// newWorld starts an HTTPS server that tells who called.
func newWorld(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), ca: authority(t, "house"), clock: &clock{now: time.Now()}}
	pair := must[*Pair](t)(w.ca.Server())
	cert, key, err := pair.Write(w.dir, "server")
	require.NoError(t, err)
	w.config = ServerConfig{CertFile: cert, KeyFile: key, ClientCAFile: write(t, filepath.Join(w.dir, "ca.crt"), w.ca.CertPEM())}
	for _, f := range change {
		f(w)
	}
	w.server = must[*Server](t)(NewServer(ServerOptions{Config: w.config, Logger: slog.New(slog.DiscardHandler), Now: w.clock.Now}))
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	w.address = l.Addr().String()
	srv := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Proto", r.Proto)
		if len(r.TLS.VerifiedChains) > 0 {
			rw.Header().Set("X-Caller", r.TLS.VerifiedChains[0][0].Subject.CommonName)
		}
		if r.TLS.DidResume {
			rw.Header().Set("X-Resumed", "yes")
		}
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(w.server.Listen(l)) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return w
}

// caller is one client with its own connections and session tickets.
type caller struct {
	http *http.Client
	url  string
}

func (w *world) caller(t *testing.T, p *Pair, version uint16) *caller {
	t.Helper()
	conf := &tls.Config{RootCAs: w.ca.Pool(), MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if p != nil {
		pair := must[tls.Certificate](t)(p.TLS())
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &caller{&http.Client{Transport: tr}, "https://" + w.address}
}

func (c *caller) get(t *testing.T) (http.Header, error) {
	t.Helper()
	resp, err := c.http.Get(c.url)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.Header, nil
}

// hangUp makes the next get open a new connection, with the session ticket of the old one.
func (c *caller) hangUp() { c.http.CloseIdleConnections() }

func versions() map[string]uint16 {
	return map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}
}

func TestServer_WhoMayCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	expired := must[*Pair](t)(w.ca.issue([]string{"late.example"}, x509.ExtKeyUsageClientAuth, -time.Minute))
	for name, version := range versions() {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				name   string
				pair   *Pair
				caller string
				fails  bool
			}{
				{"without a certificate", nil, "", false},
				{"with a certificate", client(t, w.ca, "fd.example"), "fd.example", false},
				{"of a stranger", client(t, authority(t, "stranger"), "fd.example"), "", true},
				{"of a namesake of the authority", client(t, authority(t, "house"), "fd.example"), "", true},
				{"of a server", must[*Pair](t)(w.ca.Server("fd.example")), "", true},
				{"expired", expired, "", true},
			} {
				t.Run(c.name, func(t *testing.T) {
					h, err := w.caller(t, c.pair, version).get(t)
					if c.fails {
						require.Error(t, err)
						return
					}
					require.NoError(t, err)
					require.Equal(t, c.caller, h.Get("X-Caller"))
					require.Equal(t, "HTTP/2.0", h.Get("X-Proto"))
				})
			}
		})
	}
	_, err := w.caller(t, nil, tls.VersionTLS11).get(t)
	require.Error(t, err, "TLS 1.1")
}

func TestServer_WithoutAuthoritiesNobodyIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.ClientCAFile = "" })
	require.False(t, w.server.AsksClients())
	h, err := w.caller(t, client(t, w.ca, "fd.example"), tls.VersionTLS13).get(t)
	require.NoError(t, err)
	require.Empty(t, h.Get("X-Caller"))
}

func TestServer_ReloadEndsTrustInLiveConnections(t *testing.T) {
	t.Parallel()
	for name, version := range versions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			next := authority(t, "next")
			old, anonymous := w.caller(t, client(t, w.ca, "old.example"), version), w.caller(t, nil, version)
			fresh := w.caller(t, client(t, next, "new.example"), version)
			_, err := old.get(t)
			require.NoError(t, err)
			_, err = anonymous.get(t)
			require.NoError(t, err)
			_, err = fresh.get(t)
			require.Error(t, err)

			write(t, w.config.ClientCAFile, next.CertPEM())
			require.NoError(t, w.server.Reload(w.config))

			// The live connection is closed and the session ticket of it is worth nothing.
			_, err = old.get(t)
			require.Error(t, err)
			h, err := fresh.get(t)
			require.NoError(t, err)
			require.Equal(t, "new.example", h.Get("X-Caller"))
			_, err = anonymous.get(t)
			require.NoError(t, err)
		})
	}
}

func TestServer_PrepareChangesNothingUntilItsCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := authority(t, "next")
	fresh := w.caller(t, client(t, next, "new.example"), tls.VersionTLS13)
	write(t, w.config.ClientCAFile, next.CertPEM())
	commit, err := w.server.Prepare(w.config)
	require.NoError(t, err)
	_, err = fresh.get(t)
	require.Error(t, err, "not in force yet")
	write(t, w.config.ClientCAFile, []byte("broken meanwhile"))
	commit()
	h, err := fresh.get(t)
	require.NoError(t, err)
	require.Equal(t, "new.example", h.Get("X-Caller"))
	commit, err = w.server.Prepare(w.config)
	require.Error(t, err)
	require.Nil(t, commit)
}

func TestServer_ReloadKeepsTrustedConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.caller(t, client(t, w.ca, "fd.example"), tls.VersionTLS13)
	_, err := c.get(t)
	require.NoError(t, err)
	before := w.connections()
	require.Len(t, before, 1)
	write(t, w.config.ClientCAFile, append(authority(t, "second").CertPEM(), w.ca.CertPEM()...))
	require.NoError(t, w.server.Reload(w.config))
	_, err = c.get(t)
	require.NoError(t, err)
	require.Equal(t, before, w.connections(), "the same connection")
}

// connections lists what is open.
func (w *world) connections() map[*conn]struct{} {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	all := map[*conn]struct{}{}
	for c := range w.server.open {
		all[c] = struct{}{}
	}
	return all
}

func TestServer_RevokedCertificatesAndTheirSessions(t *testing.T) {
	t.Parallel()
	for name, version := range versions() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.config.CRLFile = write(t, filepath.Join(w.dir, "ca.crl"), must[[]byte](t)(w.ca.CRL()))
			})
			bad, good := client(t, w.ca, "bad.example"), client(t, w.ca, "good.example")
			a, b := w.caller(t, bad, version), w.caller(t, good, version)
			for _, c := range []*caller{a, b} {
				_, err := c.get(t)
				require.NoError(t, err)
				c.hangUp()
				h, err := c.get(t)
				require.NoError(t, err)
				require.Equal(t, "yes", h.Get("X-Resumed"), "the test must exercise resumption")
				require.NotEmpty(t, h.Get("X-Caller"))
			}
			write(t, w.config.CRLFile, must[[]byte](t)(w.ca.CRL(bad)))
			require.NoError(t, w.server.Refresh())
			_, err := a.get(t)
			require.Error(t, err, "a revoked certificate, live and by its ticket")
			_, err = w.caller(t, bad, version).get(t)
			require.Error(t, err, "a revoked certificate, anew")
			b.hangUp()
			h, err := b.get(t)
			require.NoError(t, err)
			require.Equal(t, "yes", h.Get("X-Resumed"))
		})
	}
}

func TestServer_CertificateChangesAndOldOneStaysOnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serial := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", w.address, &tls.Config{RootCAs: w.ca.Pool()})
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	second := must[*Pair](t)(w.ca.issue([]string{"127.0.0.1"}, x509.ExtKeyUsageServerAuth, time.Hour))
	write(t, w.config.CertFile, second.CertPEM)
	require.EqualError(t, w.server.Refresh(), "reload tls files: key_file: does not belong to cert_file")
	require.Equal(t, first, serial(), "half a renewal changes nothing")
	write(t, w.config.KeyFile, second.KeyPEM)
	require.NoError(t, w.server.Refresh())
	require.Equal(t, second.Leaf.SerialNumber.String(), serial())
	require.Equal(t, second.Leaf.NotAfter, w.server.Info().CertificateExpires)

	for _, broken := range []ServerConfig{
		{}, {CertFile: w.config.CertFile, KeyFile: w.config.CertFile}, {CertFile: w.config.CertFile, KeyFile: w.config.KeyFile, ClientCAFile: w.config.KeyFile},
		{CertFile: w.config.CertFile, KeyFile: w.config.KeyFile, ClientCAFile: w.config.ClientCAFile, CRLFile: w.config.CertFile},
	} {
		require.Error(t, w.server.Reload(broken))
		require.Equal(t, second.Leaf.SerialNumber.String(), serial())
	}
}

func TestServer_RefreshEndsConnectionsOfExpiredCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.caller(t, client(t, w.ca, "fd.example"), tls.VersionTLS13)
	_, err := c.get(t)
	require.NoError(t, err)
	w.clock.add(pairLife + time.Minute)
	require.NoError(t, w.server.Refresh())
	require.Empty(t, w.connections())
}

func TestServer_ConcurrentReloadsAndCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pair := client(t, w.ca, "fd.example")
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 4 {
		c := w.caller(t, pair, tls.VersionTLS13)
		all.Go(func() {
			for ctx.Err() == nil {
				c.hangUp()
				if _, err := c.get(t); err != nil {
					t.Errorf("call during reload: %v", err)
					return
				}
			}
		})
	}
	for range 50 {
		require.NoError(t, w.server.Reload(w.config))
	}
	cancel()
	all.Wait()
}

func TestServer_ClosedConnectionsAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		raw, err := net.Dial("tcp", w.address)
		require.NoError(t, err)
		_ = raw.Close() // never shook hands
		c := w.caller(t, nil, tls.VersionTLS13)
		_, err = c.get(t)
		require.NoError(t, err)
		c.hangUp()
	}
	require.Eventually(t, func() bool { return len(w.connections()) == 0 }, 10*time.Second, time.Millisecond)
}

func TestServer_Watch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.server.Watch(ctx, time.Millisecond); close(done) }()
	next := must[*Pair](t)(w.ca.issue([]string{"127.0.0.1"}, x509.ExtKeyUsageServerAuth, time.Hour))
	write(t, w.config.CertFile, next.CertPEM)
	write(t, w.config.KeyFile, next.KeyPEM)
	require.Eventually(t, func() bool { return w.server.Info().CertificateExpires.Equal(next.Leaf.NotAfter) }, 10*time.Second, time.Millisecond)
	cancel()
	<-done
}

func TestClient_TalksToItsServersOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	pair := client(t, w.ca, "gateway-caller.example")
	cert, key, err := pair.Write(dir, "client")
	require.NoError(t, err)
	ca := write(t, filepath.Join(dir, "ca.crt"), w.ca.CertPEM())
	other := write(t, filepath.Join(dir, "other.crt"), authority(t, "other").CertPEM())
	served, err := tls.LoadX509KeyPair(w.config.CertFile, w.config.KeyFile)
	require.NoError(t, err)
	list := func(name string, text []byte, err error) string {
		require.NoError(t, err)
		return write(t, filepath.Join(dir, name), text)
	}
	empty, err1 := w.ca.CRL()
	revoked, err2 := w.ca.CRL(&Pair{Leaf: served.Leaf})
	outdated, err3 := w.ca.list(time.Now().Add(-72*time.Hour), time.Now().Add(-48*time.Hour), nil)
	late, err4 := w.ca.list(time.Now().Add(-72*time.Hour), time.Now().Add(-12*time.Hour), nil)
	foreign, err5 := authority(t, "other").CRL()
	forged, err6 := authority(t, "house").CRL() // the same name and another key
	for _, c := range []struct {
		name   string
		config ClientConfig
		caller string
		want   error
	}{
		{"anonymous", ClientConfig{CAFile: ca}, "", nil},
		{"with a certificate", ClientConfig{CAFile: ca, CertFile: cert, KeyFile: key}, "gateway-caller.example", nil},
		{"list without it", ClientConfig{CAFile: ca, CRLFile: list("a", empty, err1)}, "", nil},
		{"list a little late", ClientConfig{CAFile: ca, CRLFile: list("b", late, err4)}, "", nil},
		{"revoked", ClientConfig{CAFile: ca, CRLFile: list("c", revoked, err2)}, "", errRevoked},
		{"revoked by one of two lists", ClientConfig{CAFile: ca, CRLFile: list("d", append(empty, revoked...), err2)}, "", errRevoked},
		{"outdated list", ClientConfig{CAFile: ca, CRLFile: list("e", outdated, err3)}, "", errOldList},
		{"outdated and current list", ClientConfig{CAFile: ca, CRLFile: list("f", append(outdated, empty...), err1)}, "", nil},
		{"list of somebody else", ClientConfig{CAFile: ca, CRLFile: list("g", foreign, err5)}, "", errNoList},
		{"forged list", ClientConfig{CAFile: ca, CRLFile: list("h", forged, err6)}, "", errForged},
		{"other authority", ClientConfig{CAFile: other}, "", x509.UnknownAuthorityError{}},
		{"system's authorities", ClientConfig{}, "", x509.UnknownAuthorityError{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := must[*Client](t)(NewClient(c.config))
			tr := &http.Transport{TLSClientConfig: k.TLSConfig()}
			defer tr.CloseIdleConnections()
			h, err := (&caller{&http.Client{Transport: tr}, "https://" + w.address}).get(t)
			if c.want == nil {
				require.NoError(t, err)
				require.Equal(t, c.caller, h.Get("X-Caller"))
				return
			}
			var unknown x509.UnknownAuthorityError
			if errors.As(c.want, &unknown) {
				require.ErrorAs(t, err, &unknown)
				return
			}
			require.ErrorIs(t, err, c.want)
		})
	}
}
