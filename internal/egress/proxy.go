package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// connectTimeout bounds the conversation with a proxy until the tunnel stands; maxConnectAnswer its answer in bytes.
const (
	connectTimeout   = 10 * time.Second
	maxConnectAnswer = 16 << 10
)

// DialerOptions is what a Dialer needs.
type DialerOptions struct {
	Config Config
	// Environ is os.Environ() where HTTPS_PROXY and NO_PROXY count; nil ignores them. Config.Proxy beats both, for every
	// host.
	Environ []string
	// ProxyTLS trusts the certificate of an https:// proxy; nil trusts the system's authorities.
	ProxyTLS *tls.Config
}

// Dialer opens TCP connections to hosts that our own configuration names, directly or as a tunnel through a proxy. It
// does not judge addresses: that is the Guard's work. It is safe for concurrent use and never changes.
type Dialer struct {
	proxyFor   func(*url.URL) (*url.URL, error)
	proxyTLS   *tls.Config
	configured bool // Config.Proxy is set
}

// ProxyError is a proxy that answered and did not open the tunnel.
type ProxyError struct {
	Status int
}

// Error returns the status.
func (e *ProxyError) Error() string { return fmt.Sprintf("proxy answered %d", e.Status) }

func (e *ProxyError) kind() string {
	switch e.Status {
	case http.StatusProxyAuthRequired:
		return "proxy wants other credentials"
	case http.StatusForbidden:
		return "proxy refuses this host"
	default:
		return "proxy cannot connect"
	}
}

// NewDialer returns a Dialer. Errors name the setting and never repeat it.
func NewDialer(o DialerOptions) (*Dialer, error) {
	fixed, err := o.Config.proxyURL()
	if err != nil {
		return nil, err
	}
	d := &Dialer{proxyTLS: o.ProxyTLS, configured: fixed != nil}
	if fixed != nil {
		d.proxyFor = func(*url.URL) (*url.URL, error) { return fixed, nil }
		return d, nil
	}
	env := httpproxy.Config{HTTPSProxy: lookup(o.Environ, "HTTPS_PROXY"), NoProxy: lookup(o.Environ, "NO_PROXY")}
	if env.HTTPSProxy != "" {
		if !strings.Contains(env.HTTPSProxy, "://") {
			env.HTTPSProxy = "http://" + env.HTTPSProxy // as everybody reads it
		}
		if _, problem := parseProxy(env.HTTPSProxy); problem != "" {
			return nil, fmt.Errorf("environment variable HTTPS_PROXY: %s", problem)
		}
	}
	d.proxyFor = env.ProxyFunc()
	return d, nil
}

// lookup finds a variable under its name in capitals, else in small letters.
func lookup(environ []string, name string) string {
	var small string
	for _, line := range environ {
		key, value, _ := strings.Cut(line, "=")
		switch {
		case key == name && value != "":
			return value
		case key == strings.ToLower(name):
			small = value
		}
	}
	return small
}

// DialContext opens a TCP connection to host:port.
func (d *Dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	proxy, err := d.proxyFor(&url.URL{Scheme: "https", Host: address})
	if err != nil {
		return nil, quiet("proxy", err)
	}
	direct := net.Dialer{Timeout: dialTimeout}
	if proxy == nil {
		conn, err := direct.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, quiet("dial", err)
		}
		return conn, nil
	}
	conn, err := direct.DialContext(ctx, "tcp", proxyAddress(proxy))
	if err != nil {
		return nil, quiet("proxy", err)
	}
	tunnel, err := d.connect(ctx, conn, proxy, address)
	if err != nil {
		_ = conn.Close()
		return nil, quiet("proxy", err)
	}
	return tunnel, nil
}

func proxyAddress(proxy *url.URL) string {
	port := proxy.Port()
	switch {
	case port != "":
	case proxy.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// connect turns a connection to the proxy into a tunnel (RFC 9110, 9.3.6). The conversation ends when ctx does.
func (d *Dialer) connect(ctx context.Context, conn net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	raw := conn
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if proxy.Scheme == "https" {
		conf := &tls.Config{MinVersion: tls.VersionTLS12}
		if d.proxyTLS != nil {
			conf = d.proxyTLS.Clone()
		}
		if conf.ServerName == "" {
			conf.ServerName = proxy.Hostname()
		}
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("handshake with the proxy: %w", err)
		}
		conn = secure
	}
	tunnel, err := requestTunnel(conn, proxy.User, address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err() // the deadline was set, or is about to be
	}
	return tunnel, nil
}

func requestTunnel(conn net.Conn, user *url.Userinfo, address string) (net.Conn, error) {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{"User-Agent": {""}}}
	if user != nil {
		password, _ := user.Password()
		token := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		req.Header.Set("Proxy-Authorization", "Basic "+token)
	}
	if err := req.Write(conn); err != nil {
		return nil, fmt.Errorf("write CONNECT: %w", err)
	}
	r := bufio.NewReader(io.LimitReader(conn, maxConnectAnswer))
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, fmt.Errorf("read answer to CONNECT: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, &ProxyError{Status: resp.StatusCode}
	}
	if r.Buffered() > 0 {
		early, _ := r.Peek(r.Buffered())
		return &earlyConn{Conn: conn, early: early}, nil
	}
	return conn, nil
}

// earlyConn gives back what the other side said in one breath with the proxy's answer.
type earlyConn struct {
	net.Conn
	early []byte
}

// Read reads the early bytes first.
func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p) // a connection passes errors through
}
