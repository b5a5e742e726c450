package simulator

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http2/hpack"

	"github.com/pushgate/pushgate/internal/simulator/h2"
)

const maxHeader1 = 32 << 10

// serveHTTP1 reads one request after the other: FCM, its token endpoint and Web Push services speak HTTP/1.1 too.
func (c *conn) serveHTTP1(tc *tls.Conn) {
	limited := &io.LimitedReader{R: tc}
	br := bufio.NewReader(limited)
	for open := true; open; {
		limited.N = maxHeader1 + 2*maxBody
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(io.LimitReader(req.Body, maxBody+1))
		if err != nil {
			return
		}
		tooLarge := len(body) > maxBody
		r := &http1Reply{conn: c, last: req.Close || tooLarge, done: make(chan struct{})}
		x := &exchange{
			svc: c.svc, conn: c, reply: r, method: req.Method, path: req.RequestURI, authority: req.Host,
			header: fields(req.Header), body: body, bodyTooLarge: tooLarge,
		}
		c.svc.frames.Streams.Add(1)
		x.run()
		open = r.deliver(tc, br)
		c.svc.frames.Streams.Add(-1)
	}
}

// fields are header fields as HTTP/2 would have them.
func fields(header http.Header) []hpack.HeaderField {
	out := make([]hpack.HeaderField, 0, len(header))
	for name, values := range header {
		for _, value := range values {
			out = append(out, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
		}
	}
	slices.SortStableFunc(out, func(a, b hpack.HeaderField) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// http1Reply answers the one request that its connection waits for.
type http1Reply struct {
	conn *conn
	last bool // the connection ends after this answer

	mu    sync.Mutex
	state h2.State
	wire  []byte
	done  chan struct{} // closed when the answer is ready, or there will be none
}

func (r *http1Reply) respond(a response, before func(h2.State)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != h2.Open {
		before(r.state)
		return
	}
	r.state = h2.Answered
	before(r.state)
	r.last = r.last || a.close || a.cut
	r.wire = a.http1(r.last)
	close(r.done)
}

// http1 renders an answer for HTTP/1.1.
func (a response) http1(last bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	for _, f := range a.header {
		fmt.Fprintf(&b, "%s: %s\r\n", http.CanonicalHeaderKey(f.Name), f.Value)
	}
	length := len(a.body)
	if a.cut {
		length = 2*length + 1 // more than will come
	}
	if last {
		b.WriteString("Connection: close\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", length)
	b.Write(a.body)
	return b.Bytes()
}

// breakOff closes the connection: HTTP/1.1 has no gentler way.
func (r *http1Reply) breakOff(Fault, []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == h2.Open {
		r.state = h2.Abandoned
		close(r.done)
	}
	r.conn.abort()
}

func (r *http1Reply) flush() {}

// deliver waits for the answer and writes it; false ends the connection. Meanwhile it listens for a caller that goes.
func (r *http1Reply) deliver(tc *tls.Conn, br *bufio.Reader) bool {
	var gone error
	heard := make(chan struct{})
	go func() {
		_, gone = br.Peek(1)
		close(heard)
	}()
	select {
	case <-r.done:
	case <-heard:
		if gone == nil { // the next request is there already
			select {
			case <-r.done:
			case <-r.conn.gate.done:
			}
		}
	}
	if wire := r.settle(); len(wire) > 0 {
		if _, err := tc.Write(wire); err == nil && !r.last {
			<-heard
			return gone == nil
		}
	}
	_ = tc.Close()
	<-heard
	return false
}

// settle takes the answer. Without one, the exchange ended by the caller's leaving or by ours.
func (r *http1Reply) settle() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == h2.Open {
		if r.state = h2.Cancelled; r.conn.aborted.Load() {
			r.state = h2.Abandoned
		}
	}
	return r.wire
}
