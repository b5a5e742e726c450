package h2

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestServe_GoClientRoundTrips(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("0123456789abcdef", 64<<10/16*5) // over every initial window
	r := newRig(t, func(st *Stream) {
		header := []hpack.HeaderField{{Name: "x-path", Value: st.Path}, {Name: "x-body", Value: string(st.Body)}}
		switch st.Path {
		case "/page":
			st.Respond(Response{Status: 200, Header: header, Body: []byte(page)}, func(State) {})
		case "/later":
			header[1].Value = strings.Clone(header[1].Value)
			go func() { st.answer(Response{Status: 202, Header: header, Body: []byte("later")}) }()
		default:
			st.Respond(Response{Status: 204, Header: header}, func(State) {})
		}
	})
	cc, err := new(http2.Transport).NewClientConn(r.nc) //nolint:staticcheck // net/http would pool it
	require.NoError(t, err)
	defer cc.Close()
	client := &http.Client{Transport: cc}

	var wg sync.WaitGroup
	for range testLimit / 2 { // a client counts a stream for a moment after its end
		wg.Go(func() {
			for path, want := range map[string]struct {
				status int
				body   string
			}{"/page": {200, page}, "/later": {202, "later"}, "/bare": {204, ""}} {
				resp, err := client.Post("http://x"+path, "text/plain", strings.NewReader("hello"))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != want.status || string(body) != want.body {
					t.Errorf("%s: %v, %d, %d bytes", path, err, resp.StatusCode, len(body))
				}
				if resp.Header.Get("x-path") != path || resp.Header.Get("x-body") != "hello" {
					t.Errorf("%s: %v", path, resp.Header)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, r.counters.Streams.Load())
	require.LessOrEqual(t, r.counters.MaxPerConn.Load(), int64(testLimit))
	require.Zero(t, r.counters.Refused.Load())
}

func TestServe_BodyInPieces(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	r.headers(1, false, ":method", "POST", ":scheme", "https", ":path", "/p", "content-length", "6", "a", "1", "a", "2")
	require.NoError(t, r.fr.WriteData(1, false, []byte("abc")))
	require.NoError(t, r.fr.WriteDataPadded(1, false, []byte("def"), make([]byte, 9)))
	r.headers(1, true, "x-trailer", "ignored")
	st := <-r.arrived
	require.Equal(t, "abcdef", st.body)
	value, times := Get(st.Header, "a")
	require.Equal(t, "1", value)
	require.Equal(t, 2, times)
	require.Equal(t, Open, st.State())
}

func TestRespond_ReportsBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	st := r.open(1)
	var told []State
	note := func(s State) { told = append(told, s) }
	require.Equal(t, Answered, st.Respond(Response{Status: 200}, note))
	require.Equal(t, Answered, st.Respond(Response{Status: 200}, note), "a second answer goes nowhere")
	require.Equal(t, []State{Answered, Answered}, told)
	r.conn.Flush()
	require.Equal(t, "200", next[*http2.MetaHeadersFrame](r).PseudoValue("status"))
}

func TestRespond_WaitsForThePeersWindows(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	st := r.open(1)
	require.Equal(t, Answered, st.answer(Response{Status: 200, Body: []byte("abcdefghij")}))
	require.False(t, next[*http2.MetaHeadersFrame](r).StreamEnded())
	require.Equal(t, "abc", string(next[*http2.DataFrame](r).Data()))

	require.NoError(t, r.fr.WriteWindowUpdate(1, 2))
	require.Equal(t, "de", string(next[*http2.DataFrame](r).Data()))

	require.NoError(t, r.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}))
	data := next[*http2.DataFrame](r)
	require.Equal(t, "fghij", string(data.Data()))
	require.True(t, data.StreamEnded())
}

func TestRespond_ConnectionWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	st := r.open(1)
	st.answer(Response{Status: 200, Body: make([]byte, initialWindow+1)})
	next[*http2.MetaHeadersFrame](r)
	for got := 0; got < initialWindow; {
		data := next[*http2.DataFrame](r)
		got += len(data.Data())
		require.False(t, data.StreamEnded())
	}
	require.NoError(t, r.fr.WriteWindowUpdate(0, 1))
	require.True(t, next[*http2.DataFrame](r).StreamEnded())
}

func TestRespond_CutAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	r.open(1).answer(Response{Status: 200, Body: []byte("half"), Cut: true})
	require.False(t, next[*http2.MetaHeadersFrame](r).StreamEnded())
	require.False(t, next[*http2.DataFrame](r).StreamEnded())
	require.Equal(t, http2.ErrCodeInternal, next[*http2.RSTStreamFrame](r).ErrCode)

	r.open(3).answer(Response{Status: 200, Cut: true})
	require.False(t, next[*http2.MetaHeadersFrame](r).StreamEnded(), "cut before the first byte of the body")
	require.Equal(t, http2.ErrCodeInternal, next[*http2.RSTStreamFrame](r).ErrCode)
}

func TestStream_Reset(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	st := r.open(1)
	require.Equal(t, Abandoned, st.Reset(http2.ErrCodeRefusedStream))
	r.conn.Flush()
	require.Equal(t, http2.ErrCodeRefusedStream, next[*http2.RSTStreamFrame](r).ErrCode)
	require.Equal(t, Abandoned, st.answer(Response{Status: 200}))
	require.Equal(t, Abandoned, st.Reset(http2.ErrCodeInternal))
}

func TestStream_CancelledByThePeer(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	st := r.open(1)
	require.NoError(t, r.fr.WriteRSTStream(1, http2.ErrCodeCancel))
	second := r.open(3) // the reset has been read before this
	require.Equal(t, Cancelled, st.answer(Response{Status: 200}))
	require.EqualValues(t, 1, r.counters.Cancelled.Load())

	require.NoError(t, r.nc.Close())
	require.NoError(t, <-r.ended)
	require.Equal(t, Cancelled, second.State(), "the peer left")
}

func TestStream_AbandonedWithItsConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	st := r.open(1)
	r.conn.Abandon()
	require.Equal(t, Abandoned, st.answer(Response{Status: 200}))
	require.Zero(t, r.counters.Streams.Load())
}

func TestServe_BodyTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil).greet()
	r.headers(1, false)
	require.NoError(t, r.fr.WriteData(1, false, make([]byte, 8000)))
	require.NoError(t, r.fr.WriteData(1, false, make([]byte, 8000)))
	st := <-r.arrived
	require.True(t, st.BodyTooLarge)
	require.Len(t, st.body, 8192)
	require.NoError(t, r.fr.WriteData(1, false, make([]byte, 8000)), "nobody reads it, nobody minds")
	st.answer(Response{Status: 413})
	require.Equal(t, "413", next[*http2.MetaHeadersFrame](r).PseudoValue("status"))
	require.Equal(t, http2.ErrCodeNo, next[*http2.RSTStreamFrame](r).ErrCode)
	require.NoError(t, r.fr.WriteData(1, true, make([]byte, 8000)))
	require.Empty(t, r.open(3).body, "the connection lives on")
}

func TestServe_ReplenishesTheConnectionWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(st *Stream) { st.Respond(Response{Status: 200}, func(State) {}) }).greet()
	body := bytes.Repeat([]byte{'x'}, 8192)
	var granted uint32
	for id := uint32(1); granted == 0; id += 2 {
		require.Less(t, id, uint32(2*connWindow/len(body)), "the window is never given back")
		r.headers(id, false)
		require.NoError(t, r.fr.WriteData(id, true, body))
		for {
			f, err := r.fr.ReadFrame()
			require.NoError(t, err)
			if update, ok := f.(*http2.WindowUpdateFrame); ok {
				granted = update.Increment
				continue
			}
			require.IsType(t, &http2.MetaHeadersFrame{}, f)
			break
		}
	}
	require.EqualValues(t, windowRefill, granted)
}
