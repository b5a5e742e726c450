package gatewayclient

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	wire "github.com/pushgate/pushgate/gen/client/pushgateway"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/push"
)

// Doer sends one request: an egress.Client. It must not follow redirects.
type Doer interface {
	Do(req *http.Request) (*http.Response, error)
}

const (
	// ConnectTimeout bounds getting a connection, TLS included.
	ConnectTimeout = 3 * time.Second
	// Timeout bounds one call, answer included.
	Timeout = 10 * time.Second
	// MaxAnswer is the largest answer that is read: 100 results with a long pushkey each take 60 KB.
	MaxAnswer = 1 << 20
	// maxDrained is how much of an answer that is not read is taken off the connection so that it can be used again.
	maxDrained = 16 << 10
)

// The reasons of failed calls beside those of egress.Kind.
const (
	reasonStatus   = "status"
	reasonBroken   = "broken answer"
	reasonRedirect = "redirect"
	reasonAddress  = "address"
	reasonConnect  = "connect timeout"
)

var errConnect = errors.New("no connection in time")

// Options configure a Client.
type Options struct {
	// HTTP sends the requests.
	HTTP Doer
	// ConnectTimeout and Timeout bound one call; 0 takes the constants of these names.
	ConnectTimeout, Timeout time.Duration
}

// Client calls gateways. It is safe for concurrent use.
type Client struct {
	http             Doer
	connect, timeout time.Duration
}

var _ dispatch.Caller = (*Client)(nil)

// New returns a client.
func New(o Options) (*Client, error) {
	if o.HTTP == nil {
		return nil, errors.New("gateway client: no HTTP client")
	}
	if o.Timeout == 0 {
		o.Timeout = Timeout
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = ConnectTimeout
	}
	return &Client{http: o.HTTP, connect: o.ConnectTimeout, timeout: o.Timeout}, nil
}

// The ends of the addresses that pushers register (package pusher checks them).
const (
	gematikBase = "push/v1/"
	matrixPath  = "_matrix/push/v1/notify"
)

// Sealed implements dispatch.Caller with POST notifyEncrypted/batch.
func (c *Client) Sealed(ctx context.Context, gateway string, items []dispatch.Item) ([]dispatch.Result, error) {
	server, ok := strings.CutSuffix(gateway, gematikBase)
	if !ok {
		return nil, &dispatch.CallError{Reason: reasonAddress}
	}
	body := wire.EncryptedBatchRequest{Notifications: make([]wire.EncryptedBatchItem, len(items))}
	for i, it := range items {
		body.Notifications[i] = wire.EncryptedBatchItem{ID: it.ID, Notification: toEncrypted(it.Notification)}
	}
	req, err := wire.NewNotifyEncryptedBatchRequest(server, body)
	return c.batch(ctx, req, err)
}

// Plain implements dispatch.Caller with POST notify/batch.
func (c *Client) Plain(ctx context.Context, gateway string, items []dispatch.Item) ([]dispatch.Result, error) {
	server, ok := strings.CutSuffix(gateway, gematikBase)
	if !ok {
		return nil, &dispatch.CallError{Reason: reasonAddress}
	}
	body := wire.BatchRequest{Notifications: make([]wire.BatchItem, len(items))}
	for i, it := range items {
		body.Notifications[i] = wire.BatchItem{ID: it.ID, Notification: toPlain(it.Notification)}
	}
	req, err := wire.NewNotifyBatchRequest(server, body)
	return c.batch(ctx, req, err)
}

// Matrix implements dispatch.Caller with POST to the address itself.
func (c *Client) Matrix(ctx context.Context, gateway string, n push.Notification) ([]push.Pushkey, error) {
	address, err := url.Parse(gateway)
	if err != nil || !strings.HasSuffix(address.EscapedPath(), matrixPath) {
		return nil, &dispatch.CallError{Reason: reasonAddress}
	}
	req, err := wire.NewMatrixNotifyRequest(gateway, wire.MatrixNotifyRequest{Notification: toMatrix(n)})
	if err != nil {
		return nil, &dispatch.CallError{Reason: reasonAddress, Err: err}
	}
	req.URL, req.Host = address, address.Host // the registered address is the whole one
	answer, err := c.do(ctx, req)
	if err != nil {
		return nil, err
	}
	keys, ok := readRejected(answer)
	if !ok {
		return nil, broken()
	}
	return keys, nil
}

func (c *Client) batch(ctx context.Context, req *http.Request, err error) ([]dispatch.Result, error) {
	if err != nil {
		return nil, &dispatch.CallError{Reason: reasonAddress, Err: err}
	}
	answer, err := c.do(ctx, req)
	if err != nil {
		return nil, err
	}
	results, ok := readResults(answer)
	if !ok {
		return nil, broken()
	}
	return results, nil
}

// do sends a request and returns the body of a 2xx answer.
func (c *Client) do(ctx context.Context, req *http.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	late := time.AfterFunc(c.connect, func() { hangUp(errConnect) })
	defer late.Stop()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { late.Stop() }})
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Request-Id", rand.Text())
	resp, err := c.http.Do(req)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errConnect):
		return nil, &dispatch.CallError{Reason: reasonConnect, Err: err}
	case err != nil:
		return nil, &dispatch.CallError{Reason: egress.Kind(err), Err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrained) // a courtesy to the connection
		reason := reasonStatus
		if resp.StatusCode < 400 {
			reason = reasonRedirect
		}
		return nil, &dispatch.CallError{Status: resp.StatusCode, Reason: reason, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, &dispatch.CallError{Reason: egress.Kind(err), Err: err}
	case len(body) > MaxAnswer:
		return nil, &dispatch.CallError{Reason: egress.Kind(egress.ErrTooLarge), Err: egress.ErrTooLarge}
	default:
		return body, nil
	}
}

// broken is a 2xx answer that cannot be read: the gateway may have taken everything or nothing, so it is asked again.
func broken() error { return &dispatch.CallError{Status: http.StatusOK, Reason: reasonBroken} }

// retryAfter reads the header: seconds or a date. 0 is none.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
