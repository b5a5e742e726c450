package webpush

import (
	"net/http"
	"sync"
	"time"

	sdk "github.com/SherClockHolmes/webpush-go"
)

const (
	// tokenRenewal is how long a VAPID token is used. The library signs one for each message; Apple asks for a new one once
	// an hour at most. Tokens end 12 hours after they were made.
	tokenRenewal = time.Hour
	// maxOrigins bounds the tokens kept: with "*" in allowed_hosts strangers choose the origins.
	maxOrigins = 1024
)

// vapid sends requests with one token for each push service (RFC 8292: the audience is the origin).
type vapid struct {
	next sdk.HTTPClient
	now  func() time.Time

	mu     sync.Mutex
	tokens map[string]vapidToken // by origin
}

type vapidToken struct {
	header string // Authorization
	made   time.Time
}

func newVAPID(next sdk.HTTPClient, now func() time.Time) *vapid {
	return &vapid{next: next, now: now, tokens: map[string]vapidToken{}}
}

// Do implements sdk.HTTPClient.
func (v *vapid) Do(req *http.Request) (*http.Response, error) {
	origin := req.URL.Scheme + "://" + req.URL.Host
	header := v.token(origin, req.Header.Get("Authorization"))
	req.Header.Set("Authorization", header)
	res, err := v.next.Do(req)
	if err == nil && (res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden) {
		v.drop(origin, header) // made by a clock that was wrong, perhaps
	}
	return res, err
}

// token returns the token in use for an origin. fresh has just been made and takes its place when there is none, or an old
// one, or one from the future of a clock that has been set back.
func (v *vapid) token(origin, fresh string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	if t, ok := v.tokens[origin]; ok && now.Sub(t.made).Abs() < tokenRenewal {
		return t.header
	}
	if len(v.tokens) >= maxOrigins {
		clear(v.tokens)
	}
	v.tokens[origin] = vapidToken{fresh, now}
	return fresh
}

func (v *vapid) drop(origin, header string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tokens[origin].header == header {
		delete(v.tokens, origin)
	}
}
