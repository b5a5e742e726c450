package apns

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxConns bounds the connections to Apple, however low its stream limit falls. Pushy's author sees no gain past 16.
	maxConns = 32
	// settleAfter is how long after its first answer a connection's stream limit is believed: Apple raises it from 1
	// with the first valid token.
	settleAfter = 250 * time.Millisecond
	// coldPatience is how long others wait for the first answer on a new connection.
	coldPatience = time.Second
	// maxSilent is how many requests in a row may end without an answer before a connection is replaced, and replaceEvery
	// how often that happens at most: a service that is merely slow must not see a storm of connections.
	maxSilent    = 3
	replaceEvery = 10 * time.Second
	// firstBackoff doubles to maxBackoff between attempts to connect, from the second failure in a row on.
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

var (
	errClosed   = errors.New("the provider is closed")
	errUnworked = errors.New("the connection ended before it delivered anything")
)

// pool keeps the connections of one app: one that stays open, and more where the server's stream limit asks for it. It
// hands out reserved streams in the order of arrival. Until a stream limit is known there is one connection at a time,
// so a thousand requests at a cold start share it instead of opening one each.
type pool struct {
	dial     func(context.Context) (clientConn, error)
	logger   *slog.Logger
	single   bool // see conn.reserve
	capacity int  // requests under way at once, for which there should be streams

	life context.Context // the pool's own, for dials that outlive the request that asked for them
	end  context.CancelFunc

	queued atomic.Int32 // len(waiting), readable from a connection's state hook
	kicked atomic.Bool  // a dispatch is on its way

	mu       sync.Mutex
	conns    []*conn
	waiting  []*waiter // in order of arrival
	turn     int       // the connection to ask first: load is spread
	dialing  int
	limit    int // streams per connection as last settled, 0 while unknown
	failures int // connections in a row that never worked, failed dials included
	nextDial time.Time
	lastErr  error
	replaced time.Time // when silence last replaced a connection
	closed   bool
}

// waiter is a request without a stream. ready is closed once conn or err is set.
type waiter struct {
	ready chan struct{}
	conn  *conn
	err   error
}

func newPool(dial func(context.Context) (clientConn, error), capacity int, single bool, logger *slog.Logger) *pool {
	p := &pool{dial: dial, logger: logger, single: single, capacity: capacity}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// acquire returns a connection with one stream reserved. The caller uses it up by RoundTrip and then calls release, or
// calls giveBack.
func (p *pool) acquire(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	if len(p.waiting) == 0 {
		if c := p.pickLocked(); c != nil {
			p.mu.Unlock()
			return c, nil
		}
	}
	w := &waiter{ready: make(chan struct{})}
	p.waiting = append(p.waiting, w)
	p.queued.Add(1)
	p.dispatchLocked()
	p.mu.Unlock()

	select {
	case <-w.ready:
		return w.conn, w.err
	case <-ctx.Done():
		p.abandon(w)
		return nil, ctx.Err()
	}
}

// abandon takes back a waiter whose caller has left, and the stream it may have been given in the meantime.
func (p *pool) abandon(w *waiter) {
	p.mu.Lock()
	i := slices.Index(p.waiting, w)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.queued.Add(-1)
	}
	p.mu.Unlock()
	if i < 0 && w.conn != nil {
		p.giveBack(w.conn)
	}
}

// giveBack returns a stream that was not used.
func (p *pool) giveBack(c *conn) {
	c.cc.Release()
	p.release(c, endNeutral)
}

// ending is how a request ended, as far as its connection is concerned.
type ending uint8

const (
	endNeutral ending = iota // says nothing about the connection, or the connection says it itself
	endWorked                // answered
	endRefused               // answered with a refusal of the connection, not of the notification
	endSilent                // no answer until the deadline
)

// release ends a request and reports whether its connection had worked before.
func (p *pool) release(c *conn, how ending) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	worked := c.worked
	c.inFlight--
	switch how {
	case endWorked:
		c.silent, c.suspect = 0, false
		if !c.worked {
			c.worked, p.failures = true, 0
			time.AfterFunc(settleAfter, func() { p.settle(c) })
		}
	case endRefused:
		p.dropLocked(c, "refused by the server")
	case endSilent:
		if c.silent++; c.silent >= maxSilent {
			p.suspectLocked(c)
		}
	case endNeutral:
	}
	if c.draining && c.inFlight == 0 {
		go func() { _ = c.cc.Close() }()
	}
	p.dispatchLocked()
	return worked
}

// renew lets new connections take over from those that have carried a request. What is under way on them ends there.
func (p *pool) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range slices.Clone(p.conns) {
		if c.worked || c.inFlight > 0 {
			p.dropLocked(c, "another provider token")
		}
	}
	p.dispatchLocked()
}

// close refuses new requests and closes connections as the requests on them end.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.end()
	p.failLocked(errClosed)
	for len(p.conns) > 0 {
		p.dropLocked(p.conns[0], "provider closed")
	}
}

// kick looks for work soon, on a goroutine of its own: state hooks run inside calls that hold the mutex.
func (p *pool) kick() {
	if p.kicked.CompareAndSwap(false, true) {
		go func() {
			p.kicked.Store(false)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.dispatchLocked()
		}()
	}
}

// settle learns the stream limit from a connection that has worked for a moment.
func (p *pool) settle(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.draining {
		return
	}
	c.settle()
	if c.settled {
		p.limit = c.limit
	}
	p.dispatchLocked()
}

// dispatchLocked hands free streams to those who wait and opens connections for those who still do.
func (p *pool) dispatchLocked() {
	if len(p.waiting) == 0 {
		return
	}
	for _, c := range slices.Clone(p.conns) {
		if c.gone() {
			p.dropLocked(c, "closed by the server")
		} else if c.settled && c.cc.Available() > 0 {
			c.settle()
		}
	}
	for len(p.waiting) > 0 {
		c := p.pickLocked()
		if c == nil {
			break
		}
		p.answerLocked(c, nil)
	}
	p.growLocked()
}

// pickLocked reserves a stream on the next connection that has one, nil if none has.
func (p *pool) pickLocked() *conn {
	now := time.Now()
	for _, suspects := range []bool{false, true} {
		for i := range p.conns {
			c := p.conns[(p.turn+i)%len(p.conns)]
			if c.suspect == suspects && c.reserve(p.single, now) {
				p.turn = (p.turn + i + 1) % len(p.conns)
				return c
			}
		}
	}
	return nil
}

// answerLocked gives the first waiter a connection or an error.
func (p *pool) answerLocked(c *conn, err error) {
	w := p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	p.queued.Add(-1)
	w.conn, w.err = c, err
	close(w.ready)
}

// failLocked gives every waiter an error.
func (p *pool) failLocked(err error) {
	for len(p.waiting) > 0 {
		p.answerLocked(nil, err)
	}
}

// dropLocked lets a connection take no more requests and closes it when the last one has ended. One that never worked
// counts as a failed attempt to connect.
func (p *pool) dropLocked(c *conn, why string) {
	if c.draining {
		return
	}
	c.draining = true
	p.conns = slices.DeleteFunc(p.conns, func(other *conn) bool { return other == c })
	p.logger.Debug("apns: connection ends", slog.String("why", why), slog.Int("in_flight", c.inFlight))
	if !c.worked && !p.closed {
		p.failedLocked(errUnworked)
	}
	if c.inFlight == 0 {
		go func() { _ = c.cc.Close() }()
	}
}

// failedLocked notes an attempt to connect that came to nothing. The second in a row and later ones cost a pause.
func (p *pool) failedLocked(err error) {
	p.failures++
	p.lastErr = err
	p.nextDial = time.Now()
	if p.failures > 1 {
		shift := min(p.failures-2, 16)
		p.nextDial = p.nextDial.Add(min(firstBackoff<<shift, maxBackoff))
	}
}
