package webpush

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	sdk "github.com/SherClockHolmes/webpush-go"

	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// maxAnswer bounds what is read of an answer; only the status counts.
const maxAnswer = 4096

// paddingStep is the granularity of body sizes: padding hides the length of a text a little, and a full 4096 bytes would
// be refused by services that hand over to FCM (about 2,744 bytes after Base64).
const paddingStep = 256

// Options are what New needs beside the configuration.
type Options struct {
	// HTTP makes the requests. It must check dialled addresses, follow no redirect and ignore the environment's proxy.
	HTTP sdk.HTTPClient
	// SendBadgeCounts false leaves counts out.
	SendBadgeCounts bool
	Now             func() time.Time // nil means time.Now
}

// Client delivers to one web app.
type Client struct {
	vapid    *vapid // makes the requests
	counts   bool
	now      func() time.Time
	ttl      int
	allowed  []string
	known    []string // whose word about our credentials counts
	contact  string
	public   string
	private  string
	topicKey []byte

	proof  proof
	closed atomic.Bool
}

// New returns a client for one app. It opens nothing.
func New(cfg Config, o Options) (*Client, error) {
	if o.HTTP == nil {
		return nil, errors.New("web push needs a guarded HTTP client")
	}
	key, err := readKey(cfg.VAPIDPrivateKeyFile)
	if err != nil {
		return nil, errors.New("VAPID key " + err.Error())
	}
	private, public, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	topicKey := sha256.Sum256([]byte("pushgate web push topic " + private))
	return &Client{
		vapid: newVAPID(o.HTTP, o.Now), counts: o.SendBadgeCounts, now: o.Now, ttl: int(cfg.TTL / time.Second), allowed: cfg.AllowedHosts, known: knownHosts,
		contact: strings.TrimPrefix(cfg.Contact, "mailto:"), private: private, public: public, topicKey: topicKey[:],
	}, nil
}

// encodeKey returns the key in the Base64 spelling of the library.
func encodeKey(key *ecdsa.PrivateKey) (private, public string, err error) {
	d, err := key.Bytes()
	if err != nil {
		return "", "", errKeyShape
	}
	q, err := key.PublicKey.Bytes()
	if err != nil {
		return "", "", errKeyShape
	}
	return base64.RawURLEncoding.EncodeToString(d), base64.RawURLEncoding.EncodeToString(q), nil
}

// Send makes one attempt. See provider.Provider.
func (c *Client) Send(ctx context.Context, n push.Notification, _ push.Hash) (push.Outcome, error) {
	if c.closed.Load() {
		return push.Outcome{Reason: reasonClosed}, nil
	}
	sub, err := c.subscriptionOf(n.Device)
	if err != nil {
		reason := reasonBadData
		if errors.Is(err, errEndpoint) {
			reason = reasonBadEndpoint
		}
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reason, Err: err}
	}
	if n.BadgeOnly() && sub.options.eventsOnly {
		return push.Outcome{Verdict: push.Delivered, Reason: reasonNothing}, nil
	}
	if !c.counts {
		n.Counts = push.Counts{}
	}
	body, ok := payloadOf(n, sub.options.defaultPayload)
	switch {
	case !ok:
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reasonTooLarge}
	case body == nil:
		return push.Outcome{Verdict: push.Delivered, Reason: reasonNothing}, nil
	}
	return c.post(ctx, n, sub, body)
}

func (c *Client) post(ctx context.Context, n push.Notification, sub subscription, body []byte) (push.Outcome, error) {
	o := sdk.Options{
		HTTPClient: c.vapid, Subscriber: c.contact, TTL: c.ttl, VAPIDPublicKey: c.public, VAPIDPrivateKey: c.private,
		Urgency: sdk.UrgencyNormal, RecordSize: recordSize(len(body)),
	}
	if n.Priority == push.Low {
		o.Urgency = sdk.UrgencyLow
	}
	if n.Event != nil && !n.Event.RoomID.Empty() && sub.options.onlyLastPerRoom {
		o.Topic = topicOf(c.topicKey, n.Event.RoomID.Reveal())
	}
	res, err := sdk.SendNotificationWithContext(ctx, body, &sdk.Subscription{
		Endpoint: sub.endpoint.String(), Keys: sdk.Keys{P256dh: sub.p256dh, Auth: sub.auth},
	}, &o)
	if refused, ok := errors.AsType[*egress.Refused](err); ok {
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reasonBadEndpoint, Err: refused}
	}
	if err != nil {
		// The error may hold the endpoint, which identifies the browser: it is not kept.
		return push.Outcome{Reason: reasonTransport}, nil
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, res.Body, maxAnswer)
		_ = res.Body.Close()
	}()
	return c.weigh(res, sub)
}

// weigh classifies an answer. Only known push services have a word about our key: with "*" in allowed_hosts anybody can
// register a host that answers what it likes.
func (c *Client) weigh(res *http.Response, sub subscription) (push.Outcome, error) {
	refusal := blameSubscription
	if res.StatusCode == http.StatusUnauthorized && sub.known {
		refusal = c.proof.refuse(sub.endpoint.String())
	}
	out, err := classify(res.StatusCode, res.Header.Get("Retry-After"), refusal, c.now())
	if err == nil && out.Verdict == push.Delivered && sub.known {
		c.proof.accept()
	}
	return out, err
}

// recordSize is the whole body's size for a payload, rounded up to hide its length.
func recordSize(payload int) uint32 {
	size := (payload + overhead + paddingStep - 1) / paddingStep * paddingStep
	return uint32(min(size, maxBody))
}

// Warm does nothing: there is no connection to open before an endpoint is known.
func (c *Client) Warm(context.Context) error { return nil }

// Close drops idle connections. What is under way ends by itself; nothing new is sent.
func (c *Client) Close() error {
	c.closed.Store(true)
	if h, ok := c.vapid.next.(interface{ CloseIdleConnections() }); ok {
		h.CloseIdleConnections()
	}
	return nil
}

// Credential tells nothing: a VAPID key does not expire and its tokens are made per request.
func (c *Client) Credential() provider.Credential { return provider.Credential{} }
