package simulator

import (
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/simulator/h2"
)

// Service names one of the simulated services; it is also its name in the control API.
type Service string

// The services. OAuth is FCM's token endpoint: it has its own listener, so that it can fail alone.
const (
	APNs    Service = "apns"
	FCM     Service = "fcm"
	OAuth   Service = "oauth"
	WebPush Service = "webpush"
)

// AnyToken scripts answers for every token that has no script of its own.
const AnyToken = "*"

const (
	maxBody          = 32 << 10
	handshakeTimeout = 10 * time.Second
	relistenTimeout  = 5 * time.Second
)

// service is one listener with all that happens on it.
type service struct {
	sim      *Simulator
	name     Service
	protocol protocol
	alpn     []string
	addr     string // host:port, fixed once listening
	scripts  scripts

	conditions atomic.Pointer[Conditions]
	frames     h2.Counters
	requests   atomic.Int64
	opened     atomic.Int64
	refused    atomic.Int64
	handshakes atomic.Int64 // failed
	ok         atomic.Int64 // 200 or 201 without a reason

	change  sync.Mutex // one change of conditions at a time
	mu      sync.Mutex
	ln      net.Listener // nil while connections are refused
	held    *hold        // the address, while ln is nil
	conns   map[*conn]struct{}
	answers map[string]int64 // "410 Unregistered", "hang"; all but ok
	closed  bool
}

func newService(sim *Simulator, name Service, p protocol, alpn ...string) *service {
	s := &service{sim: sim, name: name, protocol: p, alpn: alpn, conns: map[*conn]struct{}{}, answers: map[string]int64{}}
	s.conditions.Store(&Conditions{})
	return s
}

// listen opens the service's address, at the start or after OutageRefuse.
func (s *service) listen(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = ln.Close()
		return errClosed
	}
	s.ln, s.addr = ln, ln.Addr().String()
	s.mu.Unlock()
	s.sim.running.Go(func() { s.accept(ln) })
	return nil
}

func (s *service) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// refuse gives up the listener and keeps its address.
func (s *service) refuse() {
	s.mu.Lock()
	ln := s.ln
	s.ln = nil
	s.mu.Unlock()
	if ln == nil {
		return
	}
	_ = ln.Close()
	held, err := holdAddress(s.address())
	for deadline := time.Now().Add(relistenTimeout); err != nil && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // accept still has the listener in its hands
		held, err = holdAddress(s.address())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		held.release()
		return
	}
	s.held = held // nil after an error: the address is most likely still free when it is wanted
}

// relisten takes the old address back: a connection somebody made meanwhile may have borrowed the port for a moment.
func (s *service) relisten() error {
	s.mu.Lock()
	s.held.release()
	s.held = nil
	s.mu.Unlock()
	deadline := time.Now().Add(relistenTimeout)
	for {
		err := s.listen(s.address())
		if err == nil || errors.Is(err, errClosed) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *service) accept(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(5 * time.Millisecond) // out of file descriptors: the backlog waits
			continue
		}
		outage := s.conditions.Load().Outage
		if outage == OutageReset || outage == OutageRefuse {
			s.refused.Add(1)
			reset(nc)
			continue
		}
		c := &conn{id: s.sim.connID.Add(1), svc: s, raw: nc, gate: newGate(nc)}
		if !s.add(c) {
			_ = nc.Close()
			return
		}
		// After add, so that a change of conditions either finds the connection or is seen here.
		if s.conditions.Load().Outage == OutageSilent {
			c.gate.freeze()
		}
		s.opened.Add(1)
		s.sim.running.Go(c.serve)
	}
}

func (s *service) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conns[c] = struct{}{}
	}
	return !s.closed
}

func (s *service) drop(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// each calls f for every open connection.
func (s *service) each(f func(*conn)) {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}

func (s *service) streamLimit() uint32 {
	if n := s.conditions.Load().StreamLimit; n > 0 {
		return n
	}
	return s.sim.opts.StreamLimit
}

// tlsConfig is asked anew for each connection, as the certificate depends on the conditions.
func (s *service) tlsConfig() *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: s.alpn, SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.sim.authority.serverCertificate(s.conditions.Load().Certificate), nil
		},
	}
	if s.name == APNs {
		cfg.ClientAuth = tls.RequestClientCert
		cfg.VerifyConnection = s.sim.trust.verifyClient
	}
	return cfg
}

// setConditions makes conditions true for open connections too.
func (s *service) setConditions(c Conditions) error {
	s.change.Lock()
	defer s.change.Unlock()
	old := s.conditions.Swap(&c)
	if c.Outage == OutageRefuse {
		s.refuse()
	}
	if c.Outage == OutageRefuse || c.Outage == OutageReset {
		s.each((*conn).abort)
	}
	s.each(func(conn *conn) {
		if c.Outage == OutageSilent {
			conn.gate.freeze()
		} else {
			conn.gate.thaw()
		}
		conn.setStreamLimit()
	})
	if old.Outage == OutageRefuse && c.Outage != OutageRefuse {
		return s.relisten()
	}
	return nil
}

// count notes how a request ended.
func (s *service) count(r *Receipt) {
	if r.Reason == "" && (r.Status == 200 || r.Status == 201) {
		s.ok.Add(1)
		return
	}
	key := string(r.Fault)
	if r.Status != 0 {
		key = strconv.Itoa(r.Status)
		if r.Reason != "" {
			key += " " + r.Reason
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[key]++
}

func (s *service) close() {
	s.mu.Lock()
	s.closed = true
	ln := s.ln
	s.ln = nil
	s.held.release()
	s.held = nil
	s.mu.Unlock()
	if ln != nil {
		_ = ln.Close()
	}
	s.each((*conn).abort)
}
