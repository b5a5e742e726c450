package pusher

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/push"
)

// Where gateways live. The Matrix path is fixed (matrix-spec #1974); a gematik URL is the base that the sender appends
// notify and notifyEncrypted/batch to, under any prefix.
const (
	matrixGatewayPath    = "/_matrix/push/v1/notify"
	gematikGatewaySuffix = "/push/v1/"
)

// isNull reports whether a JSON value is absent or the literal null.
func isNull(o push.Object) bool {
	text := bytes.TrimSpace(o.Bytes())
	return len(text) == 0 || string(text) == "null"
}

// gatewayURL returns the member url of a pusher's data. Member names are compared exactly: Url is a custom member.
func gatewayURL(data push.Object) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data.Bytes(), &members); err != nil {
		return "", invalid("data must be a JSON object")
	}
	raw, ok := members["url"]
	if !ok || isNull(push.Object(raw)) {
		return "", missingParams("data.url")
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", invalid("data.url must be a string")
	}
	return text, nil
}

// checkMatrixURL demands https and exactly the path of the Push Gateway API.
func checkMatrixURL(text string) error {
	u, err := parseGatewayURL(text)
	if err != nil {
		return err
	}
	if u.EscapedPath() != matrixGatewayPath {
		return invalid("data.url must have the path " + matrixGatewayPath)
	}
	return nil
}

// checkGematikURL demands https and a path that ends in /push/v1/ with its last slash; /ios/push/v1/ and the former
// /_matrix/push/v1/ pass.
func checkGematikURL(text string) error {
	u, err := parseGatewayURL(text)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(u.EscapedPath(), gematikGatewaySuffix) {
		return invalid("data.url must have a path that ends in " + gematikGatewaySuffix)
	}
	return nil
}

func parseGatewayURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || !storable(text):
		return nil, invalid("data.url is not a URL") // the parser's own error quotes it
	case u.Scheme != "https":
		return nil, invalid("data.url must be https")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, invalid("data.url has no host")
	case u.User != nil:
		return nil, invalid("data.url must not hold a user name")
	case strings.Contains(text, "#"):
		return nil, invalid("data.url must not have a fragment")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, invalid("data.url must not have a query") // it would make one gateway as many as a user likes
	}
	return u, nil
}

// namesOnly is the check for public hosts of a Service that was given none: no address literals, no localhost. It asks
// no resolver; the address behind a name is judged when it is dialled.
func namesOnly(u *url.URL) error {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return errNotPublic
	}
	return nil
}

// rules is what the realm decides about a registration.
type rules struct {
	checkURL   func(text string) error
	allowed    []string // exact URLs; empty: every public host
	public     func(*url.URL) error
	encryption EncryptionMode
	catalog    Catalog
}

// gateway judges data.url. An allow-list is compared as text, the last slash included: what is not literally on it is
// another gateway.
func (r rules) gateway(text string) error {
	if err := r.checkURL(text); err != nil {
		return err
	}
	if len(r.allowed) > 0 {
		if !slices.Contains(r.allowed, text) {
			return invalid("data.url is not an allowed gateway")
		}
		return nil
	}
	u, err := parseGatewayURL(text)
	if err != nil {
		return err
	}
	if err := r.public(u); err != nil {
		e := invalid("data.url must name a public host")
		e.Err = err
		return e
	}
	return nil
}
