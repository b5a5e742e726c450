package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pushgate/pushgate/internal/push"
)

// leeway forgives clocks that differ.
const leeway = 10 * time.Second

// jwtSource is one issuer.
type jwtSource struct {
	config JWTConfig
	keys   keys
	parser *jwt.Parser
}

func newJWTSource(c JWTConfig, k keys) *jwtSource {
	return &jwtSource{config: c, keys: k, parser: jwt.NewParser(
		jwt.WithIssuer(c.Issuer),
		jwt.WithAudience(c.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(leeway),
		jwt.WithStrictDecoding(),
	)}
}

// identify checks signature, issuer, audience and times, in that order of cost: a token of another issuer costs a look
// at its claims, and only a token that claims to be of this one makes us look for keys.
func (s *jwtSource) identify(ctx context.Context, token Token) (Identity, error) {
	claims := jwt.MapClaims{}
	var trouble error
	_, err := s.parser.ParseWithClaims(string(token), claims, func(t *jwt.Token) (any, error) {
		if issuer, err := claims.GetIssuer(); err != nil || issuer != s.config.Issuer {
			return nil, errForeign
		}
		// RFC 7515 4.1.11: an extension that must be understood, and is not, makes the token invalid.
		if _, critical := t.Header["crit"]; critical {
			return nil, errForeign
		}
		kid, _ := t.Header["kid"].(string)
		found, err := s.keys.find(ctx, kid, t.Method.Alg())
		if err != nil {
			trouble = unavailable(err)
			return nil, trouble
		}
		if len(found) == 0 {
			return nil, errForeign
		}
		return jwt.VerificationKeySet{Keys: found}, nil
	})
	switch {
	case trouble != nil:
		return Identity{}, trouble
	case s.config.Realm == push.RealmMatrix && onlyExpired(err):
		e := unknownToken()
		e.Err = errSoftLogout // a client refreshes it
		return Identity{}, e
	case err != nil:
		return Identity{}, errForeign // the parser's text may quote claims
	}
	return s.identity(claims)
}

// onlyExpired reports whether a genuine token of this issuer has come to its end. (Claims are looked at once the signature
// is known to be good.)
func onlyExpired(err error) bool {
	for _, other := range []error{jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenNotValidYet, jwt.ErrTokenRequiredClaimMissing} {
		if errors.Is(err, other) {
			return false
		}
	}
	return errors.Is(err, jwt.ErrTokenExpired)
}

// identity reads who it is from a token that is genuine and current.
func (s *jwtSource) identity(claims jwt.MapClaims) (Identity, error) {
	for name, want := range s.config.Require {
		if !holds(claims[name], want) {
			return Identity{}, missingClaim()
		}
	}
	user, _ := claims[s.config.UserClaim].(string)
	var id Identity
	err := errUser
	if s.config.Realm == push.RealmFachdienst {
		id, err = fachdienst(s.config.IDType, user)
	} else if len(user) > 0 && user[0] == '@' {
		id, err = ParseUser(user)
	}
	if err != nil {
		return Identity{}, missingClaim()
	}
	return id, nil
}

// holds reports whether a claim is the wanted text, or a list with it.
func holds(claim any, want string) bool {
	switch c := claim.(type) {
	case string:
		return c == want
	case []any:
		return slices.Contains(c, any(want))
	default:
		return false
	}
}

func (s *jwtSource) prepare() (func(), error) { return s.keys.prepare() }

func (s *jwtSource) close() { s.keys.close() }
