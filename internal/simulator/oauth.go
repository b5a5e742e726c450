package simulator

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/simulator/h2"
	"github.com/pushgate/pushgate/internal/simulator/jws"
)

const (
	oauthPath         = "/token"
	jwtBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	scopeMessaging    = "https://www.googleapis.com/auth/firebase.messaging"
	scopePlatform     = "https://www.googleapis.com/auth/cloud-platform"
	maxAssertionLife  = time.Hour
	assertionSkew     = 5 * time.Minute
	badAssertionGrant = "invalid_grant"
)

// oauth is Google's token endpoint for service accounts (RFC 7523; "Using OAuth 2.0 for server to server
// applications").
type oauth struct{ sim *Simulator }

func (*oauth) unavailable() Answer { return Answer{Status: 503, Reason: "backend_error"} }

func (o *oauth) check(x *exchange) (Answer, string) {
	if x.path != oauthPath || x.method != "POST" {
		return Answer{Status: 404, Reason: "not_found"}, "not POST " + oauthPath
	}
	if contentType, _ := h2.Get(x.header, "content-type"); !strings.HasPrefix(contentType, "application/x-www-form-urlencoded") {
		return Answer{Reason: "invalid_request"}, "content-type is not a form's"
	}
	form, err := url.ParseQuery(string(x.body))
	if err != nil || x.bodyTooLarge {
		return Answer{Reason: "invalid_request"}, "body is no form"
	}
	if form.Get("grant_type") != jwtBearer {
		return Answer{Reason: "unsupported_grant_type"}, "grant_type is not " + jwtBearer
	}
	token, err := jws.Parse(form.Get("assertion"))
	if err != nil {
		return Answer{Reason: badAssertionGrant}, "assertion: " + err.Error()
	}
	x.receipt.Token = token.Issuer
	account, known := o.sim.trust.account(token.Issuer)
	if !known {
		return Answer{Reason: badAssertionGrant}, "iss is no service account that is trusted"
	}
	if reason, problem := o.judge(x, token, account); problem != "" {
		return Answer{Reason: reason}, problem
	}
	return Answer{}, ""
}

func (o *oauth) judge(x *exchange, t *jws.Token, account serviceAccount) (reason, problem string) {
	switch {
	case t.KeyID != account.keyID:
		return badAssertionGrant, "kid is not the account's key"
	case !t.VerifyRS256(account.public):
		return badAssertionGrant, "signature does not fit the account's key"
	case t.Audience != o.sim.TokenURL():
		return badAssertionGrant, "aud is not this endpoint"
	case t.IssuedAt.IsZero() || t.Expires.IsZero():
		return badAssertionGrant, "iat or exp is missing"
	case t.IssuedAt.After(x.now.Add(assertionSkew)):
		return badAssertionGrant, "iat lies ahead"
	case !t.Expires.After(x.now):
		return badAssertionGrant, "assertion has expired"
	case t.Expires.Sub(t.IssuedAt) > maxAssertionLife:
		return badAssertionGrant, "assertion lives longer than an hour"
	}
	scopes := strings.Fields(t.Scope)
	if !slices.Contains(scopes, scopeMessaging) && !slices.Contains(scopes, scopePlatform) {
		return "invalid_scope", "scope does not allow messaging"
	}
	return "", ""
}

func (o *oauth) render(x *exchange, a Answer) response {
	r := response{status: a.Status}
	switch {
	case a.Reason != "":
		if r.status == 0 {
			r.status = 400
		}
		r.body, _ = json.Marshal(map[string]string{"error": a.Reason, "error_description": x.receipt.Problem}) // cannot fail
	case r.status == 0 || r.status == 200:
		r.status = 200
		r.body = o.issue(x)
	}
	a.dress(&r, "application/json; charset=utf-8")
	return r
}

func (o *oauth) issue(x *exchange) []byte {
	life := o.sim.rules.Load().AccessTokenLifetime
	if life <= 0 {
		life = defaultAccessTokenLifetime
	}
	email := x.receipt.Token
	account, _ := o.sim.trust.account(email)
	token := o.sim.trust.issueAccess(accessToken{email, account.project, x.now.Add(life)}, x.now)
	body, _ := json.Marshal(map[string]any{"access_token": token, "expires_in": int(life / time.Second), "token_type": "Bearer"}) // cannot fail
	return body
}
