package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a listener in memory, so that a test's clock is the network's.
type pipes struct {
	come   chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{come: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.come <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: httpsPort} }

// TestClient_WaitsAsLongAsItIsTold: a caller who gives 15 s gets them, or an answer after 12 s is lost although the other
// side has acted on the request.
func TestClient_WaitsAsLongAsItIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer, own, context time.Duration
		ok                   bool
	}{
		"the context's time":         {answer: 14 * time.Second, context: 15 * time.Second, ok: true},
		"much of the context's time": {answer: 4 * time.Minute, context: 5 * time.Minute, ok: true},
		"the context ends":           {answer: 16 * time.Second, context: 15 * time.Second},
		"a bound of its own":         {answer: 14 * time.Second, context: 15 * time.Second, own: 10 * time.Second},
		"within the smaller one":     {answer: 9 * time.Second, context: 15 * time.Second, own: 10 * time.Second, ok: true},
	} {
		for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
			t.Run(name+" over "+protocol, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						select {
						case <-time.After(c.answer):
						case <-r.Context().Done():
						}
						_, _ = io.WriteString(w, "done")
					}))
					_ = s.Listener.Close()
					network := newPipes()
					s.Listener, s.EnableHTTP2 = network, http2
					s.StartTLS()
					defer s.Close()
					g, err := NewGuard(Options{})
					require.NoError(t, err)
					roots := x509.NewCertPool()
					roots.AddCert(s.Certificate())
					client := newClient(g, network.dial, ClientOptions{TLS: &tls.Config{RootCAs: roots}, Timeout: c.own})
					defer client.CloseIdleConnections()
					ctx, cancel := context.WithTimeout(t.Context(), c.context)
					defer cancel()
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://example.com/", http.NoBody)
					require.NoError(t, err)
					resp, err := client.Do(req)
					if !c.ok {
						require.ErrorContains(t, err, "timeout")
						return
					}
					require.NoError(t, err)
					text, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					require.Equal(t, "done", string(text))
				})
			})
		}
	}
}
