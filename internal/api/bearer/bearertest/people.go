package bearertest

import (
	"context"

	"github.com/pushgate/pushgate/internal/api/bearer"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

// People is an authenticator that knows these tokens. Its errors are those of auth.Authenticator.
type People map[auth.Token]auth.Identity

var _ bearer.Authenticator = People{}

// Authenticate implements bearer.Authenticator.
func (p People) Authenticate(_ context.Context, realm push.Realm, token auth.Token) (auth.Identity, error) {
	who, ok := p[token]
	if !ok || who.Realm != realm {
		return auth.Identity{}, &push.Error{Kind: push.Unauthenticated, Code: auth.CodeUnknownToken, Msg: "unknown access token"}
	}
	return who, nil
}

// Failing is an authenticator that answers every token with an error.
type Failing struct{ Err error }

// Authenticate implements bearer.Authenticator.
func (f Failing) Authenticate(context.Context, push.Realm, auth.Token) (auth.Identity, error) {
	return auth.Identity{}, f.Err
}

// Matrix returns a user of a homeserver with a session.
func Matrix(user, device string) auth.Identity {
	return auth.Identity{Realm: push.RealmMatrix, User: push.UserID(user), Device: device}
}

// Insured returns an insured person.
func Insured(kvnr string) auth.Identity {
	return auth.Identity{Realm: push.RealmFachdienst, User: push.UserID(auth.IDTypeKVNR + ":" + kvnr), IDType: auth.IDTypeKVNR}
}

// Institution returns an institution.
func Institution(id string) auth.Identity {
	return auth.Identity{Realm: push.RealmFachdienst, User: push.UserID(auth.IDTypeTelematikID + ":" + id), IDType: auth.IDTypeTelematikID}
}
