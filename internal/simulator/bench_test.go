package simulator

import (
	"bytes"
	"crypto/tls"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// blast is a sender that costs next to nothing: it writes prepared frames, keeps a window of requests under way and
// counts the answers, so that a benchmark shows the simulator and not its client.
type blast struct {
	b      *testing.B
	tc     *tls.Conn
	fr     *http2.Framer
	header []hpack.HeaderField
	body   []byte
}

func (l *blast) run(n, window int) {
	slots := make(chan struct{}, window)
	failed := new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			for {
				f, err := l.fr.ReadFrame()
				if err != nil {
					l.b.Error(err)
					return
				}
				if h, ok := f.(*http2.MetaHeadersFrame); ok {
					if h.PseudoValue("status") != "200" && h.PseudoValue("status") != "201" {
						failed.Add(1)
					}
					if h.StreamEnded() {
						break
					}
				} else if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
					break
				} else if _, ok := f.(*http2.GoAwayFrame); ok {
					l.b.Error("GOAWAY")
					return
				}
			}
			<-slots
		}
	}()
	l.write(n, window, slots, done)
	<-done
	if failed.Load() > 0 {
		l.b.Fatal(failed.Load(), "refused")
	}
}

func (l *blast) write(n, window int, slots, done chan struct{}) {
	var out, block bytes.Buffer
	fw, enc := http2.NewFramer(&out, nil), hpack.NewEncoder(&block)
	id := uint32(1)
	for i := range n {
		select {
		case slots <- struct{}{}:
		case <-done: // the reader has failed
			return
		}
		block.Reset()
		for _, f := range l.header {
			_ = enc.WriteField(f)
		}
		_ = fw.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
		_ = fw.WriteData(id, true, l.body)
		id += 2
		if out.Len() > 14000 || len(slots) == window || i == n-1 {
			if _, err := l.tc.Write(out.Bytes()); err != nil {
				l.b.Error(err)
				return
			}
			out.Reset()
		}
	}
}

func (r *rig) blast(b *testing.B, url, path, body string, header ...string) *blast {
	b.Helper()
	tc, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), r.clientTLS())
	require.NoError(b, err)
	b.Cleanup(func() { _ = tc.Close() })
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":path", Value: path, Sensitive: true},
		{Name: ":authority", Value: "x"}, {Name: "content-length", Value: strconv.Itoa(len(body))},
	}
	for i := 0; i < len(header); i += 2 {
		fields = append(fields, hpack.HeaderField{Name: header[i], Value: header[i+1]})
	}
	_, err = io.WriteString(tc, http2.ClientPreface)
	require.NoError(b, err)
	fr := http2.NewFramer(tc, tc)
	require.NoError(b, fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}))
	require.NoError(b, fr.WriteWindowUpdate(0, 1<<30))
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.SetReuseFrames()
	return &blast{b, tc, fr, fields, []byte(body)}
}

// encrypted is a payload of the size that matters: a gematik ciphertext.
var encrypted = `{"aps":{"alert":{"body":"New notification"},"mutable-content":1},"ciphertext":"` + strings.Repeat("A", 1404) +
	`","time_message_encrypted":"2026-11","key_identifier":"5ebb1486-7430-42c0-b9aa-b57ca6c90ea4"}`

func BenchmarkAPNs(b *testing.B) {
	for name, o := range map[string]Options{
		"no receipts":    {KeepReceipts: -1},
		"brief receipts": {KeepReceipts: 10000, BriefReceipts: true},
		"full receipts":  {KeepReceipts: 10000},
		"latency 100ms":  {KeepReceipts: -1, Latency: 100 * time.Millisecond},
	} {
		b.Run(name, func(b *testing.B) {
			r := start(b, o)
			bearer := r.provider(CredentialOptions{}).token(0)
			l := r.blast(b, r.APNsURL(), apnsPath+testToken, encrypted, "authorization", "bearer "+bearer,
				"apns-topic", testTopic, "apns-push-type", "alert", "apns-priority", "10", "apns-collapse-id", "0123456789abcdef0123456789abcdef")
			b.ReportAllocs()
			b.ResetTimer()
			l.run(b.N, 900)
		})
	}
}

func BenchmarkFCM(b *testing.B) {
	r := start(b, Options{KeepReceipts: -1})
	bearer := r.account(CredentialOptions{}).token()
	body := `{"message":{"token":"` + fcmToken + `","android":{"priority":"high"},"data":{"ciphertext":"` + strings.Repeat("A", 1404) +
		`","time_message_encrypted":"2026-11","key_identifier":"5ebb1486-7430-42c0-b9aa-b57ca6c90ea4"}}}`
	l := r.blast(b, r.FCMURL(), "/v1/projects/pushgate-sim/messages:send", body, "authorization", "Bearer "+bearer, "content-type", "application/json")
	b.ReportAllocs()
	b.ResetTimer()
	l.run(b.N, 900)
}
