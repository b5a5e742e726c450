package simulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pushgate/pushgate/internal/simulator/ece"
	"github.com/pushgate/pushgate/internal/simulator/h2"
	"github.com/pushgate/pushgate/internal/simulator/jws"
)

const (
	webPushPath     = "/push/"
	webPushLimit    = 4096 // bytes, encrypted (RFC 8030 section 7.2)
	topicLimit      = 32
	vapidLife       = 24 * time.Hour
	maxTTL          = 30 * 24 * time.Hour // what the answer grants at most
	maxTTLDigits    = 10
	contentEncoding = "aes128gcm"
)

// webPush is a push service (RFC 8030, RFC 8292) and the user agents behind it (RFC 8291) in one.
type webPush struct {
	sim *Simulator

	mu            sync.RWMutex
	subscriptions map[string]*subscription
	verified      map[string]vapidToken
}

type subscription struct {
	keys  *ece.Keys
	vapid string // the only application server that may send; empty is anyone
}

// vapidToken is a token whose signature is good.
type vapidToken struct {
	audience, subject string
	expires           time.Time
	public            string
}

// Subscription is what a browser hands to a web app: PushSubscription.toJSON() in plain fields.
type Subscription struct {
	ID       string `json:"id"`
	Endpoint string `json:"endpoint"`
	P256DH   string `json:"p256dh"` // base64url, 65 bytes
	Auth     string `json:"auth"`   // base64url, 16 bytes
}

// SubscribeOptions say how a browser subscribes.
type SubscribeOptions struct {
	// VAPIDPublicKey restricts the subscription to one application server (RFC 8292 section 4); empty allows any.
	VAPIDPublicKey string `json:"vapid_public_key,omitempty"`
	// PrivateKey (base64url, 32 bytes) and Auth (base64url, 16 bytes) are keys made elsewhere, for instance by a
	// browser's WebCrypto; empty makes fresh ones.
	PrivateKey string `json:"private_key,omitempty"`
	Auth       string `json:"auth,omitempty"`
}

// Subscribe makes a Web Push subscription whose keys the simulator knows.
func (s *Simulator) Subscribe(o SubscribeOptions) (Subscription, error) {
	keys, err := o.keys()
	if err != nil {
		return Subscription{}, fmt.Errorf("subscribe: %w", err)
	}
	if o.VAPIDPublicKey != "" {
		if _, err := vapidKey(o.VAPIDPublicKey); err != nil {
			return Subscription{}, fmt.Errorf("subscribe: %w", err)
		}
	}
	id := randomText(40, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
	s.webPush.mu.Lock()
	defer s.webPush.mu.Unlock()
	s.webPush.subscriptions[id] = &subscription{keys: keys, vapid: o.VAPIDPublicKey}
	return Subscription{
		ID: id, Endpoint: s.WebPushURL() + webPushPath + id,
		P256DH: base64.RawURLEncoding.EncodeToString(keys.Public()), Auth: base64.RawURLEncoding.EncodeToString(keys.Auth()),
	}, nil
}

func (o SubscribeOptions) keys() (*ece.Keys, error) {
	if o.PrivateKey == "" && o.Auth == "" {
		return ece.NewKeys()
	}
	private, err := base64.RawURLEncoding.DecodeString(o.PrivateKey)
	if err != nil {
		return nil, errors.New("private_key is not base64url")
	}
	auth, err := base64.RawURLEncoding.DecodeString(o.Auth)
	if err != nil {
		return nil, errors.New("auth is not base64url")
	}
	return ece.LoadKeys(private, auth)
}

func newWebPush(sim *Simulator) *webPush {
	return &webPush{sim: sim, subscriptions: map[string]*subscription{}, verified: map[string]vapidToken{}}
}

func (*webPush) unavailable() Answer { return Answer{Status: 503, Reason: "Service Unavailable"} }

func refuse(status int, problem string) (Answer, string) {
	return Answer{Status: status, Reason: problem}, problem
}

func (w *webPush) check(x *exchange) (Answer, string) {
	id, ok := strings.CutPrefix(x.path, webPushPath)
	if !ok {
		return refuse(404, "path is not "+webPushPath+"<id>")
	}
	x.receipt.Token = id
	if x.method != "POST" {
		return refuse(405, "method is not POST")
	}
	w.mu.RLock()
	sub := w.subscriptions[id]
	w.mu.RUnlock()
	if sub == nil {
		return refuse(404, "no such subscription")
	}
	if status, problem := w.authenticate(x, sub); problem != "" {
		return refuse(status, problem)
	}
	if problem := webPushHeader(x); problem != "" {
		return refuse(400, problem)
	}
	if len(x.body) > webPushLimit || x.bodyTooLarge {
		return refuse(413, "body has more than 4096 bytes")
	}
	if problem := sub.open(x); problem != "" {
		return refuse(400, problem)
	}
	x.receipt.ID = newUUID()
	return Answer{}, ""
}

// webPushHeader checks TTL, Urgency and Topic (RFC 8030 sections 5.2 to 5.4).
func webPushHeader(x *exchange) string {
	ttl, times := h2.Get(x.header, "ttl")
	x.receipt.Expiration = ttl
	if times != 1 || ttl == "" || len(ttl) > maxTTLDigits || !digits(ttl) {
		return "TTL is missing or not a number of seconds"
	}
	urgency, times := h2.Get(x.header, "urgency")
	x.receipt.Priority = urgency
	switch urgency {
	case "very-low", "low", "normal", "high":
	default:
		if times > 0 {
			return "Urgency is not very-low, low, normal or high"
		}
	}
	topic, times := h2.Get(x.header, "topic")
	x.receipt.Topic = topic
	if times > 1 || times == 1 && (topic == "" || len(topic) > topicLimit || strings.ContainsFunc(topic, notBase64URL)) {
		return "Topic is not 1 to 32 characters of base64url (without padding)"
	}
	return ""
}

func notBase64URL(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
}

// open decrypts as the user agent would. A push without a body is allowed.
func (s *subscription) open(x *exchange) string {
	if len(x.body) == 0 {
		x.receipt.Payload = []byte{}
		return ""
	}
	if encoding, times := h2.Get(x.header, "content-encoding"); times != 1 || encoding != contentEncoding {
		return "Content-Encoding is not " + contentEncoding
	}
	plain, err := s.keys.Decrypt(x.body)
	if err != nil {
		return "body: " + err.Error()
	}
	x.receipt.Payload = plain
	return ""
}

// authenticate checks the application server's token: 401 if there is none, 403 if it is wrong (RFC 8292).
func (w *webPush) authenticate(x *exchange, sub *subscription) (status int, problem string) {
	authorization, times := h2.Get(x.header, "authorization")
	scheme, parameters, _ := strings.Cut(authorization, " ")
	if times != 1 || !strings.EqualFold(scheme, "vapid") {
		return 401, "authorization is not vapid t=..., k=..."
	}
	var compact, public string
	for part := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			compact = value
		case "k":
			public = value
		}
	}
	t, problem := w.verify(compact, public)
	if problem != "" {
		return 403, problem
	}
	x.receipt.KeyID = public
	switch {
	case w.sim.trust.vapidRevoked(public):
		return 403, "VAPID key is revoked"
	case sub.vapid != "" && sub.vapid != public:
		return 403, "subscription belongs to another VAPID key"
	case t.audience != w.sim.WebPushURL():
		return 403, "aud is not the origin of the endpoint"
	case !t.expires.After(x.now):
		return 403, "token has expired"
	case t.expires.Sub(x.now) > vapidLife:
		return 403, "exp is more than 24 hours ahead"
	case !contact(t.subject):
		return 403, "sub is neither a mailto: nor an https: URL"
	}
	return 0, ""
}

// verify checks a token's signature, or remembers that it has.
func (w *webPush) verify(compact, public string) (vapidToken, string) {
	w.mu.RLock()
	t, ok := w.verified[compact]
	w.mu.RUnlock()
	if ok && t.public == public {
		return t, ""
	}
	key, err := vapidKey(public)
	if err != nil {
		return vapidToken{}, err.Error()
	}
	parsed, err := jws.Parse(compact)
	if err != nil {
		return vapidToken{}, "token: " + err.Error()
	}
	if !parsed.VerifyES256(key) {
		return vapidToken{}, "signature does not fit the key"
	}
	t = vapidToken{parsed.Audience, parsed.Subject, parsed.Expires, public}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.verified) >= maxVerified {
		clear(w.verified)
	}
	w.verified[compact] = t
	return t, ""
}

// vapidKey reads an uncompressed P-256 point in base64url.
func vapidKey(public string) (*ecdsa.PublicKey, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(public)
	if err != nil {
		return nil, errors.New("VAPID key is not base64url without padding")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return nil, errors.New("VAPID key is no uncompressed point on P-256")
	}
	return key, nil
}

func contact(subject string) bool {
	u, err := url.Parse(subject)
	return err == nil && (u.Scheme == "mailto" && strings.Contains(u.Opaque, "@") || u.Scheme == "https" && u.Host != "")
}

func (w *webPush) render(x *exchange, a Answer) response {
	r := response{status: a.Status}
	if r.status == 0 {
		r.status = 201
	}
	switch {
	case r.status/100 == 2:
		granted, _ := strconv.ParseInt(x.receipt.Expiration, 10, 64)
		r.header = []hpack.HeaderField{
			{Name: "location", Value: w.sim.WebPushURL() + "/message/" + x.receipt.ID, Sensitive: true},
			{Name: "ttl", Value: strconv.FormatInt(min(granted, int64(maxTTL/time.Second)), 10)},
		}
	case a.Reason != "":
		r.body, _ = json.Marshal(map[string]any{"code": r.status, "errno": r.status, "error": a.Reason}) // cannot fail
	}
	a.dress(&r, "application/json")
	return r
}
