package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"
)

// Refused says that the rules forbid a request; nothing was sent. It is a property of the address, so repeating the
// request does not help.
type Refused struct {
	Reason string // fixed words: "not https", "port", "private address", ...
}

// Error returns the reason.
func (e *Refused) Error() string { return "egress refused: " + e.Reason }

// ErrTooLarge says that the other side sent more than the limit.
var ErrTooLarge = errors.New("egress: answer too large")

// Error is a request that went wrong. Its text says in fixed words what kind of trouble it was; the cause is there for
// errors.Is and errors.As, and must not be printed: it may hold names and paths that strangers chose.
type Error struct {
	Op  string // "dial", "request", "proxy"
	Err error
}

// Error returns the operation and the kind of trouble.
func (e *Error) Error() string { return "egress: " + e.Op + ": " + Kind(e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether time ran out.
func (e *Error) Timeout() bool {
	var n net.Error
	return errors.Is(e.Err, context.DeadlineExceeded) || errors.As(e.Err, &n) && n.Timeout()
}

// Kind names the trouble behind err in fixed words, fit for logs and metric labels.
func Kind(err error) string {
	var (
		refused *Refused
		dns     *net.DNSError
		record  tls.RecordHeaderError
		verify  *tls.CertificateVerificationError
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		alert   tls.AlertError
		proxy   *ProxyError
		netErr  net.Error
	)
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &refused):
		return "refused by the rules"
	case errors.As(err, &proxy):
		return proxy.kind()
	case errors.Is(err, ErrTooLarge):
		return "answer too large"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &dns):
		return "name not resolved"
	case errors.As(err, &verify), errors.As(err, &invalid), errors.As(err, &name), errors.As(err, &unknown):
		return "certificate not trusted"
	case errors.As(err, &record), errors.As(err, &alert):
		return "tls"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.As(err, &netErr) && netErr.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	default:
		return "failed"
	}
}

// quiet wraps what went wrong so that its text is safe. A *url.Error prints the URL with its path, a *net.OpError and
// a *net.DNSError print names.
func quiet(op string, err error) error {
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if r, ok := errors.AsType[*Refused](err); ok {
		return r
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Op: op, Err: err}
}
