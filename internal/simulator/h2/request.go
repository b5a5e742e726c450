package h2

import (
	"strconv"
	"sync/atomic"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// onHeaders opens a stream, or ends its body if these are trailers.
func (c *Conn) onHeaders(f *http2.MetaHeadersFrame) error {
	if f.StreamID%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.mu.Lock()
	if st := c.streams[f.StreamID]; st != nil {
		c.mu.Unlock()
		if !f.StreamEnded() {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
		}
		return c.complete(st)
	}
	st, err := c.open(f)
	c.mu.Unlock()
	if st == nil || err != nil || !f.StreamEnded() {
		return err
	}
	return c.complete(st)
}

// open admits a new stream; nil means that it is ignored or refused.
func (c *Conn) open(f *http2.MetaHeadersFrame) (*Stream, error) {
	c.heardID = max(c.heardID, f.StreamID)
	if f.StreamID <= c.maxID || c.goneAway && f.StreamID > c.lastID {
		return nil, nil // late trailers of a closed stream, or sent before the peer read our GOAWAY
	}
	c.maxID = f.StreamID
	if len(c.streams) >= int(c.limit) {
		c.opts.Counters.Refused.Add(1)
		return nil, http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeRefusedStream}
	}
	if f.Truncated {
		c.opts.Counters.HeaderBytes.Add(1)
		return nil, http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeEnhanceYourCalm}
	}
	st := &Stream{
		conn: c, ID: f.StreamID, window: c.peerWindow, length: -1,
		Method: f.PseudoValue("method"), Scheme: f.PseudoValue("scheme"), Path: f.PseudoValue("path"),
		Authority: f.PseudoValue("authority"), Header: f.RegularFields(),
	}
	if !st.wellFormed() {
		return nil, http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
	}
	c.streams[f.StreamID] = st
	raise(&c.opts.Counters.MaxPerConn, int64(len(c.streams)))
	raise(&c.opts.Counters.MaxStreams, c.opts.Counters.Streams.Add(1))
	return st, nil
}

// wellFormed checks what RFC 9113 section 8.2 and 8.3 ask of a request beyond what the framer has checked.
func (st *Stream) wellFormed() bool {
	if st.Method == "" || st.Scheme == "" || st.Path == "" {
		return false
	}
	for _, f := range st.Header {
		switch f.Name {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			return false
		case "te":
			if f.Value != "trailers" {
				return false
			}
		case "content-length":
			n, err := strconv.ParseInt(f.Value, 10, 64)
			if err != nil || n < 0 || st.length >= 0 && st.length != n {
				return false
			}
			st.length = n
		}
	}
	return true
}

func (c *Conn) onData(f *http2.DataFrame) error {
	c.replenish(int(f.Length))
	c.mu.Lock()
	st, idle := c.streams[f.StreamID], f.StreamID > c.maxID
	ignored := c.goneAway && f.StreamID > c.lastID
	c.mu.Unlock()
	switch {
	case st == nil && idle && !ignored:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case st == nil || st.served:
		return nil // reset, refused or answered before its body was read
	}
	data := f.Data()
	if len(st.Body)+len(data) > c.opts.MaxBody {
		st.BodyTooLarge = !f.StreamEnded()
		st.Body = append(st.Body, data[:c.opts.MaxBody-len(st.Body)]...)
		st.length = -1
		c.serve(st)
		return nil
	}
	if f.StreamEnded() && st.Body == nil {
		st.Body = data // the common case: no copy
		return c.complete(st)
	}
	st.Body = append(st.Body, data...)
	if f.StreamEnded() {
		return c.complete(st)
	}
	return nil
}

// complete hands over a request whose last byte has arrived.
func (c *Conn) complete(st *Stream) error {
	if st.served {
		return nil
	}
	if st.length >= 0 && st.length != int64(len(st.Body)) {
		return http2.StreamError{StreamID: st.ID, Code: http2.ErrCodeProtocol} // section 8.1.1
	}
	c.serve(st)
	return nil
}

func (c *Conn) serve(st *Stream) {
	st.served = true
	c.opts.Serve(st)
	st.Body = nil
}

// replenish gives back what the peer has used of the connection's window. Streams get none: no body may be that long.
func (c *Conn) replenish(n int) {
	if c.got += n; c.got < windowRefill {
		return
	}
	c.mu.Lock()
	_ = c.fw.WriteWindowUpdate(0, uint32(c.got))
	c.mu.Unlock()
	c.got = 0
}

// refuse resets a stream that never came to be, or that the peer broke.
func (c *Conn) refuse(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.fw.WriteRSTStream(id, code)
	if id > c.maxID {
		c.maxID = id
	}
	if st := c.streams[id]; st != nil {
		c.remove(st, Abandoned)
	}
}

// Get returns the value of a header field that occurs once or not at all, and how often it occurs.
func Get(header []hpack.HeaderField, name string) (value string, times int) {
	for i := range header {
		if header[i].Name == name {
			if times == 0 {
				value = header[i].Value
			}
			times++
		}
	}
	return value, times
}

func raise(peak *atomic.Int64, n int64) {
	for {
		old := peak.Load()
		if n <= old || peak.CompareAndSwap(old, n) {
			return
		}
	}
}
