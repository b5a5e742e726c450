package h2

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

func TestStreamLimit_RefusesAndChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	held := make([]*arrival, 0, testLimit)
	for i := range testLimit {
		held = append(held, r.open(uint32(2*i+1)))
	}
	r.headers(101, true)
	rst := next[*http2.RSTStreamFrame](r)
	require.Equal(t, http2.ErrCodeRefusedStream, rst.ErrCode)
	require.EqualValues(t, 101, rst.StreamID)
	require.EqualValues(t, 1, r.counters.Refused.Load())
	require.EqualValues(t, testLimit, r.counters.MaxPerConn.Load())

	r.conn.SetStreamLimit(1)
	limit, _ := next[*http2.SettingsFrame](r).Value(http2.SettingMaxConcurrentStreams)
	require.EqualValues(t, 1, limit)
	for _, st := range held {
		require.Equal(t, Answered, st.answer(Response{Status: 200}), "what is open stays")
		next[*http2.MetaHeadersFrame](r)
	}
	r.open(103)
	r.headers(105, true)
	require.Equal(t, http2.ErrCodeRefusedStream, next[*http2.RSTStreamFrame](r).ErrCode)
}

func TestGoAway_SplitsTheStreamsInFlight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		share float64
		last  uint32
		kept  int
	}{
		"all are still answered": {0, 7, 4},
		"the younger half":       {0.5, 3, 2},
		"none are answered":      {1, 0, 0}, // before stream 1
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil).greet()
			var streams []*arrival
			for id := uint32(1); id <= 7; id += 2 {
				streams = append(streams, r.open(id))
			}
			r.conn.GoAway(c.share, http2.ErrCodeNo, []byte(`{"reason":"Shutdown"}`))
			bye := next[*http2.GoAwayFrame](r)
			require.Equal(t, c.last, bye.LastStreamID)
			require.JSONEq(t, `{"reason":"Shutdown"}`, string(bye.DebugData()))

			r.headers(9, true) // sent before the peer read the frame: ignored
			for i, st := range streams {
				if i < c.kept {
					require.Equal(t, Answered, st.answer(Response{Status: 200}))
					require.Equal(t, st.ID, next[*http2.MetaHeadersFrame](r).StreamID)
				} else {
					require.Equal(t, Abandoned, st.answer(Response{Status: 200}))
				}
			}
			r.eof()
		})
	}
}

func TestGoAway_Idle(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	r.conn.GoAway(1, http2.ErrCodeNo, nil)
	require.Zero(t, next[*http2.GoAwayFrame](r).LastStreamID)
	r.eof()
}

func TestGoAwayBefore_DropsThisStreamAndLaterOnes(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	first, second, third := r.open(1), r.open(3), r.open(5)
	second.GoAwayBefore(http2.ErrCodeNo, nil)
	r.conn.Flush()
	require.EqualValues(t, 1, next[*http2.GoAwayFrame](r).LastStreamID)
	require.Equal(t, Abandoned, second.State())
	require.Equal(t, Abandoned, third.State())

	r.conn.GoAway(0, http2.ErrCodeNo, nil)
	require.EqualValues(t, 1, next[*http2.GoAwayFrame](r).LastStreamID, "a second farewell takes nothing back")
	require.Equal(t, Answered, first.answer(Response{Status: 200}))
	next[*http2.MetaHeadersFrame](r)
	r.eof()
}

func TestSync_WritesBeforeItReturns(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	r.open(1)
	r.conn.GoAway(0, http2.ErrCodeNo, nil)
	r.conn.Sync()
	r.conn.mu.Lock()
	left := len(r.conn.out)
	r.conn.mu.Unlock()
	require.Zero(t, left)
	next[*http2.GoAwayFrame](r)
}

func TestPing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	require.NoError(t, r.fr.WritePing(true, [8]byte{9}), "an acknowledgement is not answered")
	require.NoError(t, r.fr.WritePing(false, [8]byte{1, 2, 3}))
	pong := next[*http2.PingFrame](r)
	require.True(t, pong.IsAck())
	require.Equal(t, [8]byte{1, 2, 3}, pong.Data)
	require.EqualValues(t, 1, r.counters.Pings.Load())
}

// A broken stream is reset, and the connection lives on.
func TestStreamErrors(t *testing.T) {
	t.Parallel()
	good := []string{":method", "POST", ":scheme", "https", ":path", "/p"}
	with := func(fields ...string) []string { return append(append([]string{}, good...), fields...) }
	for name, c := range map[string]struct {
		send func(r *rig)
		code http2.ErrCode
	}{
		"no method":                {func(r *rig) { r.headers(1, true, ":scheme", "https", ":path", "/p") }, http2.ErrCodeProtocol},
		"no path":                  {func(r *rig) { r.headers(1, true, ":method", "GET", ":scheme", "https") }, http2.ErrCodeProtocol},
		"upper-case name":          {func(r *rig) { r.headers(1, true, with("X-A", "1")...) }, http2.ErrCodeProtocol},
		"connection header":        {func(r *rig) { r.headers(1, true, with("connection", "close")...) }, http2.ErrCodeProtocol},
		"te other than trailers":   {func(r *rig) { r.headers(1, true, with("te", "gzip")...) }, http2.ErrCodeProtocol},
		"content-length, no body":  {func(r *rig) { r.headers(1, true, with("content-length", "1")...) }, http2.ErrCodeProtocol},
		"content-length no number": {func(r *rig) { r.headers(1, true, with("content-length", "-1")...) }, http2.ErrCodeProtocol},
		"two content-lengths":      {func(r *rig) { r.headers(1, true, with("content-length", "0", "content-length", "1")...) }, http2.ErrCodeProtocol},
		"headers too long": {func(r *rig) {
			r.headers(1, true, with("x", strings.Repeat("0", 12000), "y", strings.Repeat("0", 12000))...)
		}, http2.ErrCodeEnhanceYourCalm},
		"trailers that do not end": {func(r *rig) { r.headers(1, false); r.headers(1, false, "x", "1") }, http2.ErrCodeProtocol},
		"body shorter than promised": {func(r *rig) {
			r.headers(1, false, with("content-length", "3")...)
			_ = r.fr.WriteData(1, true, []byte("ab"))
		}, http2.ErrCodeProtocol},
		"stream window overflow": {func(r *rig) { r.headers(1, false); _ = r.fr.WriteWindowUpdate(1, 1<<31-1) }, http2.ErrCodeFlowControl},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil).greet()
			r.fr.AllowIllegalWrites = true
			c.send(r)
			rst := next[*http2.RSTStreamFrame](r)
			require.Equal(t, c.code, rst.ErrCode)
			require.EqualValues(t, 1, rst.StreamID)
			require.NotNil(t, r.open(3))
		})
	}
}

// A broken connection ends by GOAWAY.
func TestConnectionErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send func(r *rig)
		code http2.ErrCode
	}{
		"even stream":                {func(r *rig) { r.headers(2, true) }, http2.ErrCodeProtocol},
		"DATA on an idle stream":     {func(r *rig) { _ = r.fr.WriteData(1, true, nil) }, http2.ErrCodeProtocol},
		"RST_STREAM, idle stream":    {func(r *rig) { _ = r.fr.WriteRSTStream(1, 0) }, http2.ErrCodeProtocol},
		"WINDOW_UPDATE, idle stream": {func(r *rig) { _ = r.fr.WriteWindowUpdate(1, 1) }, http2.ErrCodeProtocol},
		"connection window overflow": {func(r *rig) { _ = r.fr.WriteWindowUpdate(0, 1<<31-1) }, http2.ErrCodeFlowControl},
		"PUSH_PROMISE": {func(r *rig) {
			_ = r.fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, http2.ErrCodeProtocol},
		"frame too large": {func(r *rig) { r.headers(1, false); _ = r.fr.WriteData(1, true, make([]byte, maxFrame+1)) }, http2.ErrCodeFrameSize},
		"bad setting":     {func(r *rig) { _ = r.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}) }, http2.ErrCodeFlowControl},
		"broken headers": {func(r *rig) {
			_ = r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
		}, http2.ErrCodeCompression},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil).greet()
			r.fr.AllowIllegalWrites = true
			go func() { c.send(r) }() // the server may stop reading in the middle
			f, err := r.fr.ReadFrame()
			require.NoError(t, err)
			require.Equal(t, c.code, f.(*http2.GoAwayFrame).ErrCode)
			require.Error(t, <-r.ended)
		})
	}
}

func TestServe_NotHTTP2(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	_, err := io.WriteString(r.nc, "GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n")
	require.NoError(t, err)
	require.ErrorContains(t, <-r.ended, "does not speak HTTP/2")
}

func TestServe_FirstFrameMustBeSettings(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	_, err := io.WriteString(r.nc, http2.ClientPreface)
	require.NoError(t, err)
	require.NoError(t, r.fr.WritePing(false, [8]byte{}))
	require.ErrorContains(t, <-r.ended, "peer broke the protocol")
}

func FuzzServe(f *testing.F) {
	var request bytes.Buffer
	fr := http2.NewFramer(&request, nil)
	_ = fr.WriteSettings()
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83, 0x87, 0x84}, EndHeaders: true})
	_ = fr.WriteData(1, true, []byte("{}"))
	f.Add(request.Bytes())
	f.Fuzz(func(t *testing.T, frames []byte) {
		r := newRig(t, func(st *Stream) { st.Respond(Response{Status: 200, Body: []byte("x")}, func(State) {}) })
		go func() { _, _ = io.Copy(io.Discard, r.nc) }()
		_, _ = io.WriteString(r.nc, http2.ClientPreface)
		_, _ = r.nc.Write(frames)
		_ = r.nc.Close()
		<-r.ended
		require.Zero(t, r.counters.Streams.Load(), "a stream was left over")
	})
}

// A peer that had not read our GOAWAY yet opens streams above the last one, and cancels them when it has.
func TestGoAway_StreamsSentTooLateMayBeCancelled(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	kept := r.open(1)
	r.conn.GoAway(0, http2.ErrCodeNo, nil)
	require.EqualValues(t, 1, next[*http2.GoAwayFrame](r).LastStreamID)
	r.headers(3, false)
	require.NoError(t, r.fr.WriteWindowUpdate(3, 10))
	require.NoError(t, r.fr.WriteRSTStream(3, http2.ErrCodeCancel))
	require.Equal(t, Answered, kept.answer(Response{Status: 200}), "the connection lives on for what was taken")
	require.EqualValues(t, 1, next[*http2.MetaHeadersFrame](r).StreamID)
}
