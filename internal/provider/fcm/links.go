package fcm

import (
	"crypto/x509"
	"sync"
	"time"
)

const (
	// silentLimit requests in a row that ran into their deadline make the connections suspect, and minLinkAge keeps a
	// slow provider from turning that into a reconnect storm.
	silentLimit = 8
	minLinkAge  = 30 * time.Second
)

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
		s.current = newLink(s.roots, s.dial, s.now)
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
