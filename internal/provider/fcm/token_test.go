package fcm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/pushgate/pushgate/internal/push"
)

// endpoint is a token endpoint in the place of the network.
type endpoint struct {
	calls atomic.Int64
	slow  time.Duration
	fail  func(call int64) error
	life  time.Duration
}

func (e *endpoint) fetch() (*oauth2.Token, error) {
	n := e.calls.Add(1)
	time.Sleep(e.slow)
	if e.fail != nil {
		if err := e.fail(n); err != nil {
			return nil, err
		}
	}
	token := &oauth2.Token{AccessToken: fmt.Sprint(n)}
	if e.life > 0 {
		token.Expiry = time.Now().Add(e.life)
	}
	return token, nil
}

func (e *endpoint) tokens() *tokens {
	return &tokens{fetch: e.fetch, now: time.Now, log: slog.New(slog.DiscardHandler)}
}

// refusal is what x/oauth2 returns for an answer other than 2xx.
func refusal(status int, header http.Header, body string) error {
	return &oauth2.RetrieveError{Response: &http.Response{StatusCode: status, Header: header}, Body: []byte(body)}
}

func (t *tokens) mustGet(tb testing.TB) string {
	tb.Helper()
	token, failure := t.get(tb.Context())
	require.Nil(tb, failure)
	return token.header
}

func TestTokens_ManyFirstPushesFetchOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{slow: time.Second, life: time.Hour}
		tokens := e.tokens()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				token, failure := tokens.get(t.Context())
				if failure != nil || token.header != "Bearer 1" {
					t.Error("every push wants the same token")
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, e.calls.Load())
	})
}

func TestTokens_RenewedWhileStillInUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{slow: 2 * time.Second, life: time.Hour}
		tokens := e.tokens()
		require.Equal(t, "Bearer 1", tokens.mustGet(t))
		issued := tokens.issued()

		time.Sleep(54 * time.Minute)
		require.Equal(t, "Bearer 1", tokens.mustGet(t))
		require.EqualValues(t, 1, e.calls.Load(), "more than 5 minutes left")

		time.Sleep(90 * time.Second)
		start := time.Now()
		require.Equal(t, "Bearer 1", tokens.mustGet(t))
		require.Equal(t, "Bearer 1", tokens.mustGet(t))
		require.Zero(t, time.Since(start), "nobody waits for the renewal")
		time.Sleep(3 * time.Second)
		require.EqualValues(t, 2, e.calls.Load())
		require.Equal(t, "Bearer 2", tokens.mustGet(t))
		require.True(t, tokens.issued().After(issued))
	})
}

func TestTokens_FailingRenewalLeavesTheOldTokenToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{life: time.Hour, fail: func(call int64) error {
			if call > 1 {
				return errors.New("down")
			}
			return nil
		}}
		tokens := e.tokens()
		tokens.mustGet(t)
		time.Sleep(56 * time.Minute)
		for range 60 {
			require.Equal(t, "Bearer 1", tokens.mustGet(t))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		time.Sleep(3 * time.Minute)
		_, failure := tokens.get(t.Context())
		require.NotNil(t, failure, "a token about to end is not used")
		require.Equal(t, push.Outcome{Reason: reasonTokenUnreachable, Scope: push.ScopeApp, Transport: true}, failure.outcome)
	})
}

func TestTokens_LifeThatTheEndpointDoesNotTell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		tokens := e.tokens()
		tokens.mustGet(t)
		time.Sleep(time.Hour)
		require.Equal(t, "Bearer 2", tokens.mustGet(t))
	})
}

func TestTokens_WaitEndsWithTheContextAndTheFetchGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{slow: 10 * time.Second, life: time.Hour}
		tokens := e.tokens()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, failure := tokens.get(ctx)
		require.Equal(t, push.Outcome{Reason: reasonTimeout, Scope: push.ScopeConnection, Transport: true}, failure.outcome)
		require.Equal(t, "Bearer 1", tokens.mustGet(t))
		require.EqualValues(t, 1, e.calls.Load())
	})
}

func TestTokens_FailureIsRememberedForASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{life: time.Hour, fail: func(call int64) error {
			if call == 1 {
				return errors.New("connection refused")
			}
			return nil
		}}
		tokens := e.tokens()
		for range 100 {
			_, failure := tokens.get(t.Context())
			require.NotNil(t, failure)
		}
		require.EqualValues(t, 1, e.calls.Load(), "no storm at a dead endpoint")
		time.Sleep(failureHold)
		require.Equal(t, "Bearer 2", tokens.mustGet(t))
	})
}

func TestTokens_MeaningOfARefusal(t *testing.T) {
	t.Parallel()
	fault := func(reason string) tokenFailure {
		return tokenFailure{fault: &push.Fault{Kind: push.FaultConfig, Reason: reason}}
	}
	later := func(reason string, delay time.Duration) tokenFailure {
		return tokenFailure{outcome: push.Outcome{Reason: reason, Scope: push.ScopeApp, Transport: true, Delay: delay}}
	}
	for name, tt := range map[string]struct {
		err  error
		want tokenFailure
	}{
		"invalid_grant":              {refusal(400, nil, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`), fault("invalid_grant")},
		"invalid_client":             {refusal(401, nil, `{"error":"invalid_client"}`), fault("invalid_client")},
		"invalid_scope":              {refusal(400, nil, `{"error":"invalid_scope"}`), fault("invalid_scope")},
		"a code of its own":          {refusal(403, nil, `{"error":"account deleted for person@example.org"}`), fault("token_refused")},
		"404 as HTML":                {refusal(404, nil, `<html>`), fault("token_refused")},
		"429 with Retry-After":       {refusal(429, http.Header{"Retry-After": {"40"}}, `{}`), later("token_endpoint_error", 40*time.Second)},
		"408":                        {refusal(408, nil, ``), later("token_endpoint_error", 0)},
		"500":                        {refusal(500, nil, `{"error":"internal_failure"}`), later("token_endpoint_error", 0)},
		"503":                        {refusal(503, nil, ``), later("token_endpoint_error", 0)},
		"redirect":                   {refusal(302, nil, ``), later("token_endpoint_error", 0)},
		"400 with trouble of theirs": {refusal(400, nil, `{"error":"temporarily_unavailable"}`), later("token_endpoint_error", 0)},
		"network":                    {errors.New("dial tcp"), later("token_endpoint_unreachable", 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &endpoint{fail: func(int64) error { return tt.err }}
			_, failure := e.tokens().get(t.Context())
			require.Equal(t, tt.want, *failure)
		})
	}
}

func TestTokens_RefusedByFCM(t *testing.T) {
	t.Parallel()
	e := &endpoint{life: time.Hour}
	tokens := e.tokens()
	first, _ := tokens.get(t.Context())
	require.False(t, tokens.refused(first), "the first refusal only costs the token")
	require.False(t, tokens.refused(first), "and so for all that were under way with it")

	second, _ := tokens.get(t.Context())
	require.NotEqual(t, first.header, second.header)
	require.False(t, tokens.refused(first), "a straggler does not drop the new token")
	require.Equal(t, second.header, tokens.mustGet(t))
	require.True(t, tokens.refused(second), "a fresh token did not help")

	third, _ := tokens.get(t.Context())
	require.True(t, tokens.refused(third), "still not mended")

	fourth, _ := tokens.get(t.Context())
	fourth.proven.Store(true)
	require.False(t, tokens.refused(fourth), "it has worked: this is a new story")
}
