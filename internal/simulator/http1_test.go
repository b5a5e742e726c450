package simulator

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// line1 is one HTTP/1.1 connection.
type line1 struct {
	t  testing.TB
	r  *rig
	tc *tls.Conn
	br *bufio.Reader
}

func (r *rig) dial1(url string) *line1 {
	r.t.Helper()
	cfg := r.clientTLS()
	cfg.NextProtos = []string{"http/1.1"}
	tc, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), cfg)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = tc.Close() })
	require.NoError(r.t, tc.SetDeadline(time.Now().Add(patience)))
	return &line1{r.t, r, tc, bufio.NewReader(tc)}
}

// message is a good request for FCM.
func (l *line1) message(bearer string) *http.Request {
	return l.r.request("POST", l.r.FCMURL()+"/v1/projects/pushgate-sim/messages:send", fcmMessage1,
		http.Header{"Authorization": {"Bearer " + bearer}, "Content-Type": {"application/json"}})
}

func (l *line1) send(req *http.Request) {
	l.t.Helper()
	require.NoError(l.t, req.Write(l.tc))
}

func (l *line1) read() (*http.Response, string, error) {
	resp, err := http.ReadResponse(l.br, nil)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func (l *line1) closed() {
	l.t.Helper()
	_, err := l.br.ReadByte()
	require.ErrorIs(l.t, err, io.EOF)
}

func http1Rig(t *testing.T) (*rig, string, *line1) {
	t.Helper()
	r := start(t, Options{})
	return r, r.account(CredentialOptions{}).token(), r.dial1(r.FCMURL())
}

func TestHTTP1_KeepsAlive(t *testing.T) {
	t.Parallel()
	r, bearer, l := http1Rig(t)
	for i := range 3 {
		l.send(l.message(bearer))
		resp, body, err := l.read()
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode, body)
		require.Equal(t, "application/json; charset=UTF-8", resp.Header.Get("content-type"))
		require.Contains(t, body, r.Receipts()[i].ID)
	}
	require.Zero(t, r.last().Stream)
	require.Equal(t, fcmMessage1, string(r.last().Payload))

	chunked := l.message(bearer)
	chunked.ContentLength, chunked.TransferEncoding = -1, []string{"chunked"}
	l.send(chunked)
	l.send(l.message(bearer)) // before the first is answered
	for range 2 {
		resp, _, err := l.read()
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
	}
	require.EqualValues(t, 1, r.Stats().Services[FCM].ConnectionsOpened)
}

func TestHTTP1_Delay(t *testing.T) {
	t.Parallel()
	r, bearer, l := http1Rig(t)
	r.Script(FCM, fcmToken, Answer{Reason: "UNREGISTERED", Delay: time.Millisecond})
	l.send(l.message(bearer))
	resp, _, err := l.read()
	require.NoError(t, err)
	require.Equal(t, 404, resp.StatusCode)
}

func TestHTTP1_LastAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer Answer
		edit   func(*http.Request)
		status int
	}{
		"closed by us":   {Answer{Close: true}, func(*http.Request) {}, 200},
		"closed by them": {Answer{}, func(q *http.Request) { q.Close = true }, 200},
		"body too large": {Answer{}, func(q *http.Request) {
			q.Body, q.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat(" ", maxBody+1))), maxBody+1
		}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, bearer, l := http1Rig(t)
			r.Script(FCM, AnyToken, c.answer)
			req := l.message(bearer)
			c.edit(req)
			l.send(req)
			resp, _, err := l.read()
			require.NoError(t, err)
			require.Equal(t, c.status, resp.StatusCode)
			require.True(t, resp.Close)
			l.closed()
		})
	}
}

func TestHTTP1_Faults(t *testing.T) {
	t.Parallel()
	for _, fault := range []Fault{FaultReset, FaultRefuse, FaultGoAway, FaultDisconnect} {
		r, bearer, l := http1Rig(t)
		r.Script(FCM, fcmToken, Answer{Fault: fault})
		l.send(l.message(bearer))
		_, _, err := l.read()
		require.Error(t, err, fault)
		require.Equal(t, fault, r.last().Fault)
	}
	r, bearer, l := http1Rig(t)
	r.Script(FCM, fcmToken, Answer{Fault: FaultTruncate})
	l.send(l.message(bearer))
	resp, half, err := l.read()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, 200, resp.StatusCode)
	require.NotEmpty(t, half)
}

func TestHTTP1_CallerLeaves(t *testing.T) {
	t.Parallel()
	r, bearer, l := http1Rig(t)
	r.Script(FCM, fcmToken, Answer{Fault: FaultHang}, Answer{Delay: 100 * time.Millisecond})
	l.send(l.message(bearer))
	_, err := r.WaitReceipts(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, l.tc.Close())
	soon(t, "the server notices", func() bool { return r.Stats().Services[FCM].ConnectionsOpen == 0 })

	l = r.dial1(r.FCMURL())
	l.send(l.message(bearer))
	r.scriptTaken(t, FCM)
	require.NoError(t, l.tc.Close())
	all, err := r.WaitReceipts(t.Context(), 2)
	require.NoError(t, err)
	require.True(t, all[1].Delivered)
	require.True(t, all[1].Unheard)
}

func TestHTTP1_AbandonedByAnOutage(t *testing.T) {
	t.Parallel()
	r, bearer, l := http1Rig(t)
	r.Script(FCM, fcmToken, Answer{Delay: 100 * time.Millisecond})
	l.send(l.message(bearer))
	r.scriptTaken(t, FCM)
	r.Disconnect(FCM)
	all, err := r.WaitReceipts(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, FaultAbandoned, all[0].Fault)
	require.False(t, all[0].Delivered)
}

func TestHTTP1_BrokenRequests(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for name, text := range map[string]string{
		"no HTTP":            "hello\r\n\r\n",
		"bad length":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
		"headers for ever":   "POST / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 200<<10) + "\r\n\r\n",
		"body cut off":       "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"a control in names": "POST / HTTP/1.1\r\nHost: x\r\nA\x01: b\r\n\r\n",
	} {
		l := r.dial1(r.FCMURL())
		_, _ = io.WriteString(l.tc, text)
		_, _, err := l.read()
		require.Error(t, err, name)
	}
	require.Zero(t, r.Stats().Services[FCM].Requests)
}
