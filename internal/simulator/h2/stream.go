package h2

import (
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// State is how far a stream came.
type State uint8

// The states of a stream.
const (
	Open      State = iota // waits for its answer, or still for its body
	Answered               // all of the answer is on its way
	Cancelled              // the peer gave it up, or the connection
	Abandoned              // we gave it up: reset, refused, above a GOAWAY, connection closed by us
)

// Stream is one request and the place for its answer.
type Stream struct {
	conn *Conn

	ID                              uint32
	Method, Scheme, Path, Authority string
	Header                          []hpack.HeaderField // in the order of arrival, names in lower case
	Body                            []byte              // valid while Options.Serve runs
	BodyTooLarge                    bool

	length  int64 // content-length, -1 if not given
	served  bool
	state   State // under conn.mu, as all below
	window  int64
	pending []byte // rest of the answer's body
	then    ending
}

// ending is what follows the last byte of an answer's body.
type ending uint8

const (
	endStream ending = iota
	endCut           // RST_STREAM INTERNAL_ERROR: the answer is incomplete
)

// Response is an answer. Header fields with Sensitive set are never put into the compression table: use it for
// values that do not repeat.
type Response struct {
	Status int
	Header []hpack.HeaderField
	Body   []byte
	// Cut ends the stream with an error after Body.
	Cut bool
}

// Conn returns the stream's connection.
func (st *Stream) Conn() *Conn { return st.conn }

// Respond answers the stream: Answered, or why the answer goes nowhere. before is called with that verdict ahead of
// the first byte and must not call back into the connection: what it notes is known before the peer can know.
func (st *Stream) Respond(r Response, before func(State)) State {
	c := st.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.state != Open {
		before(st.state)
		return st.state
	}
	before(Answered)
	c.block.Reset()
	_ = c.enc.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(r.Status)})
	for _, f := range r.Header {
		_ = c.enc.WriteField(f)
	}
	bare := len(r.Body) == 0 && !r.Cut
	_ = c.fw.WriteHeaders(http2.HeadersFrameParam{
		StreamID: st.ID, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: bare,
	})
	if r.Cut {
		st.then = endCut
	}
	if bare {
		c.finish(st)
	} else {
		st.pending = append([]byte(nil), r.Body...)
		c.send(st)
	}
	return Answered
}

// Reset ends the stream with RST_STREAM.
func (st *Stream) Reset(code http2.ErrCode) State {
	c := st.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.state != Open {
		return st.state
	}
	_ = c.fw.WriteRSTStream(st.ID, code)
	c.remove(st, Abandoned)
	return Abandoned
}

// State tells how far the stream came.
func (st *Stream) State() State {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	return st.state
}

// Flush hands what was written to the connection's own writer. Answers given inside Options.Serve need no Flush.
func (c *Conn) Flush() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send writes as much of the pending body as the windows allow.
func (c *Conn) send(st *Stream) {
	for len(st.pending) > 0 {
		n := min(int64(len(st.pending)), st.window, c.sendWindow, maxFrame)
		if n <= 0 {
			return
		}
		part := st.pending[:n]
		st.pending = st.pending[n:]
		st.window -= n
		c.sendWindow -= n
		_ = c.fw.WriteData(st.ID, len(st.pending) == 0 && st.then == endStream, part)
	}
	if st.then == endCut {
		_ = c.fw.WriteRSTStream(st.ID, http2.ErrCodeInternal)
		c.remove(st, Abandoned)
		return
	}
	c.finish(st)
}

// finish closes an answered stream. A peer that is still sending its body is told that nobody reads it.
func (c *Conn) finish(st *Stream) {
	if st.BodyTooLarge {
		_ = c.fw.WriteRSTStream(st.ID, http2.ErrCodeNo)
	}
	c.remove(st, Answered)
}

func (c *Conn) sendPending() {
	for _, st := range c.streams {
		if len(st.pending) > 0 {
			c.send(st)
		}
	}
}

// remove takes a stream out of the connection, and closes the connection when it was the last before a farewell.
func (c *Conn) remove(st *Stream, state State) {
	st.state = state
	delete(c.streams, st.ID)
	c.opts.Counters.Streams.Add(-1)
	if c.goneAway && len(c.streams) == 0 {
		c.closing = true
	}
}
