package harness

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Proxy passes TCP connections on to one address and can be a bad network.
type Proxy struct {
	target string
	ln     net.Listener

	mu     sync.Mutex
	state  wire
	conns  map[*link]struct{}
	closed bool
}

// wire is how the network is now.
type wire struct {
	refuse bool
	frozen chan struct{} // connections made now are deaf until it is closed; nil: not
	delay  time.Duration
}

// link is one connection through the proxy.
type link struct {
	near, far net.Conn
	mu        sync.Mutex
	frozen    chan struct{}
	delay     time.Duration
	gone      chan struct{}
	once      sync.Once
}

// NewProxy listens on a loopback port and passes on to target, host:port.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &Proxy{target: target, ln: ln, conns: map[*link]struct{}{}}
	go p.accept()
	t.Cleanup(p.close)
	return p
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.ln.Close()
	p.each(func(l *link) { l.close() })
}

func (p *Proxy) each(f func(*link)) {
	p.mu.Lock()
	all := make([]*link, 0, len(p.conns))
	for l := range p.conns {
		all = append(all, l)
	}
	p.mu.Unlock()
	for _, l := range all {
		f(l)
	}
}

// Heal passes everything on again, also what froze.
func (p *Proxy) Heal() {
	p.mu.Lock()
	frozen := p.state.frozen
	p.state = wire{}
	p.mu.Unlock()
	if frozen != nil {
		close(frozen)
	}
	p.each(func(l *link) { l.set(nil, 0) })
}

// Refuse resets all connections and those to come.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	p.state.refuse = true
	p.mu.Unlock()
	p.each(func(l *link) { l.close() })
}

// Freeze stops all traffic without closing anything, on connections to come as well.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	if p.state.frozen == nil {
		p.state.frozen = make(chan struct{})
	}
	frozen := p.state.frozen
	p.mu.Unlock()
	p.each(func(l *link) { l.set(frozen, 0) })
}

// Forget makes the open connections deaf for ever, as a NAT that lost them; new ones work.
func (p *Proxy) Forget() {
	never := make(chan struct{})
	p.each(func(l *link) { l.set(never, 0) })
}

// Slow delays every chunk of bytes by d in each direction.
func (p *Proxy) Slow(d time.Duration) {
	p.mu.Lock()
	p.state.delay = d
	p.mu.Unlock()
	p.each(func(l *link) { l.set(nil, d) })
}

func (p *Proxy) accept() {
	for {
		near, err := p.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.mu.Lock()
		state := p.state
		p.mu.Unlock()
		if state.refuse {
			reset(near)
			continue
		}
		go p.pass(near, state)
	}
}

func (p *Proxy) pass(near net.Conn, state wire) {
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(near)
		return
	}
	l := &link{near: near, far: far, frozen: state.frozen, delay: state.delay, gone: make(chan struct{})}
	p.mu.Lock()
	late := p.closed || p.state.refuse
	p.conns[l] = struct{}{}
	p.mu.Unlock()
	if late {
		l.close()
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(far, near) })
	both.Go(func() { l.copy(near, far) })
	both.Wait()
	l.close()
	p.mu.Lock()
	delete(p.conns, l)
	p.mu.Unlock()
}

func (l *link) set(frozen chan struct{}, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen, l.delay = frozen, delay
}

// weather waits as the network is now; false means that the connection is gone.
func (l *link) weather() bool {
	l.mu.Lock()
	frozen, delay := l.frozen, l.delay
	l.mu.Unlock()
	if frozen != nil {
		select {
		case <-frozen:
		case <-l.gone:
			return false
		}
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-l.gone:
			return false
		}
	}
	return true
}

func (l *link) copy(to, from net.Conn) {
	defer l.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !l.weather() {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			// A half-closed connection hears nothing of the other half's end while it is deaf.
			if errors.Is(err, io.EOF) && !l.weather() {
				return
			}
			return
		}
	}
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.gone)
		reset(l.near)
		reset(l.far)
	})
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
