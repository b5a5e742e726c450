package apns

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// bearerRenew is the age at which a token is replaced.
	bearerRenew = 50 * time.Minute
	// bearerExpiry is the age at which Apple refuses a token.
	bearerExpiry = 60 * time.Minute
	// bearerSpacing is how long a token that works is kept at least: Apple answers TooManyProviderTokenUpdates to those
	// who renew more often than every 20 minutes on one connection.
	bearerSpacing = 20 * time.Minute
	// bearerUrgent is the same for a token that cannot work any more. Its connections end with it, so no connection sees
	// two tokens, and what a clock has done is over within a minute (F12).
	bearerUrgent = time.Minute
	// bearerSkew is how far a token may lie in the future before it counts as made by a clock that has since been set back.
	bearerSkew = time.Minute
)

// bearer is one provider token (JWT, ES256) and when it was made.
type bearer struct {
	header string    // "bearer <jwt>", the value of authorization
	issued time.Time // by the wall clock, as Apple judges it
	made   time.Time // with a monotonic reading: setting the clock changes nothing about how often we renew

	accepted atomic.Bool // Apple has taken a notification with it
}

// age is by the wall clock: Unix drops the monotonic reading.
func (b *bearer) age(now time.Time) time.Duration {
	return time.Duration(now.Unix()-b.issued.Unix()) * time.Second
}

// accept notes that Apple has taken a notification with it.
func (b *bearer) accept() {
	if b != nil && !b.accepted.Load() { // all requests share it: written once
		b.accepted.Store(true)
	}
}

// bearers makes provider tokens from one key. All connections of the app share the current one.
type bearers struct {
	key           *ecdsa.PrivateKey
	keyID, teamID string
	now           func() time.Time
	// replaced is called when a token that cannot work has given way, under the lock. A connection that has seen it must
	// not see the next one: to Apple that is one too many.
	replaced func()

	mu      sync.Mutex
	current *bearer
}

// newBearers signs a first token at once, so a key that cannot sign is found here and not at the first push.
func newBearers(key *ecdsa.PrivateKey, keyID, teamID string, now func() time.Time) (*bearers, error) {
	b := &bearers{key: key, keyID: keyID, teamID: teamID, now: now, replaced: func() {}}
	first, err := b.sign(now())
	if err != nil {
		return nil, fmt.Errorf("sign a provider token: %w", err)
	}
	b.current = first
	return b, nil
}

// get returns the token to send now. A signing error leaves the old token in use: Apple has the last word on it.
func (b *bearers) get() *bearer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.now(); b.current.age(now) >= bearerRenew {
		b.renewLocked(now, bearerSpacing)
	}
	return b.current
}

// revive replaces a token that cannot work, because a clock was set or the machine has slept. It comes before the choice
// of a connection, get after it.
func (b *bearers) revive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if age := b.current.age(now); age >= bearerExpiry || age < -bearerSkew {
		b.replaceLocked(now)
	}
}

// refused says that Apple called this token expired. It reports whether another token, which can be expected to work, is
// or will soon be in use. False means that a new one has never worked, so it is a clock that is wrong, Apple's or ours.
func (b *bearers) refused(old *bearer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != old {
		return true
	}
	now := b.now()
	age := old.age(now)
	b.replaceLocked(now)
	return old.accepted.Load() || age >= bearerSpacing || age < -bearerSkew
}

// replaceLocked replaces a token that cannot work, together with the connections that have seen it.
func (b *bearers) replaceLocked(now time.Time) {
	if b.renewLocked(now, bearerUrgent) {
		b.replaced()
	}
}

// renewLocked replaces the current token unless it was made less than spacing ago.
func (b *bearers) renewLocked(now time.Time, spacing time.Duration) bool {
	if time.Since(b.current.made) < spacing {
		return false
	}
	next, err := b.sign(now)
	if err != nil {
		return false
	}
	b.current = next
	return true
}

// issued returns when the token in use was made.
func (b *bearers) issued() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current.issued
}

// sign makes a token: header alg and kid, claims iss and iat, nothing else (Apple, "Establishing a token-based
// connection to APNs"; the signature is R and S in 32 bytes each, RFC 7518 section 3.4).
func (b *bearers) sign(now time.Time) (*bearer, error) {
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}{"ES256", b.keyID})
	if err != nil {
		return nil, err
	}
	claims, err := json.Marshal(struct {
		Iss string `json:"iss"`
		Iat int64  `json:"iat"`
	}{b.teamID, now.Unix()})
	if err != nil {
		return nil, err
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(header) + "." + enc.EncodeToString(claims)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, b.key, digest[:])
	if err != nil {
		return nil, err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return &bearer{
		header: "bearer " + text + "." + enc.EncodeToString(signature[:]), issued: now, made: time.Now(),
	}, nil
}
