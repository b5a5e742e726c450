package h2

import (
	"errors"
	"math"
	"slices"
	"time"

	"golang.org/x/net/http2"
)

// output collects frames; the connection's mutex is held by whoever writes a frame.
type output Conn

var errOverflow = errors.New("peer does not read its answers")

func (o *output) Write(p []byte) (int, error) {
	if len(o.out)+len(p) > maxOutput {
		_ = o.nc.Close()
		return 0, errOverflow
	}
	o.out = append(o.out, p...)
	return len(p), nil
}

// input writes what is due before each read that may block: one flush for all requests that came in one segment.
type input Conn

func (i *input) Read(p []byte) (int, error) {
	c := (*Conn)(i)
	c.flush()
	return c.nc.Read(p)
}

func (c *Conn) writeLoop(done <-chan struct{}) {
	for {
		select {
		case <-c.wake:
			c.flush()
		case <-done:
			return
		}
	}
}

// flush writes all that is due, and closes our side when there is nothing left to say.
func (c *Conn) flush() {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	for {
		c.mu.Lock()
		buf, closing := c.out, c.closing && !c.shut
		if len(buf) > 0 {
			c.out = c.spare[:0]
		} else if closing {
			c.shut = true
		}
		c.mu.Unlock()
		if len(buf) == 0 {
			if closing {
				c.shutdown()
			}
			return
		}
		if _, err := c.nc.Write(buf); err != nil {
			_ = c.nc.Close()
			return
		}
		c.spare = buf
	}
}

// shutdown closes our direction and reads on for a moment: closing with unread input would make the kernel send a
// reset, which can overtake the last answers.
func (c *Conn) shutdown() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = c.nc.SetReadDeadline(time.Now().Add(lingerTimeout))
		return
	}
	_ = c.nc.Close()
}

// Sync writes what is due before it returns, but does not wait long for a peer that does not read.
func (c *Conn) Sync() {
	_ = c.nc.SetWriteDeadline(time.Now().Add(lingerTimeout))
	c.flush()
}

// SetStreamLimit announces another SETTINGS_MAX_CONCURRENT_STREAMS; streams already open stay.
func (c *Conn) SetStreamLimit(n uint32) {
	c.mu.Lock()
	if c.limit == n {
		c.mu.Unlock()
		return
	}
	c.limit = n
	_ = c.fw.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: n})
	c.mu.Unlock()
	c.Flush()
}

// GoAway says goodbye. The youngest share of the streams in flight (0 none, 1 all) lies above the last stream id and
// is abandoned; the connection closes when the others are answered.
func (c *Conn) GoAway(share float64, code http2.ErrCode, debug []byte) {
	c.mu.Lock()
	ids := make([]uint32, 0, len(c.streams))
	for id := range c.streams {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	keep := len(ids) - int(math.Round(share*float64(len(ids))))
	last := c.maxID
	if keep < len(ids) {
		last = ids[keep] - min(ids[keep], 2)
	}
	c.goAway(last, code, debug)
	c.mu.Unlock()
	c.Flush()
}

// GoAwayBefore says goodbye with this stream and all later ones above the last stream id.
func (st *Stream) GoAwayBefore(code http2.ErrCode, debug []byte) {
	c := st.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.state == Open {
		c.goAway(st.ID-min(st.ID, 2), code, debug)
	}
}

func (c *Conn) goAway(last uint32, code http2.ErrCode, debug []byte) {
	if c.goneAway {
		last = min(last, c.lastID) // section 6.8: it must not grow
	}
	c.lastID, c.goneAway = last, true
	_ = c.fw.WriteGoAway(last, code, debug)
	for id, st := range c.streams {
		if id > last {
			c.remove(st, Abandoned)
		}
	}
	if len(c.streams) == 0 {
		c.closing = true
	}
}
