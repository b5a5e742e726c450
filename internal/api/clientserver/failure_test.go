package clientserver_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/clientserver"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/bearer/bearertest"
	"github.com/pushgate/pushgate/internal/api/clientserver"
	cst "github.com/pushgate/pushgate/internal/api/clientserver/clientservertest"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

func limiter(perUser, perAddress int) *auth.Limiter {
	return auth.NewLimiter(auth.LimitsConfig{
		WritesPerUser: auth.Rate{Count: perUser, Per: time.Hour}, WritesPerAddress: auth.Rate{Count: perAddress, Per: time.Hour},
	})
}

func requireLimited(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	var e wire.LimitError
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
	require.EqualValues(t, "M_LIMIT_EXCEEDED", e.Errcode)
	require.Positive(t, e.RetryAfterMs)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
}

// 1.4: 429 with errcode, Retry-After and retry_after_ms (MSC4041). 1.1: reading is not limited [S].
func TestLimits_PerUser(t *testing.T) {
	t.Parallel()
	s := cst.NewServer(t, &pushertest.Store{}, func(o *clientserver.Options, _ *api.Options) { o.Limiter = limiter(2, 100) })
	s.MustSet(cst.Alice, cst.Body())
	s.MustSet(cst.Alice2, cst.Body())
	requireLimited(t, s.Set(cst.Alice, cst.Body()))
	requireLimited(t, s.Set(cst.Alice, "not JSON"))
	require.Len(t, s.Pushers(cst.Alice), 1)
	require.Len(t, s.Pushers(cst.Alice), 1)
	s.MustSet(cst.Bob, cst.Body())
}

func TestLimits_PerAddressBehindATrustedProxy(t *testing.T) {
	t.Parallel()
	s := cst.NewServer(t, &pushertest.Store{}, func(o *clientserver.Options, eo *api.Options) {
		o.Limiter, eo.TrustedProxies = limiter(100, 1), []string{"192.0.2.0/24"} // where httptest's requests come from
	})
	from := func(addr, token string) *httptest.ResponseRecorder {
		r := cst.Request(token, http.MethodPost, "/pushers/set", cst.Body())
		r.Header.Set("X-Forwarded-For", addr)
		return s.Serve(r)
	}
	require.Equal(t, http.StatusUnauthorized, from("198.51.100.1", "nobody").Code)
	requireLimited(t, from("198.51.100.1", cst.Alice))
	require.Equal(t, http.StatusOK, from("198.51.100.2", cst.Alice).Code)
	require.Equal(t, http.StatusOK, s.Serve(cst.Request(cst.Alice, http.MethodGet, "/pushers", "")).Code)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	const secret = "c4n4ry-53cr3t"
	get := func() *http.Request { return cst.Request(cst.Alice, http.MethodGet, "/pushers", "") }
	set := func() *http.Request { return cst.Request(cst.Alice, http.MethodPost, "/pushers/set", cst.Body()) }
	down := &pushertest.Store{}
	down.Fail(errors.New("the database is away"))
	fails := func(err error) func(*clientserver.Options, *api.Options) {
		return func(o *clientserver.Options, _ *api.Options) { o.Authenticator = bearertest.Failing{Err: err} }
	}
	for name, c := range map[string]struct {
		change  func(*clientserver.Options, *api.Options)
		store   *pushertest.Store
		request func() *http.Request
		status  int
		code    string
	}{
		"listing, store down": {store: down, request: get, status: 503, code: "M_UNKNOWN"},
		"setting, store down": {store: down, request: set, status: 503, code: "M_UNKNOWN"},
		"tokens cannot be checked": {
			change: fails(&push.Error{Kind: push.Unavailable, RetryAfter: time.Second}), request: get, status: 503, code: "M_UNKNOWN",
		},
		"the homeserver limits us": {
			change: fails(&push.Error{Kind: push.Limited, Code: "M_LIMIT_EXCEEDED", RetryAfter: time.Second}), request: get, status: 429, code: "M_LIMIT_EXCEEDED",
		},
		"guest": { // 1.4: guest token
			change: fails(&push.Error{Kind: push.Forbidden, Code: auth.CodeGuest, Msg: "guests have no pushers"}), request: set, status: 403, code: "M_GUEST_ACCESS_FORBIDDEN",
		},
		"locked": { // 1.4: locked account
			change: fails(&push.Error{Kind: push.Unauthenticated, Code: auth.CodeUserLocked, Msg: "locked"}), request: set, status: 401, code: "M_USER_LOCKED",
		},
		"nobody classified it": {change: fails(errors.New(secret)), request: get, status: 500, code: "M_UNKNOWN"},
		"half an owner": {change: func(o *clientserver.Options, _ *api.Options) {
			o.Authenticator = bearertest.People{cst.Alice: {Realm: push.RealmMatrix}}
		}, request: set, status: 500, code: "M_UNKNOWN"},
		"too large": {request: func() *http.Request {
			return cst.Request(cst.Alice, http.MethodPost, "/pushers/set", cst.Body("x", `"`+strings.Repeat("x", 70000)+`"`))
		}, status: 413, code: "M_TOO_LARGE"},
		"compressed": {request: func() *http.Request {
			r := set()
			r.Header.Set("Content-Encoding", "gzip")
			return r
		}, status: 415, code: "M_UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := c.store
			if store == nil {
				store = &pushertest.Store{}
			}
			s := cst.NewServer(t, store, c.change)
			w := s.Serve(c.request())
			require.Equalf(t, c.status, w.Code, "%s", w.Body)
			require.Contains(t, w.Body.String(), `"errcode":"`+c.code+`"`)
			require.NotContains(t, w.Body.String(), secret)
			require.NotContains(t, w.Body.String(), "soft_logout")
		})
	}
}

// 1.4: 401 M_UNKNOWN_TOKEN may carry soft_logout; a client that misses it throws its keys away.
func TestSoftLogout_IsPassedOnFromTheHomeserver(t *testing.T) {
	t.Parallel()
	homeserver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"errcode":"M_UNKNOWN_TOKEN","error":"refresh it","soft_logout":true}`)
	}))
	t.Cleanup(homeserver.Close)
	a, err := auth.New(auth.Options{Config: auth.Config{Matrix: auth.MatrixConfig{HomeserverURL: homeserver.URL}}})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	s := cst.NewServer(t, &pushertest.Store{}, func(o *clientserver.Options, _ *api.Options) { o.Authenticator = a })
	w := s.Serve(cst.Request("expired", http.MethodGet, "/pushers", ""))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Contains(t, w.Body.String(), `"soft_logout":true`)
	require.NotContains(t, s.Log.String(), "expired")
}

// Design 7: a token that stops working removes nothing.
func TestTokens_OneThatStopsWorkingRemovesNothing(t *testing.T) {
	t.Parallel()
	store := &pushertest.Store{}
	cst.NewServer(t, store, nil).MustSet(cst.Alice, cst.Body())
	people := bearertest.People{cst.Alice2: bearertest.Matrix("@alice:example.org", "TABLET")}
	s := cst.NewServer(t, store, func(o *clientserver.Options, _ *api.Options) { o.Authenticator = people })
	require.Equal(t, http.StatusUnauthorized, s.Serve(cst.Request(cst.Alice, http.MethodGet, "/pushers", "")).Code)
	require.Len(t, s.Pushers(cst.Alice2), 1)
}

func TestLogs_HoldNothingOfTheRegistration(t *testing.T) {
	t.Parallel()
	s := cst.NewServer(t, &pushertest.Store{}, nil)
	s.MustSet(cst.Alice, cst.Body("pushkey", `"c4n4ry-key"`, "lang", `"c4n4ry-lang"`, "data", `{"url":"https://c4n4ry.example.com/_matrix/push/v1/notify"}`))
	s.Set(cst.Alice, cst.Body("data", `{"url":"https://c4n4ry.example.com/other"}`))
	s.Set(cst.Alice, cst.Body("append", `"c4n4ry"`))
	s.List(cst.Alice)
	require.NotContains(t, s.Log.String(), "c4n4ry")
	require.NotContains(t, s.Log.String(), cst.Alice)
	require.NotContains(t, s.Log.String(), "example.org")
}

// The session of the token is remembered with the pusher (1.6, 1.7: pushers end with their device).
func TestSet_RemembersTheSessionThatRegistered(t *testing.T) {
	t.Parallel()
	store := &pushertest.Store{}
	s := cst.NewServer(t, store, nil)
	s.MustSet(cst.Alice, cst.Body())
	s.MustSet(cst.Alice2, cst.Body("lang", `"de"`))
	p, ok := store.Stored(pusher.Key{Owner: push.Owner{Realm: push.RealmMatrix, User: "@alice:example.org"}, AppID: "com.example.app.ios", Pushkey: "key"})
	require.True(t, ok)
	require.Equal(t, "PHONE", p.DeviceID)
}

func TestNew_NeedsWhatItWorksWith(t *testing.T) {
	t.Parallel()
	good := clientserver.Options{Registry: pusher.New(pusher.Options{Store: &pushertest.Store{}}), Authenticator: bearertest.People{}, BasePaths: []string{"/x"}}
	apis, err := clientserver.New(good)
	require.NoError(t, err)
	require.Len(t, apis, 1)
	for name, spoil := range map[string]func(*clientserver.Options){
		"registry":      func(o *clientserver.Options) { o.Registry = nil },
		"authenticator": func(o *clientserver.Options) { o.Authenticator = nil },
		"base paths":    func(o *clientserver.Options) { o.BasePaths = nil },
	} {
		o := good
		spoil(&o)
		_, err := clientserver.New(o)
		require.Error(t, err, name)
	}
}
