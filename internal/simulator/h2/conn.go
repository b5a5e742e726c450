package h2

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	initialWindow  = 65535   // RFC 9113 6.9.2; streams never get more, so MaxBody must stay below
	connWindow     = 1 << 24 // what the peer may send before it hears from us again
	windowRefill   = 1 << 22
	maxFrame       = 16384 // SETTINGS_MAX_FRAME_SIZE, ours and what we send
	maxHeaderBytes = 16 << 10
	readBuffer     = 32 << 10
	maxOutput      = 64 << 20 // a peer that never reads is cut off here
	lingerTimeout  = time.Second
	prefaceTimeout = 10 * time.Second
)

// Counters are shared by all connections of a service.
type Counters struct {
	Streams     atomic.Int64 // in flight
	MaxStreams  atomic.Int64 // most in flight, all connections together
	MaxPerConn  atomic.Int64 // most in flight on one connection
	Refused     atomic.Int64 // streams over the limit
	Cancelled   atomic.Int64 // streams that the peer gave up
	Pings       atomic.Int64
	Priorities  atomic.Int64 // PRIORITY frames, which nobody should send
	HeaderBytes atomic.Int64 // header lists over the limit
}

// Options are the same for all connections of a service.
type Options struct {
	// Serve is called on the reading goroutine for each complete request and must not block. The Stream may be
	// answered by any goroutine; its Body is valid during the call only.
	Serve func(*Stream)
	// MaxBody is the largest body that is collected, below 65535; a larger one arrives cut, with BodyTooLarge set.
	MaxBody  int
	Counters *Counters
}

// Conn is one connection.
type Conn struct {
	opts Options
	nc   net.Conn
	in   *http2.Framer // reading goroutine only
	got  int           // bytes of DATA since the last WINDOW_UPDATE; reading goroutine only
	wake chan struct{}

	flushing sync.Mutex // held while writing to nc; taken before mu

	mu         sync.Mutex
	out        []byte // frames to be written
	spare      []byte
	fw         *http2.Framer // writes to out
	enc        *hpack.Encoder
	block      bytes.Buffer
	streams    map[uint32]*Stream
	maxID      uint32 // highest stream id taken
	heardID    uint32 // highest stream id heard of: also those ignored after GOAWAY, which are not idle any more
	lastID     uint32 // after GOAWAY: streams above are ignored
	limit      uint32
	sendWindow int64
	peerWindow int64 // the peer's SETTINGS_INITIAL_WINDOW_SIZE
	goneAway   bool
	closing    bool // close when all is written
	shut       bool // our side of nc is closed
	ours       bool // we ended the connection, not the peer
}

// New makes a connection of an accepted net.Conn that speaks HTTP/2, with its first stream limit.
func New(nc net.Conn, limit uint32, opts Options) *Conn {
	c := &Conn{
		opts: opts, nc: nc, limit: limit, wake: make(chan struct{}, 1),
		streams: map[uint32]*Stream{}, sendWindow: initialWindow, peerWindow: initialWindow,
	}
	c.fw = http2.NewFramer((*output)(c), nil)
	c.enc = hpack.NewEncoder(&c.block)
	return c
}

// Serve reads until the connection ends. It returns nil when either side closed in peace.
func (c *Conn) Serve() error {
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { c.writeLoop(done) })
	defer func() {
		c.end()
		close(done)
		writer.Wait()
	}()
	br := bufio.NewReaderSize((*input)(c), readBuffer)
	if err := c.greet(br); err != nil {
		return err
	}
	c.in = http2.NewFramer(io.Discard, br)
	c.in.SetReuseFrames()
	c.in.SetMaxReadFrameSize(maxFrame)
	c.in.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.in.MaxHeaderListSize = maxHeaderBytes
	return c.readLoop()
}

// greet exchanges the prefaces of RFC 9113 section 3.4.
func (c *Conn) greet(br *bufio.Reader) error {
	_ = c.nc.SetReadDeadline(time.Now().Add(prefaceTimeout))
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(br, preface); err != nil {
		return fmt.Errorf("read preface: %w", err)
	}
	if string(preface) != http2.ClientPreface {
		return errors.New("peer does not speak HTTP/2")
	}
	_ = c.nc.SetReadDeadline(time.Time{})
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.fw.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: c.limit},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaderBytes},
	)
	_ = c.fw.WriteWindowUpdate(0, connWindow)
	return nil
}

func (c *Conn) readLoop() error {
	first := true
	for {
		f, err := c.in.ReadFrame()
		if err == nil && first {
			if _, ok := f.(*http2.SettingsFrame); !ok {
				err = http2.ConnectionError(http2.ErrCodeProtocol)
			}
			first = false
		}
		if err == nil {
			err = c.handle(f)
		}
		if err == nil {
			continue
		}
		if stream, ok := errors.AsType[http2.StreamError](err); ok {
			c.refuse(stream.StreamID, stream.Code)
			continue
		}
		return c.fail(err)
	}
}

// fail turns the error that ends the connection into a GOAWAY where the peer is to blame and still listens.
func (c *Conn) fail(err error) error {
	code, ok := errors.AsType[http2.ConnectionError](err)
	if errors.Is(err, http2.ErrFrameTooLarge) {
		code, ok = http2.ConnectionError(http2.ErrCodeFrameSize), true
	}
	c.mu.Lock()
	ended := c.ours || c.shut
	if ok {
		_ = c.fw.WriteGoAway(c.maxID, http2.ErrCode(code), nil)
	}
	c.mu.Unlock()
	if ok {
		c.flush()
		return fmt.Errorf("peer broke the protocol: %w", err)
	}
	if ended || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (c *Conn) handle(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		return c.onHeaders(f)
	case *http2.DataFrame:
		return c.onData(f)
	case *http2.SettingsFrame:
		return c.onSettings(f)
	case *http2.WindowUpdateFrame:
		return c.onWindowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.onReset(f)
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		c.opts.Counters.Pings.Add(1)
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.fw.WritePing(true, f.Data)
	case *http2.PriorityFrame:
		c.opts.Counters.Priorities.Add(1)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol) // a client cannot push
	}
	return nil // GOAWAY: the peer will close; unknown types are ignored (section 5.5)
}

func (c *Conn) onSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingHeaderTableSize:
			c.enc.SetMaxDynamicTableSizeLimit(s.Val)
			c.enc.SetMaxDynamicTableSize(min(s.Val, 4096))
		case http2.SettingInitialWindowSize:
			for _, st := range c.streams {
				st.window += int64(s.Val) - c.peerWindow
			}
			c.peerWindow = int64(s.Val)
		default: // the others bind nothing that we do
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.sendPending()
	return c.fw.WriteSettingsAck()
}

func (c *Conn) onWindowUpdate(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		if c.sendWindow += int64(f.Increment); c.sendWindow > 1<<31-1 {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	} else if st := c.streams[f.StreamID]; st != nil {
		if st.window += int64(f.Increment); st.window > 1<<31-1 {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeFlowControl}
		}
	} else if f.StreamID > max(c.maxID, c.heardID) {
		return http2.ConnectionError(http2.ErrCodeProtocol) // an idle stream
	}
	c.sendPending()
	return nil
}

func (c *Conn) onReset(f *http2.RSTStreamFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID > max(c.maxID, c.heardID) {
		return http2.ConnectionError(http2.ErrCodeProtocol) // an idle stream
	}
	if st := c.streams[f.StreamID]; st != nil {
		c.opts.Counters.Cancelled.Add(1)
		c.remove(st, Cancelled)
	}
	return nil
}

// end marks what is still open and closes the connection.
func (c *Conn) end() {
	c.mu.Lock()
	state := Cancelled
	if c.ours {
		state = Abandoned
	}
	for _, st := range c.streams {
		c.remove(st, state)
	}
	c.mu.Unlock()
	_ = c.nc.Close()
}

// Abandon says that we end the connection, whose net.Conn is about to be closed: what is in flight was not processed.
func (c *Conn) Abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ours = true
	for _, st := range c.streams {
		c.remove(st, Abandoned)
	}
}
