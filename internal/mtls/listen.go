package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync/atomic"
)

// Listen puts TLS on top of a listener. Accepted connections are *tls.Conn, as net/http wants them for HTTP/2.
func (s *Server) Listen(inner net.Listener) net.Listener {
	return &listener{Listener: inner, server: s, conf: s.TLSConfig()}
}

type listener struct {
	net.Listener
	server *Server
	conf   *tls.Config
}

// Accept returns the next connection; its handshake happens on first use.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err // net/http looks at the error itself
	}
	c := &conn{Conn: raw, server: l.server}
	l.server.mu.Lock()
	l.server.open[c] = struct{}{}
	l.server.mu.Unlock()
	return tls.Server(c, l.conf), nil
}

// conn is the plain connection under a *tls.Conn. It remembers who the caller is, so that a Reload can close it without
// touching the TLS layer, which may be waiting in a handshake.
type conn struct {
	net.Conn
	server *Server
	peer   atomic.Pointer[[]*x509.Certificate] // nil before the handshake and for callers without a certificate
}

// Close forgets the connection and closes it.
func (c *conn) Close() error {
	c.server.mu.Lock()
	delete(c.server.open, c)
	c.server.mu.Unlock()
	return c.Conn.Close() // a connection passes errors through
}

// dropUntrusted closes every connection whose client certificate does not hold any more and returns how many.
func (s *Server) dropUntrusted() int {
	s.mu.Lock()
	var all []*conn
	for c := range s.open {
		all = append(all, c)
	}
	s.mu.Unlock()
	now, dropped := s.current.Load(), 0
	for _, c := range all {
		peer := c.peer.Load()
		if peer == nil || now.judge(*peer, s.now()) == nil {
			continue
		}
		_ = c.Close()
		dropped++
	}
	return dropped
}
