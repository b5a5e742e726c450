package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxCallers bounds the connections of one load: what finds none free waits, and its time runs from when it was due.
	// Without a bound an overloaded run would measure how fast this machine opens connections.
	maxCallers = 2048
	// exchangeTimeout ends a request that is never answered.
	exchangeTimeout = 30 * time.Second
)

// callers are the connections that a load uses. net/http's client would take two goroutines and three times the CPU for
// each, on a machine that the measured process shares.
type callers struct {
	host string
	free chan struct{} // holds one value for each exchange under way

	mu   sync.Mutex
	idle []*caller // the last that was used is used next
}

// caller is one connection.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func newCallers(url string) *callers {
	return &callers{host: strings.TrimPrefix(url, "http://"), free: make(chan struct{}, maxCallers)}
}

// post sends one request; everything but a 200 is an error.
func (c *callers) post(w workload, seq int64) error {
	c.free <- struct{}{}
	defer func() { <-c.free }()
	one, err := c.take()
	if err != nil {
		return err
	}
	status, keep, err := one.exchange(w.path, w.body(w, seq))
	if keep {
		c.mu.Lock()
		c.idle = append(c.idle, one)
		c.mu.Unlock()
	} else {
		_ = one.conn.Close()
	}
	if err == nil && status != http.StatusOK {
		err = errors.New("status " + strconv.Itoa(status))
	}
	return err
}

func (c *callers) take() (*caller, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		one := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return one, nil
	}
	c.mu.Unlock()
	conn, err := net.Dial("tcp", c.host)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return &caller{conn: conn, in: bufio.NewReader(conn)}, nil
}

// exchange sends one request and reads its answer to the end. keep says whether the connection can take another.
func (c *caller) exchange(path, body string) (status int, keep bool, err error) {
	c.out = fmt.Appendf(c.out[:0], "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	if err := c.conn.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return 0, false, err
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, false, fmt.Errorf("send: %w", err)
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, false, fmt.Errorf("read the answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, false, fmt.Errorf("read the answer: %w", err)
	}
	return res.StatusCode, !res.Close, nil
}

// close ends the idle connections.
func (c *callers) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.idle {
		_ = one.conn.Close()
	}
	c.idle = nil
}
