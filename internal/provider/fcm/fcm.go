package fcm

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"firebase.google.com/go/v4/messaging"
	"google.golang.org/api/option"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

const googleEndpoint = "https://fcm.googleapis.com"

var _ provider.Provider = (*Client)(nil)

// Options is what the house gives a provider.
type Options struct {
	Logger *slog.Logger
	// SendBadgeCounts is the house-wide switch of that name; false keeps all counts from the phone.
	SendBadgeCounts bool
	// Dial opens the TCP connection to FCM and to the token endpoint, TLS comes on top here. Nil dials directly; a
	// CONNECT proxy goes in here.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Now is the clock, time.Now when nil.
	Now func() time.Time
}

// Client sends to one Firebase project. It is safe for concurrent use.
type Client struct {
	addr    string // host:port of FCM
	log     *slog.Logger
	now     func() time.Time
	builder builder
	tokens  tokens
	links   links
	sdk     *messaging.Client
}

// New makes a client and connects to nothing. A setting that cannot work is an error, all of them at once.
func New(cfg Config, o Options) (*Client, error) {
	var problems []error
	cfg.Check(func(path, problem string) { problems = append(problems, fmt.Errorf("%s: %s", path, problem)) })
	if len(problems) > 0 {
		return nil, fmt.Errorf("fcm settings: %w", errors.Join(problems...))
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	roots, err := cfg.authorities()
	if err != nil {
		return nil, fmt.Errorf("fcm ca_file: %w", err)
	}
	t, err := newTemplate(cfg.Options)
	if err != nil {
		return nil, fmt.Errorf("fcm options: %w", err)
	}
	fetch, err := tokenSource(cfg.ServiceAccountFile, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, o.Dial)
	if err != nil {
		return nil, fmt.Errorf("fcm service account: %w", err)
	}
	endpoint := googleEndpoint
	if cfg.Endpoint != "" {
		endpoint = strings.TrimSuffix(cfg.Endpoint, "/")
	}
	addr, err := address(endpoint)
	if err != nil {
		return nil, fmt.Errorf("fcm endpoint: %w", err)
	}
	sdk, err := newSDK(cfg.ProjectID, endpoint)
	if err != nil {
		return nil, fmt.Errorf("fcm sdk: %w", err)
	}
	return &Client{
		addr:    addr,
		log:     o.Logger,
		now:     o.Now,
		builder: builder{template: t, counts: o.SendBadgeCounts},
		tokens:  tokens{fetch: fetch, now: o.Now, log: o.Logger},
		links:   links{roots: roots, dial: o.Dial, now: o.Now},
		sdk:     sdk,
	}, nil
}

// address returns host:port of an endpoint.
func address(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", errors.New("not a URL")
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")), nil
}

// newSDK makes the messaging client on top of our own wire. With an HTTP client given, the SDK reads no credentials
// and no environment, and dials nothing.
func newSDK(project, endpoint string) (*messaging.Client, error) {
	return sdkClient(messaging.NewClient, project,
		option.WithHTTPClient(&http.Client{Transport: wire{}}),
		option.WithEndpoint(endpoint+"/v1"))
}

// sdkClient calls messaging.NewClient. The SDK's front door, firebase.NewApp, links Firestore, Storage and Auth into every
// binary that sends a message (15 MB of it), so this is the side door: the type of its settings has no name out here, but
// it has a shape, and the compiler finds it by that. A release of the SDK with another shape does not compile.
func sdkClient[C ~struct {
	Opts      []option.ClientOption
	ProjectID string
	Version   string
}](newClient func(context.Context, *C) (*messaging.Client, error), project string, opts ...option.ClientOption,
) (*messaging.Client, error) {
	return newClient(context.Background(), &C{Opts: opts, ProjectID: project})
}

// envelope is the message that the SDK checks and encodes; wire puts the real one in its place.
func envelope() *messaging.Message { return &messaging.Message{Token: "-"} }

// Send makes one attempt. FCM knows no message id of ours and gets no collapse key, so the hash is not used.
func (c *Client) Send(ctx context.Context, n push.Notification, _ push.Hash) (push.Outcome, error) {
	body, fault := c.builder.build(n)
	switch {
	case fault != nil:
		return push.Outcome{}, fault
	case body == nil:
		return push.Outcome{Verdict: push.Delivered, Reason: reasonNothingToSend}, nil
	}
	l := c.links.acquire()
	if l == nil {
		return push.Outcome{Reason: reasonClosed, Scope: push.ScopeConnection}, nil
	}
	defer l.release()
	token, failure := c.tokens.get(ctx)
	if failure != nil {
		if failure.fault != nil {
			return push.Outcome{}, failure.fault
		}
		return failure.outcome, nil
	}
	return c.attempt(ctx, l, token, body)
}

// attempt makes the one request.
func (c *Client) attempt(ctx context.Context, l *link, token *accessToken, body []byte) (push.Outcome, error) {
	x := &exchange{link: l, header: token.header, body: body, now: c.now}
	// The SDK's own error describes the stub that wire shows it; what happened is in the exchange.
	_, err := c.sdk.Send(context.WithValue(ctx, exchangeKey{}, x), envelope())
	if !x.sent.Load() { // not a byte has left the house
		c.log.LogAttrs(ctx, slog.LevelError, "the FCM SDK did not send", slog.String("cause", fmt.Sprintf("%T", err)))
		return push.Outcome{Reason: reasonUnknown}, nil
	}
	if x.err != nil {
		c.links.heard(l, errors.Is(x.err, context.DeadlineExceeded))
		c.log.LogAttrs(ctx, slog.LevelDebug, "no answer from FCM", slog.String("cause", cause(x.err)))
		return unanswered(x.err), nil
	}
	c.links.heard(l, false)
	return c.settle(classify(x.answer), token)
}

// settle adds to a ruling what only the access token's history can tell.
func (c *Client) settle(r ruling, token *accessToken) (push.Outcome, error) {
	switch {
	case r.tokenRefused && c.tokens.refused(token):
		return push.Outcome{}, &push.Fault{Kind: push.FaultConfig, Reason: reasonUnauthenticated}
	case r.tokenRefused:
		return push.Outcome{Reason: reasonUnauthenticated, Delay: tokenDelay, Scope: push.ScopeApp}, nil
	}
	if r.fault != nil || r.outcome.Verdict != push.RetryAfter {
		token.proven.Store(true)
	}
	if r.fault != nil {
		return push.Outcome{}, r.fault
	}
	return r.outcome, nil
}

// Warm fetches the access token and opens a connection. It makes no request to FCM.
func (c *Client) Warm(ctx context.Context) error {
	_, failure := c.tokens.get(ctx)
	if failure != nil && failure.fault != nil {
		return fmt.Errorf("fetch access token: %w", failure.fault)
	}
	if failure != nil {
		return fmt.Errorf("fetch access token: %s", failure.outcome.Reason)
	}
	l := c.links.acquire()
	if l == nil {
		return errors.New("open connection: closed")
	}
	defer l.release()
	if err := l.open(ctx, c.addr); err != nil {
		return fmt.Errorf("open connection: %s", cause(err))
	}
	return nil
}

// Credential tells the age of the access token. A service account key has no end of its own.
func (c *Client) Credential() provider.Credential {
	return provider.Credential{TokenIssued: c.tokens.issued()}
}

// Close drops the connections once requests under way have ended.
func (c *Client) Close() error {
	c.links.close()
	return nil
}
