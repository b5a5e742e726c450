package simulator

import (
	"strings"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/simulator/jws"
)

const providerTokenLife = time.Hour

// providerToken is a token whose signature is good.
type providerToken struct {
	keyID, team string
	issued      time.Time
	version     uint64 // of the trust when it was checked
}

// verifiedTokens remembers good signatures: a sender shares one token between its connections.
type verifiedTokens struct {
	mu sync.RWMutex
	m  map[string]providerToken
}

const maxVerified = 4096

func (v *verifiedTokens) get(token string) (providerToken, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	t, ok := v.m[token]
	return t, ok
}

func (v *verifiedTokens) put(token string, t providerToken) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.m == nil || len(v.m) >= maxVerified {
		v.m = map[string]providerToken{}
	}
	v.m[token] = t
}

// authenticate checks who sends: by the connection's certificate (then Apple ignores a token) or by a token.
func (a *apns) authenticate(x *exchange, h *apnsHeader) (reason, problem string) {
	if cert := x.conn.peer; cert != nil {
		x.receipt.KeyID = "cert:" + serialText(cert)
		if a.sim.trust.certificateRevoked(cert) {
			return "BadCertificate", "the certificate was revoked"
		}
		return "", ""
	}
	if h.authorization == "" {
		return "MissingProviderToken", "neither a certificate nor a token"
	}
	scheme, bearer, _ := strings.Cut(h.authorization, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return "InvalidProviderToken", "authorization is not bearer <token>"
	}
	st := &x.conn.apns
	if st.wedged {
		return "ExpiredProviderToken", "this connection has used an expired token; it needs a new connection"
	}
	if st.bearer == "" || bearer != st.bearer || st.current.version != a.sim.trust.version.Load() {
		if reason, problem := a.accept(x, st, bearer); problem != "" {
			return reason, problem
		}
	}
	x.receipt.KeyID = st.current.keyID
	return a.fresh(x, st, st.current)
}

// accept makes a token the connection's own, if the connection may have it.
func (a *apns) accept(x *exchange, st *apnsConn, bearer string) (reason, problem string) {
	token, problem := a.verify(bearer)
	if problem != "" {
		return "InvalidProviderToken", problem
	}
	x.receipt.KeyID = token.keyID
	if reason, problem := a.fresh(x, st, token); problem != "" {
		return reason, problem
	}
	switch {
	case st.bearer == bearer:
		st.current = token // trust changed, this token is still good
		return "", ""
	case st.bearer == "":
	case token.keyID != st.current.keyID:
		return "UnrelatedKeyIdInToken", "the connection belongs to another key"
	case bearer == st.previous:
		return "", "" // sent before the sender's other requests took the newer one
	default:
		every := a.sim.rules.Load().TokenUpdateInterval
		if every == 0 {
			every = defaultTokenUpdateInterval
		}
		if since := x.now.Sub(st.since); since < every {
			return "TooManyProviderTokenUpdates", "the last change of token on this connection was " + since.Round(time.Second).String() + " ago"
		}
	}
	st.previous, st.bearer, st.current, st.since = st.bearer, bearer, token, x.now
	x.conn.widen()
	return "", ""
}

// fresh judges a good token's age. An expired one spoils its connection for good.
func (a *apns) fresh(x *exchange, st *apnsConn, t providerToken) (reason, problem string) {
	switch age := x.now.Sub(t.issued); {
	case age > providerTokenLife:
		st.wedged = true
		return "ExpiredProviderToken", "iat is more than an hour ago"
	case age < -providerTokenLife:
		return "InvalidProviderToken", "iat is more than an hour ahead"
	}
	return "", ""
}

// verify checks everything about a token but its age.
func (a *apns) verify(bearer string) (providerToken, string) {
	version := a.sim.trust.version.Load()
	if t, ok := a.verified.get(bearer); ok && t.version == version {
		return t, ""
	}
	parsed, err := jws.Parse(bearer)
	if err != nil {
		return providerToken{}, "token: " + err.Error()
	}
	key, known := a.sim.trust.apnsKey(parsed.KeyID)
	switch {
	case parsed.Algorithm != "ES256":
		return providerToken{}, "alg is not ES256"
	case !known:
		return providerToken{}, "kid is no key that is trusted"
	case parsed.Issuer != key.team:
		return providerToken{}, "iss is not the team of the key"
	case parsed.IssuedAt.IsZero():
		return providerToken{}, "iat is missing"
	case !parsed.VerifyES256(key.public):
		return providerToken{}, "signature does not fit the key"
	}
	t := providerToken{keyID: parsed.KeyID, team: key.team, issued: parsed.IssuedAt, version: version}
	a.verified.put(bearer, t)
	return t, ""
}
