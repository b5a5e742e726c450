package apns

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// maxResends is how often one attempt may move to another connection because the server provably did not process it.
const maxResends = 2

// transport carries apns2's requests. It fills the gaps of the SDK: it sends the payload byte for byte (apns2 encodes it
// again, and HTML escapes would grow it past the limit), chooses connection and provider token together, keeps
// Retry-After, reads at most a few kilobytes of an answer and believes none that is not in Apple's shape, and follows no
// redirects. What came of a request is noted in its attempt.
type transport struct {
	pool     *pool
	bearers  *bearers // nil with a certificate
	verdicts table
	now      func() time.Time
}

// attempt is one notification on its way, in the context of its request.
type attempt struct {
	payload []byte

	answered bool
	answer   answer
	err      error   // why there is no answer
	worked   bool    // the connection had worked before
	bearer   *bearer // the provider token that was sent
	resends  int
}

type attemptKey struct{}

func (a *attempt) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// connectError says that no connection took the request: it never left.
type connectError struct{ err error }

func (e *connectError) Error() string { return "no connection: " + e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

var (
	errNoAttempt = errors.New("a request without an attempt")
	errShutdown  = errors.New("the server shuts down")
)

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	a, ok := req.Context().Value(attemptKey{}).(*attempt)
	if !ok {
		return nil, errNoAttempt
	}
	for {
		unprocessed, err := t.try(req, a)
		if err == nil {
			return a.response(req), nil
		}
		if a.err = err; !unprocessed || a.resends == maxResends || req.Context().Err() != nil {
			return nil, err
		}
		a.resends++
	}
}

// CloseIdleConnections is what apns2 and net/http call; connections end with the pool.
func (t *transport) CloseIdleConnections() {}

// try sends the request once. On an error it reports whether the server provably did not process it, so that sending it
// again cannot ring twice.
func (t *transport) try(req *http.Request, a *attempt) (unprocessed bool, err error) {
	a.answered = false
	if t.bearers != nil {
		t.bearers.revive()
	}
	c, err := t.pool.acquire(req.Context())
	if err != nil {
		return false, &connectError{err}
	}
	body := &payloadBody{rest: a.payload}
	defer body.release()
	res, err := c.cc.RoundTrip(t.prepare(req, a, body))
	if err != nil {
		t.pool.release(c, endingOf(err))
		return !body.touched() || provablyUnprocessed(err), err
	}
	a.answer = readAnswer(res, t.now())
	a.answered = true
	if a.answer.status == http.StatusOK {
		a.bearer.accept()
	}
	if t.verdicts.class(a.answer) != classConnection {
		a.worked = t.pool.release(c, endWorked)
		return false, nil
	}
	a.worked = t.pool.release(c, endRefused)
	if a.answer.reason == reasonShutdown && a.resends < maxResends {
		return true, errShutdown // an answer, and it says no
	}
	return false, nil
}

// prepare returns the request as it goes out. The header map is shared: it belongs to this one request.
func (t *transport) prepare(req *http.Request, a *attempt, body io.ReadCloser) *http.Request {
	out := new(http.Request)
	*out = *req
	out.Body, out.GetBody, out.ContentLength = body, nil, int64(len(a.payload))
	if t.bearers != nil {
		a.bearer = t.bearers.get()
		out.Header["Authorization"] = []string{a.bearer.header}
	}
	return out
}

// response is what apns2 sees of the answer: the status and nothing it could stumble over.
func (a *attempt) response(req *http.Request) *http.Response {
	return &http.Response{
		StatusCode: a.answer.status, Proto: "HTTP/2.0", ProtoMajor: 2, Header: http.Header{}, Body: http.NoBody, Request: req,
	}
}

// endingOf says what a failed request tells about its connection. Everything but silence the connection says itself.
func endingOf(err error) ending {
	if errors.Is(err, context.DeadlineExceeded) {
		return endSilent
	}
	return endNeutral
}

// goAwayText is net/http's unexported error for streams above the last stream id of a GOAWAY. Should it ever read
// otherwise, such a request is simply not sent again.
const goAwayText = "http2: Transport received Server's graceful shutdown GOAWAY"

// provablyUnprocessed reports whether the server has said that it did not process the request (RFC 9113 section 8.7).
func provablyUnprocessed(err error) bool {
	if streamErr, ok := errors.AsType[http2.StreamError](err); ok {
		return streamErr.Code == http2.ErrCodeRefusedStream
	}
	return err.Error() == goAwayText
}

// payloadBody is a request body over a buffer that is used again: after release nobody reads it any more, whatever
// goroutine of net/http may still hold it.
type payloadBody struct {
	mu   sync.Mutex
	rest []byte
	read bool // some of it may be on the wire
	done bool
}

// Read implements io.Reader.
func (b *payloadBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return 0, io.ErrClosedPipe
	}
	b.read = true
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	if len(b.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (b *payloadBody) Close() error {
	b.release()
	return nil
}

func (b *payloadBody) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done, b.rest = true, nil
}

// touched reports whether any of the payload may have left: without it Apple has nothing to deliver.
func (b *payloadBody) touched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read
}
