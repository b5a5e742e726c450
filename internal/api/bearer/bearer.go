package bearer

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

// Authenticator tells whose token it is. auth.Authenticator is one.
type Authenticator interface {
	Authenticate(ctx context.Context, realm push.Realm, token auth.Token) (auth.Identity, error)
}

// Limiter slows down who writes too often. auth.Limiter is one.
type Limiter interface {
	Address(addr netip.Addr) error
	User(owner push.Owner) error
}

// Options say who may call.
type Options struct {
	Authenticator Authenticator
	// Limiter counts writes. Nil limits nobody.
	Limiter Limiter
	Realm   push.Realm
	// QueryToken also takes the token from the query parameter access_token.
	QueryToken bool
	// Admit has the last word about a known caller, such as what kind of person may call. Nil lets everybody in.
	Admit func(r *http.Request, caller auth.Identity) error
}

var errNobody = errors.New("no authenticator")

// New returns the Authenticate of an api.Group; handlers find the auth.Identity through api.Identity. The address is
// counted first, so that nobody can try tokens without end.
func New(o Options) (func(*http.Request) (any, error), error) {
	if o.Authenticator == nil {
		return nil, errNobody
	}
	return func(r *http.Request) (any, error) {
		writes := o.Limiter != nil && r.Method != http.MethodGet && r.Method != http.MethodHead
		if writes {
			if err := o.Limiter.Address(api.ClientAddr(r.Context())); err != nil {
				return nil, err
			}
		}
		token, err := auth.TokenFrom(r, o.QueryToken)
		if err != nil {
			return nil, err
		}
		caller, err := o.Authenticator.Authenticate(r.Context(), o.Realm, token)
		if err != nil {
			return nil, err
		}
		if o.Admit != nil {
			if err := o.Admit(r, caller); err != nil {
				return nil, err
			}
		}
		if writes {
			if err := o.Limiter.User(caller.Owner()); err != nil {
				return nil, err
			}
		}
		return caller, nil
	}, nil
}
