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
	// A connection that dies young without an answer is as good as none: from the second in a row on the next dial waits,
	// barrenHold and twice as long each time. Requests wait with it.
	barrenHold    = 100 * time.Millisecond
	maxBarrenHold = 5 * time.Second
	youngAge      = 2 * maxBarrenHold
	// A link without news is pinged, and closed when the ping stays unanswered: half-open TCP is noticed within 30 s.
	readIdleTimeout = 15 * time.Second
	pingTimeout     = 15 * time.Second
	// idleTimeout lets go of what a burst has opened.
	idleTimeout = 5 * time.Minute
	// maxHeader bounds what a peer can make us hold. FCM's headers have about 400 bytes.
	maxHeader = 16 << 10
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

	gone chan struct{} // closed when nobody will use the link again

	mu        sync.Mutex
	conns     []*conn
	call      *dialCall // the latest dial, under way or failed a moment ago
	heldUntil time.Time // for how long a failed call answers
	barren    int       // connections in a row that died young without an answer
	dialFrom  time.Time // not before
	inFlight  int       // requests that have the link
	retired   bool
}

// conn is one connection of a link.
type conn struct {
	*h2Conn

	opened   time.Time
	answered atomic.Bool
}

// dialCall is a dial under way; err may be read once done is closed.
type dialCall struct {
	done chan struct{}
	err  error
}

//nolint:staticcheck // deprecated in favour of net/http's transport, see link
func newLink(roots *x509.CertPool, dial dialFunc, now func() time.Time) *link {
	l := &link{dial: dial, roots: roots, now: now, born: now(), gone: make(chan struct{})}
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

// carrier is the connection that a request went out on last, in the request's context.
type carrier struct{ *conn }

type carrierKey struct{}

// roundTrip makes one request.
func (l *link) roundTrip(req *http.Request) (*http.Response, error) {
	var by carrier
	req = req.WithContext(context.WithValue(req.Context(), carrierKey{}, &by))
	resp, err := l.transport.RoundTrip(req) //nolint:staticcheck // see link
	if err == nil && by.conn != nil && by.answered.CompareAndSwap(false, true) {
		l.mu.Lock()
		l.barren = 0
		l.mu.Unlock()
	}
	return resp, err
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
			if by, ok := req.Context().Value(carrierKey{}).(*carrier); ok {
				by.conn = l.conns[i]
			}
			return l.conns[i].h2Conn, nil
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
func reserve(c *conn) bool { return !c.State().Closed && c.ReserveNewRequest() }

func usable(c *conn) bool { return !c.State().Closed && c.CanTakeNewRequest() }

// MarkDead implements http2.ClientConnPool: a connection has ended, or the server has said GOAWAY.
func (l *link) MarkDead(dead *h2Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.IndexFunc(l.conns, func(c *conn) bool { return c.h2Conn == dead }); i >= 0 {
		l.endLocked(l.conns[i])
	}
}

// sweepLocked ends the connections of which MarkDead was told before they were ours.
func (l *link) sweepLocked() {
	for _, c := range slices.Clone(l.conns) {
		if st := c.State(); st.Closed || st.Closing {
			l.endLocked(c)
		}
	}
}

// endLocked lets a connection take no more requests, and closes it once the last one has ended.
func (l *link) endLocked(c *conn) {
	l.conns = slices.DeleteFunc(l.conns, func(other *conn) bool { return other == c })
	if now := l.now(); !c.answered.Load() && now.Sub(c.opened) < youngAge {
		if l.barren++; l.barren > 1 {
			l.dialFrom = now.Add(min(barrenHold<<min(l.barren-2, 16), maxBarrenHold))
		}
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), idleTimeout)
		defer cancel()
		_ = c.Shutdown(ctx) // what is under way still gets its answer
	}()
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
	l.sweepLocked()
	if now := l.now(); l.call == nil || !l.heldUntil.IsZero() && !now.Before(l.heldUntil) {
		l.call, l.heldUntil = &dialCall{done: make(chan struct{})}, time.Time{}
		go l.connect(l.call, addr, l.dialFrom.Sub(now))
	}
	return l.call
}

// connect runs one dial to its end, after a pause.
func (l *link) connect(call *dialCall, addr string, pause time.Duration) {
	pause = max(pause, 0)
	ctx, cancel := context.WithTimeout(context.Background(), pause+dialTimeout)
	defer cancel()
	select {
	case <-time.After(pause):
	case <-l.gone:
		cancel()
	}
	cc, err := l.newConn(ctx, addr)

	l.mu.Lock()
	unwanted := l.retired && l.inFlight == 0
	if err != nil {
		call.err, l.heldUntil = err, l.now().Add(dialHold)
	} else {
		l.call = nil
		if !unwanted {
			l.conns = append(l.conns, &conn{h2Conn: cc, opened: l.now()})
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
func (l *link) takeUnwantedLocked() []*conn {
	if !l.retired || l.inFlight > 0 {
		return nil
	}
	select {
	case <-l.gone:
	default:
		close(l.gone)
	}
	conns := l.conns
	l.conns = nil
	return conns
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
