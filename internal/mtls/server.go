package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// ServerOptions is what a Server needs.
type ServerOptions struct {
	Config ServerConfig
	Logger *slog.Logger
	// Now is time.Now when nil.
	Now func() time.Time
}

// Server holds the TLS side of one listener: its certificate and the trust in its callers, both replaceable while
// running. It is safe for concurrent use.
//
// Without a client certificate the handshake succeeds, so that the edge can answer 401 in the shape of its API. A
// certificate that does not hold fails the handshake.
type Server struct {
	log     *slog.Logger
	now     func() time.Time
	current atomic.Pointer[snapshot]
	loading sync.Mutex // one change at a time

	mu   sync.Mutex
	open map[*conn]struct{}
}

// snapshot is everything that one Reload replaces. It never changes.
type snapshot struct {
	config ServerConfig
	pair   *tls.Certificate
	roots  *x509.CertPool // nil: client certificates are not asked for
	crl    *revocations   // nil: nothing is looked up
}

// Info is what the metrics show of a listener's certificates. Zero times mean that there is none.
type Info struct {
	CertificateExpires time.Time
	CRLIssued          time.Time // thisUpdate of the oldest list
	CRLExpires         time.Time // nextUpdate of the list that ends first
}

// NewServer reads the files. Errors name the key of the section and never quote a file.
func NewServer(o ServerOptions) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{log: o.Logger, now: o.Now, open: map[*conn]struct{}{}}
	first, err := load(o.Config)
	if err != nil {
		return nil, fmt.Errorf("load tls files: %w", err)
	}
	s.current.Store(first)
	return s, nil
}

func load(c ServerConfig) (*snapshot, error) {
	pair, err := loadPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, err
	}
	s := &snapshot{config: c, pair: pair}
	if c.ClientCAFile == "" {
		return s, nil
	}
	clients, err := loadAuthorities("client_ca_file", c.ClientCAFile)
	if err != nil {
		return nil, err
	}
	s.roots = pool(clients)
	if c.CRLFile != "" {
		if s.crl, err = loadRevocations(c.CRLFile); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Prepare reads the files of c and returns what puts them in force, which cannot fail: for reloads that must take
// everything or nothing. Connections whose client certificate the new authorities or lists do not accept are closed;
// the others go on.
func (s *Server) Prepare(c ServerConfig) (commit func(), err error) {
	next, err := load(c)
	if err != nil {
		return nil, fmt.Errorf("reload tls files: %w", err)
	}
	return func() {
		s.loading.Lock()
		defer s.loading.Unlock()
		s.take(next)
	}, nil
}

// Reload is Prepare and commit in one. After an error everything stays as it was.
func (s *Server) Reload(c ServerConfig) error {
	commit, err := s.Prepare(c)
	if err != nil {
		return err
	}
	commit()
	return nil
}

// Refresh reads the same files again, for certificates and lists that are renewed in place. It also ends connections
// whose client certificate has run out meanwhile.
func (s *Server) Refresh() error {
	s.loading.Lock()
	defer s.loading.Unlock()
	next, err := load(s.current.Load().config)
	if err != nil {
		return fmt.Errorf("reload tls files: %w", err)
	}
	s.take(next)
	return nil
}

// Watch calls Refresh until ctx ends.
func (s *Server) Watch(ctx context.Context, every time.Duration) {
	Repeat(ctx, every, s.Refresh, func(problem string) {
		s.log.Error("certificates not renewed, the old ones stay in use", slog.String("error", problem))
	})
}

// Repeat calls refresh every so often until ctx ends. A failure is told once, and again when its text changes.
func Repeat(ctx context.Context, every time.Duration, refresh func() error, failed func(problem string)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		text := ""
		if err := refresh(); err != nil {
			text = err.Error()
		}
		if text != last && text != "" {
			failed(text)
		}
		last = text
	}
}

// take puts a snapshot in force. The caller holds loading, so that a Refresh of old settings never overtakes new ones.
func (s *Server) take(next *snapshot) {
	s.current.Store(next)
	if dropped := s.dropUntrusted(); dropped > 0 {
		s.log.Info("closed connections whose client certificate is no longer accepted", slog.Int("connections", dropped))
	}
}

// Info returns the ages of what is in use.
func (s *Server) Info() Info {
	now := s.current.Load()
	info := Info{CertificateExpires: earliestEnd(now.pair)}
	if now.crl != nil {
		info.CRLIssued, info.CRLExpires = now.crl.thisUpdate(), now.crl.nextUpdate()
	}
	return info
}

// AsksClients reports whether client certificates are asked for and checked.
func (s *Server) AsksClients() bool { return s.current.Load().roots != nil }

// TLSConfig returns a configuration that follows every Reload. Connections made with it directly are checked like all
// others, but only those of Listen are closed when a Reload ends the trust in them.
func (s *Server) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: s.configFor,
	}
}

// configFor makes the configuration of one handshake. Session tickets are sealed with the keys of the outer
// configuration, so they outlive a Reload; that is harmless because verify judges resumed sessions like new ones.
func (s *Server) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	now := s.current.Load()
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{*now.pair},
		Time:         s.now,
	}
	if now.roots == nil {
		return c, nil
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	c.ClientCAs = now.roots
	tracked, _ := hello.Conn.(*conn)
	c.VerifyConnection = func(cs tls.ConnectionState) error { return s.verify(cs, tracked) }
	return c, nil
}

// verify runs in every handshake, resumed ones included (VerifyPeerCertificate would not). It judges by what is loaded
// now, not by what was when the handshake or the resumed session began. In a connection that came through Listen it
// leaves the certificates behind for dropUntrusted.
func (s *Server) verify(cs tls.ConnectionState, tracked *conn) error {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	if tracked != nil {
		// Before the judgement: a Reload in between then finds the certificates and judges them again.
		tracked.peer.Store(&cs.PeerCertificates)
	}
	return s.current.Load().judge(cs.PeerCertificates, s.now())
}

// judge verifies a client's certificates from the beginning.
func (s *snapshot) judge(peer []*x509.Certificate, now time.Time) error {
	if s.roots == nil {
		return errUntrusted
	}
	between := x509.NewCertPool()
	for _, c := range peer[1:] {
		between.AddCert(c)
	}
	chains, err := peer[0].Verify(x509.VerifyOptions{
		Roots: s.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return errUntrusted
	}
	if s.crl == nil {
		return nil
	}
	return s.crl.check(chains, now)
}
