package bearer_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api/bearer"
	"github.com/pushgate/pushgate/internal/api/bearer/bearertest"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

// limits counts and refuses as told.
type limits struct {
	addresses, users int
	address, user    error
}

func (l *limits) Address(netip.Addr) error { l.addresses++; return l.address }
func (l *limits) User(push.Owner) error    { l.users++; return l.user }

func TestNew_Order(t *testing.T) {
	t.Parallel()
	busy, closed := errors.New("busy"), errors.New("closed")
	for name, c := range map[string]struct {
		method, token    string
		limits           limits
		admit            error
		want             error
		kind             push.Kind
		addresses, users int
	}{
		"reading is not counted":              {method: "GET", token: "t"},
		"nor is HEAD":                         {method: "HEAD", token: "t"},
		"a write is counted twice":            {method: "POST", token: "t", addresses: 1, users: 1},
		"an address is held before the token": {method: "POST", limits: limits{address: busy}, want: busy, addresses: 1},
		"a wrong token counts for the address": {
			method: "POST", token: "x", kind: push.Unauthenticated, addresses: 1,
		},
		"no token likewise":              {method: "POST", kind: push.Unauthenticated, addresses: 1},
		"who may not come in is not one": {method: "POST", token: "t", admit: closed, want: closed, addresses: 1},
		"a user is held":                 {method: "POST", token: "t", limits: limits{user: busy}, want: busy, addresses: 1, users: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			authenticate, err := bearer.New(bearer.Options{
				Authenticator: bearertest.People{"t": bearertest.Insured("X1")}, Limiter: &c.limits, Realm: push.RealmFachdienst,
				Admit: func(*http.Request, auth.Identity) error { return c.admit },
			})
			require.NoError(t, err)
			r := httptest.NewRequest(c.method, "/", nil)
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			who, err := authenticate(r)
			require.Equal(t, []int{c.addresses, c.users}, []int{c.limits.addresses, c.limits.users})
			switch {
			case c.want != nil:
				require.ErrorIs(t, err, c.want)
			case c.kind != push.Internal:
				require.Equal(t, c.kind, push.KindOf(err))
			default:
				require.NoError(t, err)
				require.Equal(t, bearertest.Insured("X1"), who)
			}
		})
	}
}

func TestNew_WithoutLimitsAndWithQueryTokens(t *testing.T) {
	t.Parallel()
	_, err := bearer.New(bearer.Options{})
	require.Error(t, err)
	for _, query := range []bool{false, true} {
		authenticate, err := bearer.New(bearer.Options{
			Authenticator: bearertest.People{"t": bearertest.Matrix("@a:b", "D")}, Realm: push.RealmMatrix, QueryToken: query,
		})
		require.NoError(t, err)
		who, err := authenticate(httptest.NewRequest(http.MethodPost, "/?access_token=t", nil))
		require.Equal(t, query, err == nil)
		if query {
			require.Equal(t, bearertest.Matrix("@a:b", "D"), who)
		}
	}
}
