package apns

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// dialTimeout bounds a connection's set-up: name look-up, TCP, TLS.
	dialTimeout = 10 * time.Second
	// maxResponseHeader bounds what a hostile peer can make us hold. Apple's headers have some 100 bytes.
	maxResponseHeader = 16 << 10
)

// health says how a dead link is found.
type health struct {
	pingAfter    time.Duration // a PING after so much silence
	pingTimeout  time.Duration // the end of the connection when nothing comes back for so long
	writeTimeout time.Duration // the end when no byte could be written for so long
}

// defaultHealth finds a half-open connection within 30 s.
func defaultHealth() health {
	return health{pingAfter: 15 * time.Second, pingTimeout: 15 * time.Second, writeTimeout: 15 * time.Second}
}

// DialTLS opens a TLS connection to addr (host:port) with cfg, for instance through a CONNECT proxy. The connection must
// be a *tls.Conn.
type DialTLS func(ctx context.Context, network, addr string, cfg *tls.Config) (net.Conn, error)

// dialDirect is the DialTLS that needs no proxy. Each dial looks the name up anew, as Apple asks.
func dialDirect(ctx context.Context, network, addr string, cfg *tls.Config) (net.Conn, error) {
	d := tls.Dialer{Config: cfg}
	return d.DialContext(ctx, network, addr)
}

// dialer opens HTTP/2 connections to one host.
type dialer struct {
	addr      string
	transport *http.Transport
}

// newDialer returns a dialer for base (https://host[:port]).
func newDialer(base string, cfg *tls.Config, dial DialTLS, h health) (*dialer, error) {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("the endpoint is no https://host:port")
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	if dial == nil {
		dial = dialDirect
	}
	cfg = cfg.Clone()
	cfg.ServerName = u.Hostname()
	cfg.NextProtos = []string{"h2"}

	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return &dialer{
		addr: net.JoinHostPort(u.Hostname(), port),
		transport: &http.Transport{
			Protocols:              protocols,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxResponseHeader,
			DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return dialHTTP2(ctx, dial, network, addr, cfg)
			},
			HTTP2: &http.HTTP2Config{
				SendPingTimeout:  h.pingAfter,
				PingTimeout:      h.pingTimeout,
				WriteByteTimeout: h.writeTimeout,
			},
		},
	}, nil
}

// dialHTTP2 makes sure that the other side agreed on HTTP/2: net/http would fall back to one request at a time.
func dialHTTP2(ctx context.Context, dial DialTLS, network, addr string, cfg *tls.Config) (net.Conn, error) {
	conn, err := dial(ctx, network, addr, cfg.Clone())
	if err != nil {
		return nil, err
	}
	tlsConn, ok := conn.(*tls.Conn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("dialled a %T, need a TLS connection", conn)
	}
	if err := tlsConn.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if tlsConn.ConnectionState().NegotiatedProtocol != "h2" {
		_ = conn.Close()
		return nil, errors.New("the server does not speak HTTP/2")
	}
	return conn, nil
}

// dial opens one connection.
func (d *dialer) dial(ctx context.Context) (clientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	cc, err := d.transport.NewClientConn(ctx, "https", d.addr)
	if err != nil {
		return nil, fmt.Errorf("connect to APNs: %w", err)
	}
	return cc, nil
}
