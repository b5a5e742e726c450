package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

const homeserver = "https://matrix.example.org"

func matrixConfig() auth.Config {
	return auth.Config{Matrix: auth.MatrixConfig{HomeserverURL: homeserver + "/"}}
}

// A real server on loopback: the request is the one of the Matrix specification, and the answer is passed on.
func TestWhoami_AsksTheHomeserver(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/_matrix/client/v3/account/whoami" || r.URL.RawQuery != "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if r.Header.Get("Authorization") != "Bearer syt_good" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errcode":"M_UNKNOWN_TOKEN","error":"Unrecognised access token","soft_logout":false}`)
			return
		}
		fmt.Fprint(w, `{"user_id":"@alice:example.org","device_id":"PHONE","is_guest":false,"custom":1}`)
	}))
	defer srv.Close()
	a, err := auth.New(auth.Options{Config: auth.Config{Matrix: auth.MatrixConfig{HomeserverURL: srv.URL}}, HTTPClient: srv.Client()})
	require.NoError(t, err)
	defer a.Close()
	got, err := a.Authenticate(t.Context(), push.RealmMatrix, "syt_good")
	require.NoError(t, err)
	require.Equal(t, auth.Identity{Realm: push.RealmMatrix, User: "@alice:example.org", Device: "PHONE"}, got)
	_, err = a.Authenticate(t.Context(), push.RealmMatrix, "syt_bad")
	requireDenied(t, err, push.Unauthenticated, "M_UNKNOWN_TOKEN")
	_, err = a.Authenticate(t.Context(), push.RealmFachdienst, "syt_good")
	requireDenied(t, err, push.Unauthenticated, "M_UNKNOWN_TOKEN")
}

func TestWhoami_Answers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		kind   push.Kind
		code   string
		soft   bool
	}{
		{"unknown token", 401, `{"errcode":"M_UNKNOWN_TOKEN"}`, push.Unauthenticated, "M_UNKNOWN_TOKEN", false},
		{"soft logout keeps the client's keys", 401, `{"errcode":"M_UNKNOWN_TOKEN","soft_logout":true}`, push.Unauthenticated, "M_UNKNOWN_TOKEN", true},
		{"locked", 401, `{"errcode":"M_USER_LOCKED","soft_logout":true}`, push.Unauthenticated, "M_USER_LOCKED", true},
		{"a word of its own", 401, `{"errcode":"ORG_SECRET","error":"x"}`, push.Unauthenticated, "M_UNKNOWN_TOKEN", false},
		{"guest", 200, `{"user_id":"@g:example.org","is_guest":true}`, push.Forbidden, "M_GUEST_ACCESS_FORBIDDEN", false},
		{"forbidden", 403, `{"errcode":"M_FORBIDDEN"}`, push.Forbidden, "M_FORBIDDEN", false},
		// What is not a homeserver's word about the token says nothing about it.
		{"401 of a proxy", 401, `<html>`, push.Unavailable, "", false},
		{"401 without errcode", 401, `{}`, push.Unavailable, "", false},
		{"403 of a firewall", 403, `denied`, push.Unavailable, "", false},
		{"404", 404, `{"errcode":"M_UNRECOGNIZED"}`, push.Unavailable, "", false},
		{"500", 500, `{"errcode":"M_UNKNOWN"}`, push.Unavailable, "", false},
		{"502", 502, ``, push.Unavailable, "", false},
		{"a redirect", 302, ``, push.Unavailable, "", false},
		{"a page that says 200", 200, `<html>`, push.Unavailable, "", false},
		{"200 without a user", 200, `{}`, push.Unavailable, "", false},
		{"200 with a user of another kind", 200, `{"user_id":"kvnr:X110400001"}`, push.Unavailable, "", false},
		{"200 with a user that is none", 200, `{"user_id":"@a b"}`, push.Unavailable, "", false},
		{"200 with a number", 200, `{"user_id":1}`, push.Unavailable, "", false},
		{"an endless answer", 200, `{"user_id":"@a:b"}` + strings.Repeat(" ", 64<<10), push.Unavailable, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			a := open(t, matrixConfig(), func(*http.Request) (*http.Response, error) {
				asked++
				return respond(tt.status, tt.body, "Location", "https://evil.example.org/"), nil
			})
			for range 2 {
				_, err := a.Authenticate(t.Context(), push.RealmMatrix, "token")
				requireDenied(t, err, tt.kind, tt.code)
				require.Equal(t, tt.soft, auth.SoftLogout(err))
			}
			require.Equal(t, 2, asked, "only good news is remembered, and nothing is followed or repeated")
		})
	}
}

func TestWhoami_LimitedByTheHomeserver(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]time.Duration{"7": 7 * time.Second, "": 5 * time.Second, "-1": 5 * time.Second, "soon": 5 * time.Second, "999999": time.Hour} {
		a := open(t, matrixConfig(), func(*http.Request) (*http.Response, error) {
			return respond(429, `{"errcode":"M_LIMIT_EXCEEDED"}`, "Retry-After", after), nil
		})
		_, err := a.Authenticate(t.Context(), push.RealmMatrix, "token")
		requireDenied(t, err, push.Limited, "M_LIMIT_EXCEEDED")
		var e *push.Error
		require.ErrorAs(t, err, &e)
		require.Equalf(t, want, e.RetryAfter, "%q", after)
	}
}

// A positive answer is believed for half a minute: revoking works that much later.
func TestWhoami_CachesGoodNewsBriefly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, revoked := 0, false
		a := open(t, matrixConfig(), func(*http.Request) (*http.Response, error) {
			asked++
			if revoked {
				return respond(401, `{"errcode":"M_UNKNOWN_TOKEN"}`), nil
			}
			return respond(200, `{"user_id":"@a:example.org","device_id":"D"}`), nil
		})
		check := func() error {
			_, err := a.Authenticate(t.Context(), push.RealmMatrix, "token")
			return err
		}
		for range 29 {
			require.NoError(t, check())
			time.Sleep(time.Second)
		}
		require.Equal(t, 1, asked, "and using a token does not prolong it")
		revoked = true
		require.NoError(t, check())
		time.Sleep(time.Second)
		requireDenied(t, check(), push.Unauthenticated, "M_UNKNOWN_TOKEN")
		requireDenied(t, check(), push.Unauthenticated, "M_UNKNOWN_TOKEN")
		require.Equal(t, 3, asked)
	})
}

// Everything that one token asks at once is one request; a caller who leaves does not take the others along.
func TestWhoami_SharesOneQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		a := open(t, matrixConfig(), func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			select {
			case <-time.After(2 * time.Second):
				return respond(200, `{"user_id":"@a:example.org"}`), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		impatient, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		var wg sync.WaitGroup
		errs := make([]error, 20)
		for n := range errs {
			ctx := t.Context()
			if n == 0 {
				ctx = impatient
			}
			wg.Go(func() { _, errs[n] = a.Authenticate(ctx, push.RealmMatrix, "token") })
			synctest.Wait() // the impatient one asks first
		}
		wg.Wait()
		requireDenied(t, errs[0], push.Unavailable, "")
		require.ErrorIs(t, errs[0], context.DeadlineExceeded)
		for _, err := range errs[1:] {
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, asked.Load())
	})
}

// A homeserver that hangs costs ten seconds, and made-up tokens cannot turn us against it.
func TestWhoami_SlowHomeserver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		a := open(t, matrixConfig(), func(r *http.Request) (*http.Response, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		var wg sync.WaitGroup
		errs := make([]error, 200)
		for n := range errs {
			wg.Go(func() {
				_, errs[n] = a.Authenticate(t.Context(), push.RealmMatrix, auth.Token(fmt.Sprintf("token-%d", n)))
			})
		}
		wg.Wait()
		require.Equal(t, 10*time.Second, time.Since(start))
		for _, err := range errs {
			requireDenied(t, err, push.Unavailable, "")
		}
		require.EqualValues(t, 64, most.Load())
	})
}

func TestAuthenticate_FirstSourceThatKnowsWins(t *testing.T) {
	t.Parallel()
	s := edSigner(t, "k")
	signed := s.token(t, claims(map[string]any{"sub": "@jwt:example.org", "role": "user"}), nil)
	noRole := s.token(t, claims(map[string]any{"sub": "@jwt:example.org"}), nil)
	var down atomic.Bool
	var asked []string
	c := matrixConfig()
	c.TokensFile = file(t, "- {token_sha256: "+hashOf("static")+`, user_id: "@file:example.org"}`)
	c.JWT = []auth.JWTConfig{jwtConfig(func(j *auth.JWTConfig) {
		j.Realm, j.IDType, j.JWKSFile = push.RealmMatrix, "", file(t, string(keySet(s)))
		j.Require = map[string]string{"role": "user"}
	})}
	a := open(t, c, func(r *http.Request) (*http.Response, error) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		asked = append(asked, token)
		switch {
		case down.Load():
			return nil, io.ErrUnexpectedEOF
		case strings.HasPrefix(token, "syt_"):
			return respond(200, `{"user_id":"@hs:example.org"}`), nil
		default:
			return respond(401, `{"errcode":"M_UNKNOWN_TOKEN","soft_logout":true}`), nil
		}
	})
	for token, want := range map[auth.Token]push.UserID{"static": "@file:example.org", signed: "@jwt:example.org", "syt_1": "@hs:example.org"} {
		got, err := a.Authenticate(t.Context(), push.RealmMatrix, token)
		require.NoError(t, err)
		require.Equal(t, want, got.User)
	}
	_, err := a.Authenticate(t.Context(), push.RealmMatrix, noRole)
	requireDenied(t, err, push.Forbidden, "M_FORBIDDEN")
	require.Equal(t, []string{"syt_1"}, asked, "the homeserver is not asked about tokens that somebody knows")

	_, err = a.Authenticate(t.Context(), push.RealmMatrix, "other")
	requireDenied(t, err, push.Unauthenticated, "M_UNKNOWN_TOKEN")
	require.True(t, auth.SoftLogout(err))
	down.Store(true)
	_, err = a.Authenticate(t.Context(), push.RealmMatrix, "other")
	requireDenied(t, err, push.Unavailable, "")
	_, err = a.Authenticate(t.Context(), push.RealmMatrix, "static")
	require.NoError(t, err, "a homeserver that is down does not matter to others")

	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err = a.Authenticate(gone, push.RealmMatrix, "other")
	require.ErrorIs(t, err, context.Canceled)
}

// No token in any text, at any level, whatever goes wrong.
func TestAuthenticate_LeaksNoToken(t *testing.T) {
	t.Parallel()
	const canary = "CANARY"
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := matrixConfig()
	c.JWT = []auth.JWTConfig{jwtConfig(func(j *auth.JWTConfig) { j.JWKSURL = jwksURL; j.Realm = push.RealmMatrix; j.IDType = "" })}
	header := b64([]byte(`{"alg":"ES256","kid":"` + canary + `"}`))
	for _, web := range []roundTrip{
		nil,
		func(r *http.Request) (*http.Response, error) { return nil, errors.New("refused") },
		func(r *http.Request) (*http.Response, error) {
			return respond(401, `{"errcode":"M_UNKNOWN_TOKEN"}`), nil
		},
		func(r *http.Request) (*http.Response, error) { return respond(500, canary), nil },
	} {
		a, err := auth.New(auth.Options{Config: c, HTTPClient: &http.Client{Transport: web}, Logger: log})
		require.NoError(t, err)
		for _, token := range []auth.Token{
			canary, "\n" + canary, canary + "é", auth.Token(header + "." + b64([]byte(`{"iss":"`+issuer+`"}`)) + ".AAAA"),
		} {
			_, err := a.Authenticate(t.Context(), push.RealmMatrix, token)
			for ; err != nil; err = errors.Unwrap(err) {
				fmt.Fprintf(&out, "%v %+v %#v\n", err, err, err)
				log.Info("failed", slog.Any("error", err))
			}
			fmt.Fprintf(&out, "%v %+v %#v %s %x\n", token, token, token, token, token)
			log.Info("token", slog.Any("token", token))
		}
		a.Close()
	}
	require.NotContains(t, out.String(), canary)
	require.NotContains(t, out.String(), header)
}
