package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// ClientOptions shape one kind of request. Zero values are what stands in brackets.
type ClientOptions struct {
	// TLS is cloned; nil trusts the system's authorities. TLS 1.2 is the least.
	TLS *tls.Config
	// Timeout bounds the whole exchange (only the request's context does).
	Timeout time.Duration
	// MaxBody bounds the answer's body in bytes; reading beyond it fails with ErrTooLarge (64 KiB).
	MaxBody int64
	// MaxIdlePerHost is how many idle connections stay open to one host (4).
	MaxIdlePerHost int
	// MaxConnsPerHost is how many connections are dialled for one host before requests wait for them (no limit: one for each
	// request that finds none idle, also where one HTTP/2 connection would carry them all).
	MaxConnsPerHost int
}

// Client makes HTTPS requests under a Guard's rules. Unlike *http.Client it returns errors without the URL in them.
// It is safe for concurrent use.
type Client struct {
	guard   *Guard
	http    *http.Client
	maxBody int64
}

// Client returns a client of its own connections.
func (g *Guard) Client(o ClientOptions) *Client {
	return newClient(g, g.DialContext, o)
}

func newClient(g *Guard, dial func(ctx context.Context, network, address string) (net.Conn, error), o ClientOptions) *Client {
	if o.MaxBody == 0 {
		o.MaxBody = 64 << 10
	}
	if o.MaxIdlePerHost == 0 {
		o.MaxIdlePerHost = 4
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		conf = o.TLS.Clone()
		conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	}
	return &Client{
		guard:   g,
		maxBody: o.MaxBody,
		http: &http.Client{
			Timeout: o.Timeout,
			// A redirect is an answer like any other: following it would hand the choice of the address to the other side.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:               nil, // never from the environment
				DialContext:         dial,
				TLSClientConfig:     conf,
				TLSHandshakeTimeout: dialTimeout,
				ForceAttemptHTTP2:   true,
				// A connection that a NAT forgot is noticed by an unanswered ping; without one every request on it would time out.
				HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
				DisableCompression:     true, // what is small on the wire stays small
				MaxResponseHeaderBytes: 16 << 10,
				ResponseHeaderTimeout:  o.Timeout,
				IdleConnTimeout:        90 * time.Second,
				MaxIdleConns:           256,
				MaxIdleConnsPerHost:    o.MaxIdlePerHost,
				MaxConnsPerHost:        o.MaxConnsPerHost,
			},
		},
	}
}

// Do sends one request. A *Refused error means that nothing was sent. The body of the answer is bounded; the caller
// closes it.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	if err := c.guard.CheckURL(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as http.Client does on every path
		}
		return nil, err
	}
	resp, err := c.http.Do(req) //nolint:gosec // judging the address is what this package does
	if err != nil {
		return nil, quiet("request", err)
	}
	resp.Body = &limitedBody{inner: resp.Body, left: c.maxBody}
	return resp, nil
}

// CloseIdleConnections drops connections that nobody is using.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// limitedBody fails, instead of ending, where the limit is: half an answer must not look like a whole one.
type limitedBody struct {
	inner io.ReadCloser
	left  int64
}

// Read reads at most what is left and one byte more, to tell "exactly at the limit" from "over".
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.inner.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, ErrTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, quiet("request", err)
	}
	return n, err // io.EOF must stay bare
}

// Close closes the body.
func (b *limitedBody) Close() error { return quiet("request", b.inner.Close()) }
