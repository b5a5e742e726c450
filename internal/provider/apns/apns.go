package apns

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sideshow/apns2"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// voipLife is how long a call may ring late: Apple drops it then. Everything else gets no expiration, so that Apple
// keeps it for phones that are off.
const voipLife = 30 * time.Second

// Options are what an app has beside its settings.
type Options struct {
	// Logger hears about connections and credentials, never about notifications. Nil discards.
	Logger *slog.Logger
	// SendBadgeCounts is send_badge_counts of the configuration: false leaves counts out of every payload.
	SendBadgeCounts bool
	// DialTLS replaces the direct connection, for instance by one through a CONNECT proxy. Nil dials directly.
	DialTLS DialTLS
	// Now is the wall clock, for provider tokens and expiry. Nil is time.Now.
	Now func() time.Time
}

// Client delivers to one app. It implements provider.Provider.
type Client struct {
	sdk       *apns2.Client
	transport *transport
	payloads  payloads
	verdicts  table
	logger    *slog.Logger
	now       func() time.Time

	topic    string
	pushType string
	expires  time.Time // of the certificate, zero with a key

	buffers sync.Pool // *[]byte
}

var _ provider.Provider = (*Client)(nil)

// New returns a client with its credentials loaded and proven to sign. It opens no connection: Warm does.
func New(cfg Config, o Options) (*Client, error) {
	return newClient(cfg, o, defaultHealth())
}

func newClient(cfg Config, o Options, h health) (*Client, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{
		payloads: newPayloads(cfg, o.SendBadgeCounts),
		verdicts: verdicts(),
		logger:   o.Logger,
		now:      o.Now,
		topic:    topicFor(cfg.Topic, cfg.PushType),
		pushType: cfg.PushType,
		buffers:  sync.Pool{New: func() any { b := make([]byte, 0, payloadLimit); return &b }},
	}
	tlsConfig, tokens, err := c.credentials(cfg)
	if err != nil {
		return nil, err
	}
	d, err := newDialer(cfg.host(), tlsConfig, o.DialTLS, h)
	if err != nil {
		return nil, err
	}
	c.transport = &transport{
		pool:     newPool(d.dial, cfg.MaxInFlight, tokens != nil, o.Logger),
		bearers:  tokens,
		verdicts: c.verdicts,
		now:      o.Now,
	}
	if tokens != nil {
		tokens.replaced = c.transport.pool.renew
	}
	c.sdk = &apns2.Client{Host: cfg.host(), HTTPClient: &http.Client{Transport: c.transport}}
	return c, nil
}

// credentials loads what cfg names: a certificate goes into the TLS configuration, a key makes bearers.
func (c *Client) credentials(cfg Config) (*tls.Config, *bearers, error) {
	authorities, err := cfg.loadAuthorities()
	if err != nil {
		return nil, nil, fmt.Errorf("ca_file: %w", err)
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities}
	if cfg.KeyFile != "" {
		key, err := cfg.loadKey()
		if err != nil {
			return nil, nil, fmt.Errorf("key_file: %w", err)
		}
		tokens, err := newBearers(key, cfg.KeyID, cfg.TeamID, c.now)
		return tlsConfig, tokens, err
	}
	cert, err := cfg.loadCertificate()
	if err != nil {
		return nil, nil, fmt.Errorf("cert_file: %w", err)
	}
	if cfg.Topic == "" {
		c.topic = topicFor(certificateTopic(cert.Leaf), cfg.PushType)
	}
	c.expires = cert.Leaf.NotAfter
	if c.now().After(c.expires) {
		c.logger.Warn("apns: the client certificate has expired", slog.Time("not_after", c.expires))
	}
	tlsConfig.Certificates = []tls.Certificate{cert}
	return tlsConfig, nil, nil
}

// Send implements provider.Provider.
func (c *Client) Send(ctx context.Context, n push.Notification, collapse push.Hash) (push.Outcome, error) {
	token, ok := deviceToken(n.Device.Pushkey)
	if !ok {
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reasonBadPushkey}
	}
	buffer, _ := c.buffers.Get().(*[]byte)
	defer c.putBuffer(buffer)
	payload, what := c.payloads.build(*buffer, n)
	*buffer = payload[:0]
	switch what {
	case resultNothing:
		return push.Outcome{Verdict: push.Delivered, Reason: reasonNothingToSend}, nil
	case resultTooLarge:
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reasonTooLarge}
	case resultSend:
	}
	a := &attempt{payload: payload}
	_, err := c.sdk.PushWithContext(a.in(ctx), c.request(token, n, collapse))
	if !a.answered {
		return c.unanswered(ctx, a, err)
	}
	out, fault := c.judge(a)
	if fault != nil {
		return push.Outcome{}, fault
	}
	return out, nil
}

// putBuffer keeps a buffer for the next payload, unless a text that was cut has made it large.
func (c *Client) putBuffer(buffer *[]byte) {
	if cap(*buffer) <= 4*payloadLimit {
		c.buffers.Put(buffer)
	}
}

// request returns the headers of one attempt as apns2 takes them. The payload is a stand-in: see transport.
func (c *Client) request(token string, n push.Notification, collapse push.Hash) *apns2.Notification {
	r := &apns2.Notification{
		ApnsID:      newID(),
		DeviceToken: token,
		Topic:       c.topic,
		Priority:    apns2.PriorityHigh,
		PushType:    apns2.EPushType(c.pushType),
		Payload:     standIn,
	}
	// Apple calls priority 10 an error for a background push.
	if n.Priority == push.Low || c.pushType == pushTypeBackground {
		r.Priority = apns2.PriorityLow
	}
	if !collapse.IsZero() {
		r.CollapseID = hex.EncodeToString(collapse[:])
	}
	if c.pushType == pushTypeVoIP {
		r.Expiration = c.now().Add(voipLife)
		if !n.Deadline.IsZero() && n.Deadline.Before(r.Expiration) {
			r.Expiration = n.Deadline // a later attempt does not make it ring later
		}
	}
	return r
}

// standIn is what apns2 encodes in place of the payload.
const standIn = "{}"

// newID returns a fresh apns-id: a lower-case UUID (version 4).
func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// Warm implements provider.Provider: it makes sure that a connection is open. Until the first notification is accepted
// Apple may allow one request at a time on it.
func (c *Client) Warm(ctx context.Context) error {
	conn, err := c.transport.pool.acquire(ctx)
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	c.transport.pool.giveBack(conn)
	return nil
}

// Credential implements provider.Provider.
func (c *Client) Credential() provider.Credential {
	out := provider.Credential{CertificateExpires: c.expires}
	if c.transport.bearers != nil {
		out.TokenIssued = c.transport.bearers.issued()
	}
	return out
}

// Close implements provider.Provider. It returns at once; connections end with the last request on them.
func (c *Client) Close() error {
	c.transport.pool.close()
	return nil
}

// unanswered judges an attempt without an answer. Apart from a refused certificate it can only say "later". The text of
// err is not used: it holds the device token.
func (c *Client) unanswered(ctx context.Context, a *attempt, err error) (push.Outcome, error) {
	if a.err != nil {
		err = a.err
	}
	if !c.expires.IsZero() && certificateRefused(err) {
		c.logger.Error("apns: the client certificate was refused", slog.Time("not_after", c.expires))
		return push.Outcome{}, &push.Fault{Kind: push.FaultConfig, Reason: reasonCertificateRefused}
	}
	out := push.Outcome{Scope: push.ScopeConnection, Transport: true, Reason: transportReason(ctx, err)}
	return out, nil
}

// The reasons of an attempt without an answer.
const (
	reasonTimeout            = "timeout"
	reasonCanceled           = "canceled"
	reasonClosed             = "closed"
	reasonUnreachable        = "unreachable"
	reasonRefusedStream      = "refused_stream"
	reasonConnectionLost     = "connection_lost"
	reasonCertificateRefused = "certificate_refused"
)

func transportReason(ctx context.Context, err error) string {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return reasonTimeout
	case ctx.Err() != nil:
		return reasonCanceled
	case errors.Is(err, errClosed):
		return reasonClosed
	case isConnectError(err):
		return reasonUnreachable
	case provablyUnprocessed(err):
		return reasonRefusedStream
	default:
		return reasonConnectionLost
	}
}

func isConnectError(err error) bool {
	_, ok := errors.AsType[*connectError](err)
	return ok
}

// certificateRefused reports whether the server ended the TLS connection over our certificate. With TLS 1.3 that shows
// in the first request, not in the handshake.
func certificateRefused(err error) bool {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" {
		return false
	}
	switch remote.Err.Error() {
	case "tls: bad certificate", "tls: unsupported certificate", "tls: revoked certificate", "tls: expired certificate",
		"tls: unknown certificate", "tls: unknown certificate authority", "tls: certificate required", "tls: access denied":
		return true
	default:
		return false
	}
}
