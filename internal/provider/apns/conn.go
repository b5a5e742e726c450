package apns

import (
	"net/http"
	"time"
)

// clientConn is what the pool needs of *http.ClientConn, one HTTP/2 connection. A reserved stream is used up by one
// RoundTrip or given back by Release.
type clientConn interface {
	RoundTrip(req *http.Request) (*http.Response, error)
	Reserve() error
	Release()
	Available() int
	InFlight() int
	Err() error
	Close() error
	SetStateHook(hook func(*http.ClientConn))
}

// conn is one connection of a pool, guarded by its mutex.
type conn struct {
	cc     clientConn
	opened time.Time

	inFlight int  // requests of ours, from the reserved stream to the answer
	worked   bool // a notification was answered, not the connection refused
	settled  bool // the stream limit is known
	limit    int  // streams at once, when settled
	silent   int  // requests in a row that reached their deadline without an answer
	suspect  bool // alive and deaf, perhaps: used only while there is no other
	draining bool // takes no new requests and is closed when the last one ends
}

// reserve takes a stream for one request. With single, a connection that has not worked yet takes one request at a time,
// for as long as anybody can be expected to wait for the first answer.
func (c *conn) reserve(single bool, now time.Time) bool {
	if single && !c.worked && c.inFlight > 0 && now.Sub(c.opened) < coldPatience {
		return false
	}
	if c.cc.Reserve() != nil {
		return false
	}
	c.inFlight++
	return true
}

// gone reports whether c will not take a request again: it is closed, or the server has told it to go away or lowered
// its limit. A connection that is merely full has as many streams under way as its limit says.
//
// The caller holds the pool's mutex, so no stream is reserved meanwhile and Available can only rise: asked twice, it
// cannot mistake a full connection on which a stream has just ended.
func (c *conn) gone() bool {
	if c.cc.Err() != nil {
		return true
	}
	if c.cc.Available() > 0 {
		return false
	}
	busy := c.cc.InFlight()
	if c.cc.Available() > 0 {
		return false
	}
	return busy == 0 || c.settled && busy < c.limit
}

// settle notes the stream limit that the server has announced.
func (c *conn) settle() {
	if available := c.cc.Available(); available > 0 {
		c.settled, c.limit = true, available+c.cc.InFlight()
	} else if busy := c.cc.InFlight(); busy > 0 {
		c.settled, c.limit = true, busy
	}
}
