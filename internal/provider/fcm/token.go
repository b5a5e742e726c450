package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/pushgate/pushgate/internal/push"
)

// Timing of the access token. Google's live for an hour.
const (
	// tokenLife is assumed when the endpoint does not say.
	tokenLife = time.Hour
	// renewShare and maxRenew: a token is renewed in the background once a tenth of its life is left, at most 5 minutes,
	// while requests still use it.
	renewShare = 10
	maxRenew   = 5 * time.Minute
	// spareShare and maxSpare: with this little life left it might end under way, so requests wait for the next one.
	spareShare = 50
	maxSpare   = 30 * time.Second
	// failureHold answers for a failed fetch without asking again, so that a dead endpoint sees one request a second
	// and not one for each push. It is no retry: the next fetch happens only if somebody wants to send.
	failureHold = time.Second
)

const (
	reasonTokenUnreachable = "token_endpoint_unreachable"
	reasonTokenServer      = "token_endpoint_error"
	reasonTokenRefused     = "token_refused"
	reasonInvalidGrant     = "invalid_grant"
	reasonInvalidClient    = "invalid_client"
	reasonInvalidScope     = "invalid_scope"
)

// accessToken is one OAuth token and what is known about it.
type accessToken struct {
	header string // Authorization
	issued time.Time
	// From renewAt on a successor is fetched in the background, from lastAt on the token is not used any more.
	renewAt, lastAt time.Time
	// replacement marks the successor of a token that FCM refused.
	replacement bool
	// proven is set once FCM has dealt with a request that carried it.
	proven atomic.Bool
}

// tokens holds the access token that all requests of one app share. However many want one at the same time, there is one
// fetch, and it belongs to nobody: a request that gives up does not take it down.
type tokens struct {
	fetch func() (*oauth2.Token, error) // blocks, bounded by its HTTP client
	now   func() time.Time
	log   *slog.Logger

	mu          sync.Mutex
	current     *accessToken
	replaceNext bool // the next token follows a refused one
	call        *tokenCall
	failure     *tokenFailure
	failedUntil time.Time
}

// tokenCall is a fetch under way; its results may be read once done is closed.
type tokenCall struct {
	done    chan struct{}
	token   *accessToken
	failure *tokenFailure
}

// tokenFailure says why there is no token: either a fault or an outcome, never about a device.
type tokenFailure struct {
	fault   *push.Fault
	outcome push.Outcome
}

// get returns a usable token, or why there is none.
func (t *tokens) get(ctx context.Context) (*accessToken, *tokenFailure) {
	now := t.now()
	t.mu.Lock()
	usable := t.current != nil && now.Before(t.current.lastAt)
	fresh := usable && now.Before(t.current.renewAt)
	if fresh {
		defer t.mu.Unlock()
		return t.current, nil
	}
	held := now.Before(t.failedUntil)
	if t.call == nil && !held {
		t.call = &tokenCall{done: make(chan struct{})}
		go t.run(t.call) //nolint:gosec // on purpose not bound to this request's context
	}
	call, current, failure := t.call, t.current, t.failure
	t.mu.Unlock()

	switch {
	case usable: // renewed behind our back
		return current, nil
	case call == nil:
		return nil, failure
	}
	select {
	case <-call.done:
		return call.token, call.failure
	case <-ctx.Done():
		return nil, &tokenFailure{outcome: interrupted(ctx.Err())}
	}
}

// run makes one fetch and publishes its result.
func (t *tokens) run(call *tokenCall) {
	defer close(call.done)
	got, err := t.fetch()
	now := t.now()

	t.mu.Lock()
	defer t.mu.Unlock()
	t.call = nil
	if err != nil {
		call.failure = t.explain(err, now)
		t.failure, t.failedUntil = call.failure, now.Add(failureHold)
		return
	}
	t.failure, t.failedUntil = nil, time.Time{}
	life := tokenLife
	if !got.Expiry.IsZero() {
		life = time.Until(got.Expiry) // as a span: the monotonic clock then keeps it right when the wall clock jumps
	}
	call.token = &accessToken{
		header:      got.Type() + " " + got.AccessToken,
		issued:      now,
		renewAt:     now.Add(life - min(life/renewShare, maxRenew)),
		lastAt:      now.Add(life - min(life/spareShare, maxSpare)),
		replacement: t.replaceNext,
	}
	t.current, t.replaceNext = call.token, false
	t.log.LogAttrs(context.Background(), slog.LevelDebug, "access token fetched", slog.Duration("life", life.Round(time.Second)))
}

// refused drops a token that FCM did not accept, so that the next request fetches another. It reports whether that has
// been tried already: the token was a replacement itself and never worked, so our credential is wrong.
func (t *tokens) refused(token *accessToken) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == token { // else a straggler with an old token
		t.current, t.replaceNext = nil, true
	}
	return token.replacement && !token.proven.Load()
}

// issued returns when the token in use was made, zero without one.
func (t *tokens) issued() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == nil {
		return time.Time{}
	}
	return t.current.issued
}

// explain turns a failed fetch into its meaning. A refusal in OAuth's own words (RFC 6749, 5.2) is about our
// credential; anything else is about the endpoint or the way there.
func (t *tokens) explain(err error, now time.Time) *tokenFailure {
	refusal, answered := errors.AsType[*oauth2.RetrieveError](err)
	if !answered || refusal.Response == nil {
		t.log.LogAttrs(context.Background(), slog.LevelWarn, "no access token: token endpoint not reached", slog.String("cause", cause(err)))
		return &tokenFailure{outcome: push.Outcome{Reason: reasonTokenUnreachable, Scope: push.ScopeApp, Transport: true}}
	}
	status := refusal.Response.StatusCode
	code := oauthCode(refusal.Body)
	attrs := []slog.Attr{slog.Int("status", status), slog.String("reason", oauthReason(code))}
	if status < 400 || status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || transient(code) {
		t.log.LogAttrs(context.Background(), slog.LevelWarn, "no access token: token endpoint in trouble", attrs...)
		return &tokenFailure{outcome: push.Outcome{
			Reason:    reasonTokenServer,
			Delay:     retryAfter(refusal.Response.Header.Get("Retry-After"), now),
			Scope:     push.ScopeApp,
			Transport: true,
		}}
	}
	t.log.LogAttrs(context.Background(), slog.LevelError, "no access token: the service account was refused", attrs...)
	return &tokenFailure{fault: &push.Fault{Kind: push.FaultConfig, Reason: oauthReason(code)}}
}

// oauthCode returns the error member of a token endpoint's answer, empty when there is none.
func oauthCode(body []byte) string {
	var doc struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return ""
	}
	return doc.Error
}

// transient reports the codes that Google's token endpoint uses for its own trouble, whatever the status.
func transient(code string) bool {
	switch code {
	case "internal_failure", "server_error", "temporarily_unavailable", "rate_limit_exceeded", "slow_down":
		return true
	default:
		return false
	}
}

// oauthReason maps a code to our fixed list of reasons.
func oauthReason(code string) string {
	switch code {
	case reasonInvalidGrant, reasonInvalidClient, reasonInvalidScope:
		return code
	default:
		return reasonTokenRefused
	}
}
