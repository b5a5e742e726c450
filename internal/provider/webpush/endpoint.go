package webpush

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/pushgate/pushgate/internal/push"
)

// knownHosts are the push services of the browsers in use: Chrome and its relatives, Firefox, Safari, Edge.
var knownHosts = []string{ //nolint:gochecknoglobals // a constant list
	"fcm.googleapis.com",
	"jmt17.google.com",
	"updates.push.services.mozilla.com",
	"*.push.services.mozilla.com",
	"web.push.apple.com",
	"*.push.apple.com",
	"*.notify.windows.com",
}

const (
	// maxEndpoint bounds the URL; services use a few hundred characters.
	maxEndpoint = 2048
	// authLength is the size of a subscription's authentication secret in bytes (RFC 8291 3.2).
	authLength = 16
	httpsPort  = "443"
)

// subscription is what a browser's PushSubscription says, checked.
type subscription struct {
	endpoint *url.URL
	known    bool // the host is one of the known push services, so its word about our credentials counts
	p256dh   string
	auth     string
	options  deviceData
}

// deviceData are the members of device.data that Web Push reads; Matrix web clients register them. Names are told apart
// by case, as in JSON; encoding/json would not, so the members are picked by hand.
type deviceData struct {
	endpoint, auth  string
	eventsOnly      bool // exactly true
	onlyLastPerRoom bool // exactly true
	defaultPayload  json.RawMessage
}

var (
	errData     = errors.New("device.data is not a subscription")
	errEndpoint = errors.New("endpoint is not allowed")
	errKeys     = errors.New("p256dh or auth is not a key")
)

// subscriptionOf checks a device's subscription. None of its errors holds a part of it.
func (c *Client) subscriptionOf(d push.Device) (subscription, error) {
	data, err := readData(d.Data)
	if err != nil {
		return subscription{}, err
	}
	u, err := c.endpointOf(data.endpoint)
	if err != nil {
		return subscription{}, err
	}
	point, err := decodeKey(d.Pushkey.Reveal())
	if err != nil {
		return subscription{}, errKeys
	}
	if _, err := ecdh.P256().NewPublicKey(point); err != nil {
		return subscription{}, errKeys
	}
	secret, err := decodeKey(data.auth)
	if err != nil || len(secret) != authLength {
		return subscription{}, errKeys
	}
	return subscription{
		endpoint: u, known: hostAllowed(u, c.known), options: data,
		p256dh: base64.RawURLEncoding.EncodeToString(point), auth: base64.RawURLEncoding.EncodeToString(secret),
	}, nil
}

func readData(raw push.Object) (deviceData, error) {
	var all object
	if err := json.Unmarshal(raw, &all); err != nil {
		return deviceData{}, errData
	}
	endpoint, hasEndpoint := all.str("endpoint")
	auth, hasAuth := all.str("auth")
	if !hasEndpoint || !hasAuth {
		return deviceData{}, errData
	}
	return deviceData{
		endpoint: endpoint, auth: auth,
		eventsOnly: isTrue(all["events_only"]), onlyLastPerRoom: isTrue(all["only_last_per_room"]), defaultPayload: all["default_payload"],
	}, nil
}

// endpointOf judges a stranger's URL before anything is resolved or dialled, and returns it with its host as an origin
// spells it: in small letters, without a final dot and without the default port. Push services compare the VAPID token's
// audience with their own spelling (RFC 8292 2).
func (c *Client) endpointOf(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxEndpoint || u.Scheme != "https" || u.User != nil || u.Hostname() == "" || strings.ContainsRune(text, '#') {
		return nil, errEndpoint
	}
	allowed := c.allowed
	if len(allowed) == 0 {
		allowed = knownHosts
	}
	if !hostAllowed(u, allowed) {
		return nil, errEndpoint
	}
	host, port := hostOf(u)
	switch {
	case port != httpsPort:
		u.Host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		u.Host = "[" + host + "]"
	default:
		u.Host = host
	}
	return u, nil
}

// hostOf returns host and port in the spelling that is compared.
func hostOf(u *url.URL) (host, port string) {
	host, port = strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	if port == "" {
		port = httpsPort
	}
	return host, port
}

// decodeKey accepts the four Base64 spellings that clients use.
func decodeKey(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "+/") {
		return base64.RawStdEncoding.DecodeString(s)
	}
	return base64.RawURLEncoding.DecodeString(s)
}

// hostAllowed matches host and port against names, *.suffix globs and *. Without a port in the entry only 443 fits.
func hostAllowed(u *url.URL, allowed []string) bool {
	host, port := hostOf(u)
	for _, entry := range allowed {
		name, want := strings.ToLower(entry), httpsPort
		if h, p, err := net.SplitHostPort(name); err == nil {
			name, want = h, p
		}
		if port != want {
			continue
		}
		suffix, glob := strings.CutPrefix(name, "*.")
		switch {
		case name == "*", name == host, glob && strings.HasSuffix(host, "."+suffix):
			return true
		}
	}
	return false
}
