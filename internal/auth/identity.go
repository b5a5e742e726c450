package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/pushgate/pushgate/internal/push"
)

// The types of identifier in the Fachdienst realm.
const (
	IDTypeKVNR        = "kvnr"         // insured person
	IDTypeTelematikID = "telematik-id" // institution
)

// Identity is who a token belongs to.
type Identity struct {
	Realm push.Realm
	User  push.UserID // @alice:example.org or <id type>:<value>
	// IDType is IDTypeKVNR or IDTypeTelematikID; empty in the Matrix realm.
	IDType string
	// Device is the session of the token; empty when the source does not tell.
	Device string
}

// Owner returns whose pushers the identity may see and change.
func (i Identity) Owner() push.Owner { return push.Owner{Realm: i.Realm, User: i.User} }

// errUser says what a user id may look like. It does not repeat the one that was given.
var errUser = errors.New(`not a user: "@..." for Matrix, "kvnr:..." or "telematik-id:..." for the Fachdienst; a value without a colon means kvnr`)

// ParseUser reads a user as operators write one: @alice:example.org is in the Matrix realm, kvnr:X110400000 and
// telematik-id:1-2... are in the Fachdienst realm, and a bare value means kvnr.
func ParseUser(text string) (Identity, error) {
	if strings.HasPrefix(text, "@") {
		if len(text) == 1 || hasBlank(text) {
			return Identity{}, errUser
		}
		return Identity{Realm: push.RealmMatrix, User: push.UserID(text)}, nil
	}
	idType, value, found := strings.Cut(text, ":")
	if !found {
		idType, value = IDTypeKVNR, text
	}
	return fachdienst(idType, value)
}

// fachdienst names a person or an institution.
func fachdienst(idType, value string) (Identity, error) {
	if value == "" || hasBlank(value) || (idType != IDTypeKVNR && idType != IDTypeTelematikID) {
		return Identity{}, errUser
	}
	return Identity{Realm: push.RealmFachdienst, User: push.UserID(idType + ":" + value), IDType: idType}, nil
}

// hasBlank finds what no identifier holds and what would make two spellings of one person.
func hasBlank(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\uFFFD' })
}

const redacted = "<redacted>"

// Token is a bearer token. It cannot print itself.
type Token string

// String and its siblings keep the value out of logs and error texts.
func (t Token) String() string { return redacted }

// GoString hides it from %#v.
func (t Token) GoString() string { return redacted }

// Format hides it from every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides it from log/slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides it from encoding/json.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// digest is what is compared and remembered instead of a token.
type digest [sha256.Size]byte

func (t Token) digest() digest { return sha256.Sum256([]byte(t)) }

// maxToken bounds a token in bytes: header lines end there too, and no issuer comes near.
const maxToken = 8192

// wellFormed reports whether a token can be one: visible ASCII, so it also fits into a header of our own requests.
func (t Token) wellFormed() bool {
	if t == "" || len(t) > maxToken {
		return false
	}
	return !strings.ContainsFunc(string(t), func(r rune) bool { return r <= ' ' || r > '~' })
}

// TokenFrom reads the bearer token of a request: the header Authorization or, with query, also the deprecated parameter
// access_token (Matrix, v1.11 to v1.19). No token, a header that is not "Bearer ...", or several tokens at once are
// M_MISSING_TOKEN.
func TokenFrom(r *http.Request, query bool) (Token, error) {
	headers := r.Header.Values("Authorization")
	var params []string
	if query {
		params = r.URL.Query()["access_token"]
	}
	if len(headers)+len(params) != 1 {
		return "", missingToken()
	}
	if len(params) == 1 {
		if params[0] == "" {
			return "", missingToken()
		}
		return Token(params[0]), nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", missingToken()
	}
	return Token(token), nil
}
