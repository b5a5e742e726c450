package api

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// budget bounds the body bytes held over all requests. Bytes count as they arrive, not as they are announced, so slow
// callers cannot reserve it all.
type budget struct {
	limit int64
	held  atomic.Int64
}

// take adds n bytes; false means the limit is reached and nothing was added.
func (b *budget) take(n int64) bool {
	if b.held.Add(n) > b.limit {
		b.held.Add(-n)
		return false
	}
	return true
}

func (b *budget) release(n int64) { b.held.Add(-n) }

// overloadDelay is how long callers are told to stay away while bodies fill the budget: bodies pass within a second.
const overloadDelay = time.Second

// Buffers for reading. What is read is copied out in its exact size, because it stays until the request is answered.
const (
	firstBuffer = 16 << 10
	maxPooled   = 256 << 10
)

func newBuffer() any {
	b := make([]byte, firstBuffer)
	return &b
}

// readBody reads the body to its end. It returns the text and how many bytes of the budget it holds, also on errors.
func (e *Engine) readBody(w http.ResponseWriter, r *http.Request, limit int64) (text string, held int64, err error) {
	if r.ContentLength > limit {
		return "", 0, tooLarge(nil)
	}
	body := http.MaxBytesReader(w, r.Body, limit)
	pooled, _ := e.buffers.Get().(*[]byte)
	buf, n := *pooled, 0
	defer func() {
		if len(buf) <= maxPooled {
			*pooled = buf
		}
		e.buffers.Put(pooled)
	}()
	for {
		if n == len(buf) {
			buf = append(buf, make([]byte, 3*len(buf))...)
		}
		got, err := body.Read(buf[n:])
		if got > 0 && !e.budget.take(int64(got)) {
			return "", held, &push.Error{Kind: push.Limited, Msg: "Too much work under way.", RetryAfter: overloadDelay}
		}
		n, held = n+got, held+int64(got)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return string(buf[:n]), held, nil
		default:
			return "", held, readProblem(err)
		}
	}
}

func readProblem(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(err)
	}
	return &push.Error{Kind: push.Invalid, Code: "M_NOT_JSON", Msg: "The request body could not be read.", Err: err}
}

func tooLarge(err error) error {
	return &push.Error{Kind: push.TooLarge, Msg: "The request body is too large.", Err: err}
}

// checkedBody takes the place of a request's body once it passed the check. Generated handlers bind the checked value
// (as they do with openapi3filter's KeepValidatedValue); reading it again, by other rules, is not possible.
type checkedBody struct{ value any }

// ValidatedValue returns what passed the check.
func (b *checkedBody) ValidatedValue() any { return b.value }

// Read fails: the generated code falls back to it when the value does not fit the Go type, such as 1.0 for an integer.
func (b *checkedBody) Read([]byte) (int, error) { return 0, errReadTwice }

// Close does nothing.
func (b *checkedBody) Close() error { return nil }

var errReadTwice = errors.New("the body is decoded once, by the contract check")
