package fcm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	dialTimeout = 10 * time.Second // FCM's own RPCs give up after 10 s
	// A link without news is pinged, and closed when the ping stays unanswered: half-open TCP is noticed within 30 s.
	readIdleTimeout = 15 * time.Second
	pingTimeout     = 15 * time.Second
	// idleTimeout lets go of what a burst has opened.
	idleTimeout = 5 * time.Minute

	// maxAnswer is what we read of an answer: FCM's receipts have 100 bytes, its errors below 1 KB.
	maxAnswer = 16 << 10
	// maxDrain is what we let a front end say beyond that before the stream is reset.
	maxDrain = 256 << 10

	// silentLimit requests in a row that ran into their deadline make the link suspect, and minLinkAge keeps a slow
	// provider from turning that into a reconnect storm.
	silentLimit = 8
	minLinkAge  = 30 * time.Second
)

const (
	reasonTimeout    = "timeout"
	reasonCanceled   = "canceled"
	reasonTLS        = "tls"
	reasonConnection = "connection"
	reasonClosed     = "closed"
)

// link is a set of connections to FCM: x/net's HTTP/2 transport, which coalesces dials where net/http would open one
// connection per waiting request (facts: dependencies 5), opens another one only at the server's stream limit, and
// sends again only what the server provably has not processed (GOAWAY, REFUSED_STREAM).
type link struct {
	transport *http2.Transport
	born      time.Time
	inFlight  atomic.Int64
	silent    atomic.Int32 // deadlines in a row without any answer
	retired   atomic.Bool
}

func newLink(roots *x509.CertPool, dial dialFunc, now time.Time) *link {
	return &link{
		born: now,
		transport: &http2.Transport{
			DialTLSContext: func(ctx context.Context, network, addr string, cfg *tls.Config) (net.Conn, error) {
				return dialTLS(ctx, dial, network, addr, cfg)
			},
			TLSClientConfig:    &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableCompression: true, // a bounded body must not unfold
			IdleConnTimeout:    idleTimeout,
			ReadIdleTimeout:    readIdleTimeout,
			PingTimeout:        pingTimeout,
			WriteByteTimeout:   pingTimeout,
		},
	}
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dialTLS opens one connection that speaks HTTP/2.
func dialTLS(ctx context.Context, dial dialFunc, network, addr string, cfg *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("tls handshake: %w", err)
	}
	if conn.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		_ = conn.Close()
		return nil, errors.New("tls handshake: the server does not offer HTTP/2")
	}
	return conn, nil
}

// retire lets the connections go once the requests under way have ended.
func (l *link) retire() {
	l.retired.Store(true)
	if l.inFlight.Load() == 0 {
		l.transport.CloseIdleConnections()
	}
}

func (l *link) acquire() { l.inFlight.Add(1) }

func (l *link) release() {
	if l.inFlight.Add(-1) == 0 && l.retired.Load() {
		l.transport.CloseIdleConnections()
	}
}

// exchange is one attempt: what goes out and what came back. It travels in the request's context, because the SDK
// stands between Send and the wire.
type exchange struct {
	link   *link
	header string // Authorization
	body   []byte
	now    func() time.Time

	sent   atomic.Bool
	answer answer
	err    error // no answer
}

type exchangeKey struct{}

// wire is the RoundTripper below the SDK. It corrects what the SDK cannot be told:
//   - The SDK retries network errors and 503 up to four times (firebase-admin-go issues 476, 720). Here it never sees
//     either: the true result stays in the exchange, and one exchange goes out at most once.
//   - The SDK's Message would lose members it does not know and the digits of large numbers. Here the body that
//     payload.go built takes its place, and so the pushkey never reaches the SDK's error texts either.
type wire struct{}

// RoundTrip implements http.RoundTripper.
func (wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok || !x.sent.CompareAndSwap(false, true) {
		return stub(req, http.StatusConflict), nil
	}
	x.err = x.do(req)
	return stub(req, http.StatusOK), nil
}

// do makes the request and reads the answer.
func (x *exchange) do(req *http.Request) error {
	out := req.WithContext(req.Context())
	out.Header = maps.Clone(req.Header)
	out.Header["Authorization"] = []string{x.header}
	out.Header["User-Agent"] = []string{"pushgate"}
	out.ContentLength = int64(len(x.body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.body)), nil }
	out.Body, _ = out.GetBody()

	resp, err := x.link.transport.RoundTrip(out)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	x.answer.status = resp.StatusCode
	x.answer.retryAfter = retryAfter(resp.Header.Get("Retry-After"), x.now())
	x.answer.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && len(x.answer.body) == maxAnswer {
		_, err = io.CopyN(io.Discard, resp.Body, maxDrain)
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil && resp.StatusCode != http.StatusOK {
		return nil // the status alone says enough
	}
	return err
}

// stub is what the SDK gets to see.
func stub(req *http.Request, status int) *http.Response {
	const receipt = `{"name":"-"}`
	return &http.Response{
		StatusCode:    status,
		Proto:         "HTTP/2.0",
		ProtoMajor:    2,
		Header:        http.Header{},
		Body:          io.NopCloser(bytes.NewReader([]byte(receipt))),
		ContentLength: int64(len(receipt)),
		Request:       req,
	}
}

// unanswered is the meaning of a request that got no answer.
func unanswered(err error) push.Outcome {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return push.Outcome{Reason: reasonTLS, Scope: push.ScopeConnection, Transport: true}
	}
	return interrupted(err)
}

// interrupted names how a wait ended.
func interrupted(err error) push.Outcome {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return push.Outcome{Reason: reasonCanceled, Scope: push.ScopeConnection, Transport: true}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return push.Outcome{Reason: reasonTimeout, Scope: push.ScopeConnection, Transport: true}
	default:
		return push.Outcome{Reason: reasonConnection, Scope: push.ScopeConnection, Transport: true}
	}
}

// cause describes a failure for the log by what the dialler or TLS said. Other texts may quote what a server wrote (a
// GOAWAY's debug data), so of those only the type is shown.
func cause(err error) string {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Error()
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return fmt.Sprintf("%T", err)
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
		s.current = newLink(s.roots, s.dial, s.now())
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
