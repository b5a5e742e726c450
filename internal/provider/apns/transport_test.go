package apns

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scriptedConn answers each request by the next function.
type scriptedConn struct {
	fakeConn
	script func(req *http.Request) (*http.Response, error)
}

func (c *scriptedConn) RoundTrip(req *http.Request) (*http.Response, error) {
	defer c.change(func() { c.busy-- })
	return c.script(req)
}

// carry sends a payload over a connection that behaves as the scripts say, in order, and returns what came of it.
func carry(t *testing.T, scripts ...func(*http.Request) (*http.Response, error)) (*attempt, error) {
	t.Helper()
	next := func(req *http.Request) (*http.Response, error) {
		require.NotEmpty(t, scripts, "one request too many")
		now := scripts[0]
		scripts = scripts[1:]
		return now(req)
	}
	p := newPool(func(context.Context) (clientConn, error) {
		return &scriptedConn{fakeConn: fakeConn{limit: 10}, script: next}, nil
	}, 10, false, slog.New(slog.DiscardHandler))
	defer p.close()
	tr := &transport{pool: p, verdicts: verdicts(), now: time.Now}
	a := &attempt{payload: []byte(`{"aps":{}}`)}
	req, err := http.NewRequestWithContext(a.in(t.Context()), http.MethodPost, "https://127.0.0.1/3/device/aa", http.NoBody)
	require.NoError(t, err)
	res, err := tr.RoundTrip(req)
	if err == nil {
		require.NoError(t, res.Body.Close())
	}
	require.Empty(t, scripts, "a request is missing")
	return a, err
}

func delivered(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != `{"aps":{}}` || req.ContentLength != int64(len(body)) || req.GetBody != nil {
		return nil, errors.New("not the payload")
	}
	return response(200, "", ""), nil
}

func TestTransport_PayloadThatNeverLeftIsSentAgain(t *testing.T) {
	t.Parallel()
	unread := func(*http.Request) (*http.Response, error) { return nil, errors.New("http2: client conn not usable") }
	a, err := carry(t, unread, unread, delivered)
	require.NoError(t, err)
	require.Equal(t, answer{status: 200}, a.answer)

	_, err = carry(t, unread, unread, unread)
	require.Error(t, err, "there is an end to it")
}

func TestTransport_PayloadThatMayHaveArrivedIsNot(t *testing.T) {
	t.Parallel()
	read := func(req *http.Request) (*http.Response, error) {
		_, _ = req.Body.Read(make([]byte, 1))
		return nil, errors.New("reset")
	}
	a, err := carry(t, read)
	require.EqualError(t, err, "reset")
	require.False(t, a.answered)
	require.Equal(t, err, a.err)
}

// TestTransport_BodyIsDeafAfterTheRequest: net/http may still hold it when the buffer is already used again.
func TestTransport_BodyIsDeafAfterTheRequest(t *testing.T) {
	t.Parallel()
	var late io.Reader
	_, err := carry(t, func(req *http.Request) (*http.Response, error) {
		late = req.Body
		return response(410, `{"reason":"Unregistered"}`, ""), nil
	})
	require.NoError(t, err)
	n, err := late.Read(make([]byte, 10))
	require.Zero(t, n)
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestTransport_WithoutAnAttempt(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://127.0.0.1/", http.NoBody)
	require.NoError(t, err)
	_, err = (&transport{}).RoundTrip(req)
	require.ErrorIs(t, err, errNoAttempt)
}
