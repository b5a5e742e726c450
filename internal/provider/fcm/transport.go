package fcm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// maxAnswer is what we read of an answer: FCM's receipts have 100 bytes, its errors below 1 KB.
	maxAnswer = 16 << 10
	// maxDrain is what we let a front end say beyond that before the stream is reset.
	maxDrain = 256 << 10
)

const (
	reasonTimeout    = "timeout"
	reasonCanceled   = "canceled"
	reasonTLS        = "tls"
	reasonConnection = "connection"
	reasonClosed     = "closed"
)

// exchange is one attempt: what goes out and what came back. It travels in the request's context, because the SDK
// stands between Send and the wire.
type exchange struct {
	link   *link
	header string // Authorization
	body   []byte
	now    func() time.Time

	sent   atomic.Bool
	answer answer
	err    error // no answer
}

type exchangeKey struct{}

// wire is the RoundTripper below the SDK. It corrects what the SDK cannot be told:
//   - The SDK retries network errors and 503 up to four times (firebase-admin-go issues 476, 720). Here it never sees
//     either: the true result stays in the exchange, and one exchange goes out at most once.
//   - The SDK's Message would lose members it does not know and the digits of large numbers. Here the body that
//     payload.go built takes its place, and so the pushkey never reaches the SDK's error texts either.
type wire struct{}

// RoundTrip implements http.RoundTripper.
func (wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok || !x.sent.CompareAndSwap(false, true) {
		return stub(req, http.StatusConflict), nil
	}
	x.err = x.do(req)
	return stub(req, http.StatusOK), nil
}

// do makes the request and reads the answer.
func (x *exchange) do(req *http.Request) error {
	out := req.WithContext(req.Context())
	out.Header = maps.Clone(req.Header)
	out.Header["Authorization"] = []string{x.header}
	out.Header["User-Agent"] = []string{"pushgate"}
	out.ContentLength = int64(len(x.body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.body)), nil }
	out.Body, _ = out.GetBody()

	resp, err := x.link.roundTrip(out)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	x.answer.status = resp.StatusCode
	x.answer.retryAfter = retryAfter(resp.Header.Get("Retry-After"), x.now())
	x.answer.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && len(x.answer.body) == maxAnswer {
		_, err = io.CopyN(io.Discard, resp.Body, maxDrain)
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil && resp.StatusCode != http.StatusOK {
		return nil // the status alone says enough
	}
	return err
}

// stub is what the SDK gets to see.
func stub(req *http.Request, status int) *http.Response {
	const receipt = `{"name":"-"}`
	return &http.Response{
		StatusCode:    status,
		Proto:         "HTTP/2.0",
		ProtoMajor:    2,
		Header:        http.Header{},
		Body:          io.NopCloser(bytes.NewReader([]byte(receipt))),
		ContentLength: int64(len(receipt)),
		Request:       req,
	}
}

// unanswered is the meaning of a request that got no answer.
func unanswered(err error) push.Outcome {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return push.Outcome{Reason: reasonTLS, Scope: push.ScopeConnection, Transport: true}
	}
	return interrupted(err)
}

// interrupted names how a wait ended.
func interrupted(err error) push.Outcome {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return push.Outcome{Reason: reasonCanceled, Scope: push.ScopeConnection, Transport: true}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return push.Outcome{Reason: reasonTimeout, Scope: push.ScopeConnection, Transport: true}
	default:
		return push.Outcome{Reason: reasonConnection, Scope: push.ScopeConnection, Transport: true}
	}
}

// cause describes a failure for the log by what the dialler or TLS said. Other texts may quote what a server wrote (a
// GOAWAY's debug data), so of those only the type is shown.
func cause(err error) string {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Error()
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return fmt.Sprintf("%T", err)
}
