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

// maxEndpoint bounds the URL; services use a few hundred characters.
const maxEndpoint = 2048

// subscription is what a browser's PushSubscription says, checked.
type subscription struct {
	endpoint *url.URL
	known    bool // the host is one of the known push services, so its word about our credentials counts
	p256dh   string
	auth     string
	options  deviceData
}

// deviceData are the members of device.data that Web Push reads; Matrix web clients register them.
type deviceData struct {
	Endpoint        string          `json:"endpoint"`
	Auth            string          `json:"auth"`
	EventsOnly      json.RawMessage `json:"events_only"`
	OnlyLastPerRoom json.RawMessage `json:"only_last_per_room"`
	DefaultPayload  json.RawMessage `json:"default_payload"`
}

var (
	errData     = errors.New("device.data is not a subscription")
	errEndpoint = errors.New("endpoint is not allowed")
	errKeys     = errors.New("p256dh or auth is not a key")
)

// subscriptionOf checks a device's subscription. None of its errors holds a part of it.
func (c *Client) subscriptionOf(d push.Device) (subscription, error) {
	var data deviceData
	if err := json.Unmarshal(d.Data, &data); err != nil {
		return subscription{}, errData
	}
	u, err := url.Parse(data.Endpoint)
	if err != nil || len(data.Endpoint) > maxEndpoint || u.Scheme != "https" || u.User != nil || u.Host == "" || u.Fragment != "" {
		return subscription{}, errEndpoint
	}
	allowed := c.allowed
	if len(allowed) == 0 {
		allowed = knownHosts
	}
	if !hostAllowed(u, allowed) {
		return subscription{}, errEndpoint
	}
	point, err := decodeKey(d.Pushkey.Reveal())
	if err != nil {
		return subscription{}, errKeys
	}
	if _, err := ecdh.P256().NewPublicKey(point); err != nil {
		return subscription{}, errKeys
	}
	secret, err := decodeKey(data.Auth)
	if err != nil || len(secret) != 16 {
		return subscription{}, errKeys
	}
	return subscription{
		endpoint: u, known: hostAllowed(u, knownHosts), options: data,
		p256dh: base64.RawURLEncoding.EncodeToString(point), auth: base64.RawURLEncoding.EncodeToString(secret),
	}, nil
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
	host, port := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	if port == "" {
		port = "443"
	}
	for _, entry := range allowed {
		name, want := strings.ToLower(entry), "443"
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
