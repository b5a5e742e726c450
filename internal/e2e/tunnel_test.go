package e2e

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// tunnels is an HTTP proxy that knows CONNECT only, as Squid in a data centre. Every name leads to loopback: it is the
// proxy that resolves.
type tunnels struct {
	addr   string
	secret string // Proxy-Authorization it insists on; empty lets everybody through

	mu      sync.Mutex
	opened  map[string]int // by host:port as asked for
	refused int
}

func startTunnels(t *testing.T, user, password string) *tunnels {
	t.Helper()
	p := &tunnels{opened: map[string]int{}}
	if user != "" {
		p.secret = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	s := httptest.NewServer(p)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	p.addr = s.Listener.Addr().String()
	return p
}

// ServeHTTP opens one tunnel.
func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	if r.Header.Get("Proxy-Authorization") != p.secret {
		p.count(&p.refused)
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
		return
	}
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		http.Error(w, "where to?", http.StatusBadRequest)
		return
	}
	far, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		http.Error(w, "nobody there", http.StatusBadGateway)
		return
	}
	p.mu.Lock()
	p.opened[r.Host]++
	p.mu.Unlock()
	near, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = far.Close()
		return
	}
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	pass(near, buffered.Reader, far)
}

// pass copies both ways until either side ends.
func pass(near net.Conn, early *bufio.Reader, far net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(far, early); _ = far.Close(); _ = near.Close() })
	both.Go(func() { _, _ = io.Copy(near, far); _ = far.Close(); _ = near.Close() })
	both.Wait()
}

func (p *tunnels) count(n *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n++
}

// to returns how many tunnels were opened to a host and port.
func (p *tunnels) to(host string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened[host]
}

// total returns how many tunnels were opened and how many callers were refused.
func (p *tunnels) total() (opened, refused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.opened {
		opened += n
	}
	return opened, p.refused
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return port
}
