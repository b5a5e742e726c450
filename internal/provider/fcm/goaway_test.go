package fcm

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// leaver is a server that says GOAWAY to connections, in memory. It never closes one: that is the client's turn.
type leaver struct {
	config *tls.Config
	polite bool        // waits for the first request, which it then has not processed
	stay   atomic.Bool // answers requests instead

	dials, closed atomic.Int64
}

func (s *leaver) dial(context.Context, string, string) (net.Conn, error) {
	s.dials.Add(1)
	ours, theirs := net.Pipe()
	go s.serve(tls.Server(ours, s.config))
	return theirs, nil
}

func (s *leaver) serve(conn *tls.Conn) {
	defer s.closed.Add(1)
	defer func() { _ = conn.Close() }()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	writes := make(chan func() error, 100) // a pipe holds nothing: who reads must not write
	defer close(writes)
	go func() {
		for write := range writes {
			_ = write()
		}
	}()
	goAway := func() error { return framer.WriteGoAway(0, http2.ErrCodeNo, nil) }
	writes <- func() error { return framer.WriteSettings() }
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.PingFrame:
			if data := f.Data; !f.IsAck() {
				writes <- func() error { return framer.WritePing(true, data) }
			}
			if !s.polite && !s.stay.Load() {
				writes <- goAway
			}
		case *http2.HeadersFrame:
			id := f.StreamID
			if s.stay.Load() {
				writes <- func() error {
					const status200 = "\x88" // HPACK's static table
					return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(status200), EndStream: true, EndHeaders: true})
				}
			} else {
				writes <- goAway
			}
		}
	}
}

// TestLink_AServerThatSendsEveryConnectionAway: its connections are closed, and new ones come ever more slowly.
func TestLink_AServerThatSendsEveryConnectionAway(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	roots, err := f.config(t).authorities()
	require.NoError(t, err)
	for name, polite := range map[string]bool{"at once": false, "at the first request": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &leaver{config: &tls.Config{Certificates: f.server.TLS.Certificates, NextProtos: []string{http2.NextProtoTLS}}, polite: polite}
				l := newLink(roots, s.dial, time.Now)
				l.acquire()
				ask := func(patience time.Duration) error {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://127.0.0.1:443/", strings.NewReader("{}"))
					if err != nil {
						return err
					}
					resp, err := l.roundTrip(req)
					if err == nil {
						err = resp.Body.Close()
					}
					return err
				}
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						for began := time.Now(); time.Since(began) < 30*time.Second; {
							if ask(15*time.Second) == nil {
								t.Error("nobody answers")
							}
						}
					})
				}
				wg.Wait()
				require.LessOrEqual(t, s.dials.Load(), int64(20), "in half a minute or a bit more")
				time.Sleep(time.Second)
				synctest.Wait()
				require.GreaterOrEqual(t, s.closed.Load(), s.dials.Load()-1, "no connection is left open")

				s.stay.Store(true)
				require.NoError(t, ask(maxBarrenHold+time.Second), "a service that has come back is found soon")
				require.NoError(t, ask(time.Second))
				l.release()
				l.retire()
				synctest.Wait()
				require.Equal(t, s.dials.Load(), s.closed.Load())
			})
		})
	}
}
