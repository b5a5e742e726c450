package simulator

import (
	"net"
	"sync"
	"sync/atomic"
)

// gate lies under a connection's TLS and can go deaf and dumb (OutageSilent). The kernel still acknowledges
// segments; to whoever waits for bytes that is the same as a path that went away.
type gate struct {
	net.Conn
	frozen atomic.Pointer[chan struct{}] // closed when it thaws; nil: open
	done   chan struct{}
	once   sync.Once
}

func newGate(c net.Conn) *gate { return &gate{Conn: c, done: make(chan struct{})} }

func (g *gate) freeze() {
	ch := make(chan struct{})
	g.frozen.CompareAndSwap(nil, &ch)
}

func (g *gate) thaw() {
	if ch := g.frozen.Swap(nil); ch != nil {
		close(*ch)
	}
}

func (g *gate) wait() error {
	for {
		ch := g.frozen.Load()
		if ch == nil {
			return nil
		}
		select {
		case <-*ch:
		case <-g.done:
			return net.ErrClosed
		}
	}
}

// Read holds back what arrived while the gate was closed.
func (g *gate) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if w := g.wait(); w != nil {
		return 0, w
	}
	return n, err
}

// Write waits while the gate is closed.
func (g *gate) Write(p []byte) (int, error) {
	if err := g.wait(); err != nil {
		return 0, err
	}
	return g.Conn.Write(p)
}

// Close also releases whoever waits at the gate.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.done) })
	return g.Conn.Close()
}

// CloseWrite lets TLS half-close the connection.
func (g *gate) CloseWrite() error {
	if half, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return g.Conn.Close()
}

// reset closes the TCP connection with RST instead of FIN.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
