package auth_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

const jwksURL = "https://idp.example.org/jwks.json"

// idp is an issuer's web server.
type idp struct {
	mu      sync.Mutex
	answer  func() (*http.Response, error)
	fetches int
	delay   time.Duration
}

func (i *idp) serve(signers ...signer) { i.respond(http.StatusOK, string(keySet(signers...))) }

func (i *idp) respond(status int, body string) {
	i.set(func() (*http.Response, error) { return respond(status, body), nil })
}

func (i *idp) set(answer func() (*http.Response, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *idp) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func (i *idp) web(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.fetches++
	answer, delay := i.answer, i.delay
	i.mu.Unlock()
	if r.URL.String() != jwksURL || r.Method != http.MethodGet {
		return nil, errors.New("not the key set")
	}
	select {
	case <-time.After(delay):
		return answer()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// remote runs a test in a bubble with an Authenticator whose issuer is on the network.
func remote(t *testing.T, run func(t *testing.T, i *idp, check func(token auth.Token) error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		i := &idp{}
		a := open(t, auth.Config{JWT: []auth.JWTConfig{jwtConfig(func(c *auth.JWTConfig) { c.JWKSURL = jwksURL })}}, i.web)
		run(t, i, func(token auth.Token) error {
			_, err := a.Authenticate(t.Context(), push.RealmFachdienst, token)
			return err
		})
	})
}

// long returns a token that outlives the test.
func long(t *testing.T, s signer) auth.Token {
	return s.token(t, claims(map[string]any{"exp": time.Now().Add(1000 * time.Hour).Unix()}), nil)
}

func TestKeys_FetchedOnceForManyAtOnce(t *testing.T) {
	t.Parallel()
	s := edSigner(t, "k1")
	remote(t, func(t *testing.T, i *idp, check func(auth.Token) error) {
		i.serve(s)
		i.delay = time.Second
		token := long(t, s)
		var wg sync.WaitGroup
		errs := make([]error, 50)
		for n := range errs {
			wg.Go(func() { errs[n] = check(token) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, 1, i.count())
		time.Sleep(14 * time.Minute)
		require.NoError(t, check(token))
		require.Equal(t, 1, i.count(), "keys of a quarter of an hour are fresh")
	})
}

// An issuer rotates: the first token with the new key makes us fetch it. A withdrawn key stops working.
func TestKeys_Rotation(t *testing.T) {
	t.Parallel()
	first, second := edSigner(t, "k1"), edSigner(t, "k2")
	remote(t, func(t *testing.T, i *idp, check func(auth.Token) error) {
		i.serve(first)
		oldToken, newToken := long(t, first), long(t, second)
		require.NoError(t, check(oldToken))
		requireDenied(t, check(newToken), push.Unauthenticated, "M_UNKNOWN_TOKEN")
		i.serve(first, second)
		time.Sleep(time.Minute)
		require.NoError(t, check(newToken))
		require.NoError(t, check(oldToken))

		i.serve(second)
		time.Sleep(16 * time.Minute)
		require.NoError(t, check(oldToken), "still known, while the keys are fetched in the background")
		synctest.Wait()
		requireDenied(t, check(oldToken), push.Unauthenticated, "M_UNKNOWN_TOKEN")
		require.NoError(t, check(newToken))
	})
}

// Tokens with made-up key ids must not become requests to the issuer.
func TestKeys_UnknownKidsAreBounded(t *testing.T) {
	t.Parallel()
	s := edSigner(t, "k1")
	remote(t, func(t *testing.T, i *idp, check func(auth.Token) error) {
		i.serve(s)
		token := long(t, s)
		require.NoError(t, check(token))
		for n := range 1000 {
			other := s.token(t, claims(nil), map[string]any{"kid": strings.Repeat("x", n+1)})
			requireDenied(t, check(other), push.Unauthenticated, "M_UNKNOWN_TOKEN")
		}
		require.Equal(t, 3, i.count(), "three at once")
		require.NoError(t, check(token))
		time.Sleep(10 * time.Second)
		for range 100 {
			_ = check(s.token(t, claims(nil), map[string]any{"kid": "y"}))
		}
		require.Equal(t, 4, i.count(), "then one in ten seconds")
		for range 10 {
			_ = check(s.token(t, claims(map[string]any{"iss": "https://other.example.org"}), map[string]any{"kid": "z"}))
		}
		time.Sleep(time.Minute)
		_ = check(s.token(t, claims(map[string]any{"iss": "https://other.example.org"}), map[string]any{"kid": "z"}))
		require.Equal(t, 4, i.count(), "and none for tokens of others")
	})
}

// While the issuer is away, what is known stays known for a day, and what is not known is "try later": a client must not
// be told that its token is dead because nobody could look.
func TestKeys_IssuerAway(t *testing.T) {
	t.Parallel()
	s, rotated := edSigner(t, "k1"), edSigner(t, "k2")
	remote(t, func(t *testing.T, i *idp, check func(auth.Token) error) {
		away := func() (*http.Response, error) { return nil, errors.New("connection refused") }
		i.set(away)
		token, newToken := long(t, s), long(t, rotated)
		for range 100 {
			requireDenied(t, check(token), push.Unavailable, "")
		}
		require.Equal(t, 3, i.count(), "and nobody hammers it")

		i.serve(s)
		time.Sleep(10 * time.Second)
		require.NoError(t, check(token))
		i.set(away)
		for range 23 {
			time.Sleep(time.Hour)
			require.NoError(t, check(token))
			requireDenied(t, check(newToken), push.Unavailable, "")
		}
		time.Sleep(2 * time.Hour)
		requireDenied(t, check(token), push.Unavailable, "")
		i.serve(s)
		time.Sleep(time.Minute)
		require.NoError(t, check(token))
	})
}

func TestKeys_AnswersThatAreNoKeySet(t *testing.T) {
	t.Parallel()
	s := edSigner(t, "k1")
	for name, answer := range map[string]func() (*http.Response, error){
		"500":            func() (*http.Response, error) { return respond(500, string(keySet(s))), nil },
		"404":            func() (*http.Response, error) { return respond(404, ""), nil },
		"a redirect":     func() (*http.Response, error) { return respond(302, "", "Location", "https://evil.example.org/"), nil },
		"a web page":     func() (*http.Response, error) { return respond(200, "<html>"), nil },
		"no usable keys": func() (*http.Response, error) { return respond(200, `{"keys":[]}`), nil },
		"an endless one": func() (*http.Response, error) {
			return respond(200, string(keySet(s))+strings.Repeat(" ", 1<<20)), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remote(t, func(t *testing.T, i *idp, check func(auth.Token) error) {
				i.set(answer)
				requireDenied(t, check(long(t, s)), push.Unavailable, "")
				require.Equal(t, 1, i.count())
			})
		})
	}
}

// An issuer that never answers costs ten seconds at most.
func TestKeys_SlowIssuer(t *testing.T) {
	t.Parallel()
	s := edSigner(t, "k1")
	remote(t, func(t *testing.T, i *idp, check func(auth.Token) error) {
		i.serve(s)
		i.delay = time.Hour
		start := time.Now()
		requireDenied(t, check(long(t, s)), push.Unavailable, "")
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}

func TestKeys_FailureIsLogged(t *testing.T) {
	t.Parallel()
	s := edSigner(t, "k1")
	var log bytes.Buffer
	a, err := auth.New(auth.Options{
		Config:     auth.Config{JWT: []auth.JWTConfig{jwtConfig(func(c *auth.JWTConfig) { c.JWKSURL = jwksURL })}},
		HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return respond(503, ""), nil })},
		Logger:     slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	defer a.Close()
	token := s.token(t, claims(nil), nil)
	_, err = a.Authenticate(t.Context(), push.RealmFachdienst, token)
	requireDenied(t, err, push.Unavailable, "")
	require.Contains(t, log.String(), "the answer has the status 503")
	require.NotContains(t, log.String(), string(token))
}
