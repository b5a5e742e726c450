package simulator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"sync/atomic"

	"golang.org/x/net/http2"

	"github.com/pushgate/pushgate/internal/simulator/h2"
)

// conn is one accepted connection.
type conn struct {
	id   uint64
	svc  *service
	raw  net.Conn
	gate *gate
	peer *x509.Certificate // the client's certificate, verified; nil without

	h2      atomic.Pointer[h2.Conn] // nil before the handshake and on HTTP/1.1
	aborted atomic.Bool             // by us
	narrow  atomic.Bool             // only one stream until a token is valid (Rules.OneStreamFirst)
	apns    apnsConn                // reading goroutine only
}

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.svc.drop(c)
	defer func() { _ = c.gate.Close() }()
	tc := tls.Server(c.gate, c.svc.tlsConfig())
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		c.svc.handshakes.Add(1)
		c.svc.sim.opts.Logger.Debug("handshake failed", slog.String("service", string(c.svc.name)), slog.Any("error", err))
		return
	}
	state := tc.ConnectionState()
	if len(state.PeerCertificates) > 0 {
		c.peer = state.PeerCertificates[0]
	}
	switch {
	case state.NegotiatedProtocol == "h2":
		c.serveHTTP2(tc)
	case len(c.svc.alpn) > 1:
		c.serveHTTP1(tc)
	default:
		c.svc.handshakes.Add(1) // HTTP/2 only, and the client does not even know ALPN
	}
}

func (c *conn) serveHTTP2(tc *tls.Conn) {
	limit := c.svc.streamLimit()
	if c.svc.name == APNs && c.peer == nil && c.svc.sim.rules.Load().OneStreamFirst {
		c.narrow.Store(true)
		limit = 1
	}
	hc := h2.New(tc, limit, h2.Options{Serve: c.onStream, MaxBody: maxBody, Counters: &c.svc.frames})
	c.h2.Store(hc)
	if err := hc.Serve(); err != nil {
		c.svc.sim.opts.Logger.Debug("connection ended", slog.String("service", string(c.svc.name)), slog.Any("error", err))
	}
}

func (c *conn) onStream(st *h2.Stream) {
	x := &exchange{
		svc: c.svc, conn: c, http2: http2Reply{st, c},
		method: st.Method, path: st.Path, authority: st.Authority,
		header: st.Header, body: st.Body, bodyTooLarge: st.BodyTooLarge,
	}
	x.reply = &x.http2
	x.receipt.Stream = st.ID
	x.run()
}

// setStreamLimit announces the limit that stands now.
func (c *conn) setStreamLimit() {
	if hc := c.h2.Load(); hc != nil && !c.narrow.Load() {
		hc.SetStreamLimit(c.svc.streamLimit())
	}
}

// abort resets the TCP connection.
func (c *conn) abort() {
	c.aborted.Store(true)
	if hc := c.h2.Load(); hc != nil {
		hc.Abandon()
	}
	reset(c.raw)
	_ = c.gate.Close()
}

func (c *conn) goAway(g GoAway) {
	hc := c.h2.Load()
	if hc == nil {
		return
	}
	if g.Abort {
		hc.GoAway(0, http2.ErrCodeNo, debugData(g.Reason))
		hc.Sync()
		c.abort()
		return
	}
	hc.GoAway(g.Unprocessed, http2.ErrCodeNo, debugData(g.Reason))
}

// http2Reply answers a stream.
type http2Reply struct {
	st   *h2.Stream
	conn *conn
}

func (r *http2Reply) respond(a response, before func(h2.State)) {
	r.st.Respond(h2.Response{Status: a.status, Header: a.header, Body: a.body, Cut: a.cut}, before)
	if a.close {
		r.st.Conn().GoAway(0, http2.ErrCodeNo, nil)
	}
}

func (r *http2Reply) breakOff(f Fault, debug []byte) {
	switch f {
	case FaultGoAway:
		r.st.GoAwayBefore(http2.ErrCodeNo, debug)
	case FaultDisconnect:
		r.conn.abort()
	case FaultRefuse:
		r.st.Reset(http2.ErrCodeRefusedStream)
	default:
		r.st.Reset(http2.ErrCodeInternal)
	}
}

func (r *http2Reply) flush() { r.st.Conn().Flush() }
