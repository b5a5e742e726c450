package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	whoamiPath    = "/_matrix/client/v3/account/whoami"
	whoamiTimeout = 10 * time.Second
	// A positive answer is believed for this long: a token that the homeserver revokes works here that much longer.
	whoamiTTL = 30 * time.Second
	// whoamiCached bounds memory: about 300 bytes each.
	whoamiCached = 16384
	// whoamiAtOnce bounds what strangers with made-up tokens can make us ask at the same time.
	whoamiAtOnce    = 64
	maxWhoamiAnswer = 64 << 10
)

// whoami asks the homeserver. It is safe for concurrent use.
type whoami struct {
	url     string
	client  *http.Client
	known   *lru.Cache[digest, knownUser]
	flights *flights[Identity]
	slots   chan struct{}
}

type knownUser struct {
	identity Identity
	until    time.Time
}

func newWhoami(homeserver string, client *http.Client) *whoami {
	known, err := lru.New[digest, knownUser](whoamiCached)
	if err != nil {
		panic(err) // only a size below 1 fails
	}
	return &whoami{
		url: strings.TrimSuffix(homeserver, "/") + whoamiPath, client: client,
		known: known, flights: newFlights[Identity](), slots: make(chan struct{}, whoamiAtOnce),
	}
}

func (w *whoami) identify(ctx context.Context, token Token) (Identity, error) {
	d := token.digest()
	if k, ok := w.known.Get(d); ok && time.Now().Before(k.until) {
		return k.identity, nil
	}
	return w.flights.do(ctx, string(d[:]), whoamiTimeout, func(ctx context.Context) (Identity, error) {
		id, err := w.ask(ctx, token)
		if err != nil {
			w.known.Remove(d)
			return Identity{}, err
		}
		w.known.Add(d, knownUser{identity: id, until: time.Now().Add(whoamiTTL)})
		return id, nil
	})
}

func (w *whoami) ask(ctx context.Context, token Token) (Identity, error) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return Identity{}, unavailable(errors.New("too many tokens are being checked"))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return Identity{}, unavailable(fmt.Errorf("make the request: %w", err))
	}
	req.Header.Set("Authorization", "Bearer "+string(token))
	req.Header.Set("Accept", "application/json")
	a, err := exchange(w.client, req, maxWhoamiAnswer)
	if err != nil {
		return Identity{}, unavailable(fmt.Errorf("ask the homeserver: %w", err))
	}
	return whoamiAnswer(a)
}

// whoamiBody is an answer of either kind.
type whoamiBody struct {
	UserID     string `json:"user_id"`
	DeviceID   string `json:"device_id"`
	IsGuest    bool   `json:"is_guest"`
	Errcode    string `json:"errcode"`
	SoftLogout bool   `json:"soft_logout"`
}

// whoamiAnswer reads an answer. Only what a homeserver itself says about a token counts: a 401 without its error body
// comes from something in between, and must not log anybody out.
func whoamiAnswer(a answer) (Identity, error) {
	var b whoamiBody
	if err := json.Unmarshal(a.body, &b); err != nil {
		b = whoamiBody{}
	}
	switch {
	case a.status == http.StatusOK && strings.HasPrefix(b.UserID, "@"):
		if b.IsGuest {
			return Identity{}, &push.Error{Kind: push.Forbidden, Code: CodeGuest, Msg: "guests have no pushers"}
		}
		id, err := ParseUser(b.UserID)
		if err != nil {
			return Identity{}, unavailable(err)
		}
		id.Device = b.DeviceID
		return id, nil
	case a.status == http.StatusUnauthorized && b.Errcode != "":
		return Identity{}, deadToken(b)
	case a.status == http.StatusForbidden && b.Errcode != "":
		return Identity{}, &push.Error{Kind: push.Forbidden, Code: CodeForbidden, Msg: "the homeserver does not allow this"}
	case a.status == http.StatusTooManyRequests:
		return Identity{}, &push.Error{Kind: push.Limited, Code: CodeLimitExceeded, Msg: "too many requests", RetryAfter: wait(a.header.Get("Retry-After"))}
	default:
		return Identity{}, unavailable(fmt.Errorf("the homeserver answered %d", a.status))
	}
}

// deadToken passes on what the homeserver says about a token that does not work.
func deadToken(b whoamiBody) *push.Error {
	e := unknownToken()
	if b.Errcode == CodeUserLocked {
		e.Code, e.Msg = CodeUserLocked, "this account is locked"
	}
	if b.SoftLogout {
		e.Err = errSoftLogout
	}
	return e
}

// wait reads Retry-After in seconds, within reason.
func wait(after string) time.Duration {
	seconds, err := strconv.Atoi(after)
	if err != nil || seconds < 1 {
		return retryAfter
	}
	return min(time.Duration(seconds)*time.Second, time.Hour)
}

func (w *whoami) prepare() (func(), error) { return func() {}, nil }

func (w *whoami) close() { w.flights.land() }
