package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// How long fetched keys are used. A key that the issuer withdrew is refused after keysFresh at the latest, as long as
// the issuer can be reached; without it old keys do for keysStale.
const (
	keysFresh = 15 * time.Minute
	keysStale = 24 * time.Hour

	fetchTimeout = 10 * time.Second
	maxKeySet    = 1 << 20 // bytes

	// Tokens with made-up key ids must not turn us against the issuer: three fetches at once, then one in 10 s.
	fetchEvery = 10 * time.Second
	fetchBurst = 3
)

var (
	errFetch   = errors.New("the issuer's keys cannot be fetched")
	errTooSoon = errors.New("the issuer's keys were fetched a moment ago")
)

// keys is where an issuer's public keys come from. find returns none for a key that the issuer does not have, and an
// error when nobody can tell.
type keys interface {
	find(ctx context.Context, kid, alg string) ([]jwt.VerificationKey, error)
	prepare() (commit func(), err error)
	close()
}

func keysOf(c JWTConfig, client *http.Client, log *slog.Logger) keys {
	if c.JWKSFile != "" {
		return &fileKeys{path: c.JWKSFile}
	}
	return &remoteKeys{
		url: c.JWKSURL, client: client, log: log, flights: newFlights[keySet](),
		limit: rate.NewLimiter(rate.Every(fetchEvery), fetchBurst),
	}
}

// fileKeys are read at start and on reload.
type fileKeys struct {
	path string
	set  atomic.Pointer[keySet]
}

func readKeys(path string) (keySet, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	set, err := parseKeySet(text)
	if err != nil {
		return nil, fmt.Errorf("key set %s: %w", path, err)
	}
	return set, nil
}

func (f *fileKeys) find(_ context.Context, kid, alg string) ([]jwt.VerificationKey, error) {
	return f.set.Load().find(kid, alg), nil
}

func (f *fileKeys) prepare() (func(), error) {
	set, err := readKeys(f.path)
	if err != nil {
		return nil, err
	}
	return func() { f.set.Store(&set) }, nil
}

func (f *fileKeys) close() {}

// remoteKeys are fetched when they are first needed, when they are old, and when a token names a key that is not among
// them: issuers rotate.
type remoteKeys struct {
	url     string
	client  *http.Client
	log     *slog.Logger
	flights *flights[keySet]
	limit   *rate.Limiter

	mu      sync.Mutex
	set     keySet
	fetched time.Time // the last success
	failed  bool      // the last attempt
}

func (r *remoteKeys) find(ctx context.Context, kid, alg string) ([]jwt.VerificationKey, error) {
	found, age, _ := r.known(kid, alg)
	if len(found) > 0 && age < keysFresh {
		return found, nil
	}
	if len(found) > 0 && age < keysStale {
		r.flights.start("", fetchTimeout, r.fetch) // nobody waits for it
		return found, nil
	}
	_, err := r.flights.do(ctx, "", fetchTimeout, r.fetch)
	found, age, failed := r.known(kid, alg)
	if errors.Is(err, errTooSoon) && age < keysFresh && !failed {
		return found, nil // what we have is seconds old: the issuer has no such key
	}
	if err != nil {
		return nil, err // it may have one by now: nobody can tell
	}
	return found, nil
}

// known looks into what we have, and tells its age and whether renewing it failed.
func (r *remoteKeys) known(kid, alg string) ([]jwt.VerificationKey, time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set.find(kid, alg), time.Since(r.fetched), r.failed
}

// fetch replaces the keys; when it fails the old ones stay. It runs once at a time, and not too often.
func (r *remoteKeys) fetch(ctx context.Context) (keySet, error) {
	if !r.limit.Allow() {
		return nil, errTooSoon
	}
	set, err := r.get(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed = err != nil; r.failed {
		r.log.LogAttrs(ctx, slog.LevelWarn, "the keys of a token issuer cannot be fetched", slog.String("jwks_url", r.url), slog.Any("error", err))
		return nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	r.set, r.fetched = set, time.Now()
	return set, nil
}

func (r *remoteKeys) get(ctx context.Context) (keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	a, err := exchange(r.client, req, maxKeySet)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("the answer has the status %d", a.status)
	}
	return parseKeySet(a.body)
}

func (r *remoteKeys) prepare() (func(), error) { return func() {}, nil }

func (r *remoteKeys) close() { r.flights.land() }
