package apns

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

const (
	// bearerRenew is the age at which a token is replaced. Apple refuses tokens older than 60 minutes.
	bearerRenew = 50 * time.Minute
	// bearerSpacing is how long a token is kept at least: Apple answers TooManyProviderTokenUpdates to those who renew
	// more often than every 20 minutes.
	bearerSpacing = 20 * time.Minute
	// bearerSkew is how far a token may lie in the future before it counts as made by a clock that has since been set back.
	bearerSkew = time.Minute
)

// bearer is one provider token (JWT, ES256) and when it was made.
type bearer struct {
	header string    // "bearer <jwt>", the value of authorization
	issued time.Time // by the wall clock, as Apple judges it
	made   time.Time // with a monotonic reading: setting the clock changes nothing about how often we renew
}

// bearers makes provider tokens from one key. All connections of the app share the current one.
type bearers struct {
	key           *ecdsa.PrivateKey
	keyID, teamID string
	now           func() time.Time

	mu      sync.Mutex
	current *bearer
}

// newBearers signs a first token at once, so a key that cannot sign is found here and not at the first push.
func newBearers(key *ecdsa.PrivateKey, keyID, teamID string, now func() time.Time) (*bearers, error) {
	b := &bearers{key: key, keyID: keyID, teamID: teamID, now: now}
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
	now := b.now()
	// Unix drops the monotonic reading: the age is a matter of wall clocks.
	age := now.Unix() - b.current.issued.Unix()
	if age >= int64(bearerRenew/time.Second) || age < -int64(bearerSkew/time.Second) {
		b.renewLocked(now)
	}
	return b.current
}

// refused says that Apple called this token expired. It reports whether another token is or will be in use; false means
// that the token is too young to be replaced, so it is a clock that is wrong, Apple's or ours.
func (b *bearers) refused(old *bearer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != old {
		return true
	}
	return b.renewLocked(b.now())
}

// renewLocked replaces the current token unless it was made less than bearerSpacing ago.
func (b *bearers) renewLocked(now time.Time) bool {
	if time.Since(b.current.made) < bearerSpacing {
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
