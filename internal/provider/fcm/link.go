package fcm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

const (
	dialTimeout = 10 * time.Second // FCM's own RPCs give up after 10 s
	// dialHold answers for a failed dial without another, so that a dead FCM sees ten dials a second and not one for
	// each push.
	dialHold = 100 * time.Millisecond
	// A link without news is pinged, and closed when the ping stays unanswered: half-open TCP is noticed within 30 s.
	readIdleTimeout = 15 * time.Second
	pingTimeout     = 15 * time.Second
	// idleTimeout lets go of what a burst has opened.
	idleTimeout = 5 * time.Minute
	// maxHeader bounds what a peer can make us hold. FCM's headers have about 400 bytes.
	maxHeader = 16 << 10

	// silentLimit requests in a row that ran into their deadline make the connections suspect, and minLinkAge keeps a
	// slow provider from turning that into a reconnect storm.
	silentLimit = 8
	minLinkAge  = 30 * time.Second
)

type (
	dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)
	h2Conn   = http2.ClientConn //nolint:staticcheck // see link
)

// link is a set of HTTP/2 connections to FCM. They live in x/net's transport, which sends again what the server provably
// has not processed (GOAWAY, REFUSED_STREAM); the pool is ours. A new connection is opened only when all are at the
// server's stream limit, which is known before the first request: net/http opens one per waiting request (928 for a
// thousand, facts: dependencies 5). A dial belongs to nobody: a request that gives up does not take it down.
type link struct {
	transport *http2.Transport //nolint:staticcheck // see link
	dial      dialFunc
	roots     *x509.CertPool
	now       func() time.Time
	born      time.Time
	silent    atomic.Int32 // deadlines in a row without any answer

	mu        sync.Mutex
	conns     []*h2Conn
	call      *dialCall // the latest dial, under way or failed a moment ago
	heldUntil time.Time // for how long a failed call answers
	inFlight  int       // requests that have the link
	retired   bool
}

// dialCall is a dial under way; err may be read once done is closed.
type dialCall struct {
	done chan struct{}
	err  error
}

//nolint:staticcheck // deprecated in favour of net/http's transport, see link
func newLink(roots *x509.CertPool, dial dialFunc, now func() time.Time) *link {
	l := &link{dial: dial, roots: roots, now: now, born: now()}
	l.transport = &http2.Transport{
		ConnPool:           l,
		DisableCompression: true, // a bounded body must not unfold
		MaxHeaderListSize:  maxHeader,
		IdleConnTimeout:    idleTimeout,
		ReadIdleTimeout:    readIdleTimeout,
		PingTimeout:        pingTimeout,
		WriteByteTimeout:   pingTimeout,
	}
	return l
}

// roundTrip makes one request.
func (l *link) roundTrip(req *http.Request) (*http.Response, error) {
	return l.transport.RoundTrip(req) //nolint:staticcheck // see link
}

// open makes sure that there is a connection to addr (host:port).
func (l *link) open(ctx context.Context, addr string) error {
	l.mu.Lock()
	if slices.ContainsFunc(l.conns, usable) {
		l.mu.Unlock()
		return nil
	}
	call := l.dialLocked(addr)
	l.mu.Unlock()
	return call.wait(ctx)
}

// GetClientConn implements http2.ClientConnPool: it returns a connection with a stream reserved.
func (l *link) GetClientConn(req *http.Request, addr string) (*h2Conn, error) {
	for {
		l.mu.Lock()
		if i := slices.IndexFunc(l.conns, reserve); i >= 0 {
			defer l.mu.Unlock()
			return l.conns[i], nil
		}
		call := l.dialLocked(addr)
		l.mu.Unlock()
		if err := call.wait(req.Context()); err != nil {
			return nil, err
		}
	}
}

// reserve takes a stream. A closed connection that was never used would take one too, for x/net to report why it broke:
// here newConn has seen it work, so the next request rather gets a new one.
func reserve(cc *h2Conn) bool { return !cc.State().Closed && cc.ReserveNewRequest() }

func usable(cc *h2Conn) bool { return !cc.State().Closed && cc.CanTakeNewRequest() }

// MarkDead implements http2.ClientConnPool.
func (l *link) MarkDead(dead *h2Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = slices.DeleteFunc(l.conns, func(cc *h2Conn) bool { return cc == dead })
}

func (c *dialCall) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dialLocked returns the dial under way, or the last one if it failed a moment ago, or a new one.
func (l *link) dialLocked(addr string) *dialCall {
	if l.call == nil || !l.heldUntil.IsZero() && !l.now().Before(l.heldUntil) {
		l.call, l.heldUntil = &dialCall{done: make(chan struct{})}, time.Time{}
		go l.connect(l.call, addr)
	}
	return l.call
}

// connect runs one dial to its end.
func (l *link) connect(call *dialCall, addr string) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	cc, err := l.newConn(ctx, addr)

	l.mu.Lock()
	unwanted := l.retired && l.inFlight == 0
	if err != nil {
		call.err, l.heldUntil = err, l.now().Add(dialHold)
	} else {
		l.call = nil
		if !unwanted {
			l.conns = append(l.conns, cc)
		}
	}
	l.mu.Unlock()
	close(call.done)
	if err == nil && unwanted {
		_ = cc.Close()
	}
}

// newConn opens one connection that speaks HTTP/2 and waits for a sign of life: the server's stream limit comes before it.
func (l *link) newConn(ctx context.Context, addr string) (*h2Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	raw, err := l.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{
		RootCAs: l.roots, ServerName: host, NextProtos: []string{http2.NextProtoTLS}, MinVersion: tls.VersionTLS12,
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("tls handshake: %w", err)
	}
	if conn.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		_ = conn.Close()
		return nil, errNoHTTP2
	}
	cc, err := l.transport.NewClientConn(conn) //nolint:staticcheck // see link
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("http/2 preface: %w", err)
	}
	if err := cc.Ping(ctx); err != nil {
		_ = cc.Close()
		return nil, fmt.Errorf("http/2 settings: %w", err)
	}
	return cc, nil
}

var errNoHTTP2 = errors.New("the server does not offer HTTP/2")

func (l *link) acquire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight++
}

func (l *link) release() {
	l.mu.Lock()
	l.inFlight--
	unwanted := l.takeUnwantedLocked()
	l.mu.Unlock()
	closeAll(unwanted)
}

// retire lets the connections go once the requests under way have ended.
func (l *link) retire() {
	l.mu.Lock()
	l.retired = true
	unwanted := l.takeUnwantedLocked()
	l.mu.Unlock()
	closeAll(unwanted)
}

// takeUnwantedLocked returns the connections that nobody will use again. They are closed outside the lock, because
// closing calls MarkDead.
func (l *link) takeUnwantedLocked() []*h2Conn {
	if !l.retired || l.inFlight > 0 {
		return nil
	}
	conns := l.conns
	l.conns = nil
	return conns
}

func closeAll(conns []*h2Conn) {
	for _, cc := range conns {
		_ = cc.Close()
	}
}

// links hands out the connections in use and replaces them when they have gone silent.
type links struct {
	roots *x509.CertPool
	dial  dialFunc
	now   func() time.Time

	mu      sync.Mutex
	current *link
	closed  bool
}

// acquire returns the link for one request, to be released; nil after close.
func (s *links) acquire() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if s.current == nil {
		s.current = newLink(s.roots, s.dial, s.now)
	}
	s.current.acquire()
	return s.current
}

// heard notes how a request on l ended. FCM can leave streams unanswered on a connection that is alive otherwise, so
// pings do not show it; after several such deadlines in a row new requests go to new connections.
func (s *links) heard(l *link, silent bool) {
	if !silent {
		l.silent.Store(0)
		return
	}
	if l.silent.Add(1) < silentLimit {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != l || s.now().Sub(l.born) < minLinkAge {
		return
	}
	s.current = nil
	l.retire()
}

func (s *links) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.current != nil {
		s.current.retire()
		s.current = nil
	}
}
