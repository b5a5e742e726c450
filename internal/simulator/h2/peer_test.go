package h2

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testLimit = 4

// rig is a served connection whose requests arrive on a channel, and the raw other end of it.
type rig struct {
	t        *testing.T
	conn     *Conn
	counters *Counters
	arrived  chan *arrival
	ended    chan error

	nc    net.Conn
	fr    *http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
}

// arrival is a request, with its body copied.
type arrival struct {
	*Stream
	body string
}

// newRig serves one connection; serve may answer inline, nil hands requests to rig.arrived.
func newRig(t *testing.T, serve func(*Stream)) *rig {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	r := &rig{t: t, counters: &Counters{}, arrived: make(chan *arrival, 100), ended: make(chan error, 1)}
	r.nc, err = net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	accepted, err := ln.Accept()
	require.NoError(t, err)
	if serve == nil {
		serve = func(st *Stream) { r.arrived <- &arrival{st, string(st.Body)} }
	}
	r.conn = New(accepted, testLimit, Options{Serve: serve, MaxBody: 8192, Counters: r.counters})
	go func() { r.ended <- r.conn.Serve() }()
	t.Cleanup(func() { _ = r.nc.Close() })
	require.NoError(t, r.nc.SetDeadline(time.Now().Add(20*time.Second)))
	r.fr = http2.NewFramer(r.nc, r.nc)
	r.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	r.enc = hpack.NewEncoder(&r.block)
	return r
}

// greet does the client's part of the preface and reads the server's.
func (r *rig) greet(settings ...http2.Setting) *rig {
	r.t.Helper()
	_, err := io.WriteString(r.nc, http2.ClientPreface)
	require.NoError(r.t, err)
	require.NoError(r.t, r.fr.WriteSettings(settings...))
	f := next[*http2.SettingsFrame](r)
	limit, ok := f.Value(http2.SettingMaxConcurrentStreams)
	require.True(r.t, ok)
	require.EqualValues(r.t, testLimit, limit)
	next[*http2.WindowUpdateFrame](r)
	require.True(r.t, next[*http2.SettingsFrame](r).IsAck())
	return r
}

// next reads a frame, which must be an F.
func next[F http2.Frame](r *rig) F {
	r.t.Helper()
	f, err := r.fr.ReadFrame()
	require.NoError(r.t, err)
	typed, ok := f.(F)
	require.Truef(r.t, ok, "got %v", f)
	return typed
}

// headers opens a stream. fields alternate names and values and replace the defaults.
func (r *rig) headers(id uint32, end bool, fields ...string) {
	r.t.Helper()
	if fields == nil {
		fields = []string{":method", "POST", ":scheme", "https", ":authority", "x", ":path", "/p"}
	}
	r.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		require.NoError(r.t, r.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	require.NoError(r.t, r.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.block.Bytes(), EndHeaders: true, EndStream: end}))
}

// open sends a whole request and waits until it is served.
func (r *rig) open(id uint32) *arrival {
	r.t.Helper()
	r.headers(id, true)
	return <-r.arrived
}

// eof reads until the server has closed.
func (r *rig) eof() {
	r.t.Helper()
	f, err := r.fr.ReadFrame()
	require.ErrorIs(r.t, err, io.EOF, "%v", f)
	require.NoError(r.t, r.nc.Close())
	require.NoError(r.t, <-r.ended)
}

func (st *Stream) answer(r Response) State {
	state := st.Respond(r, func(State) {})
	st.Conn().Flush()
	return state
}
