package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/pushgate/pushgate/internal/push"
)

// limited is how many users and how many addresses are remembered, about 200 bytes each. Of more than that at once, the
// ones that were quiet for the longest time start anew.
const limited = 65536

// Rate is so many events per second, minute or hour: "10/s". Count is also the burst. The zero value allows nothing.
type Rate struct {
	Count int
	Per   time.Duration
}

var errRate = errors.New("must be a rate like 10/s, 600/m or 1000/h")

// UnmarshalText reads the spelling of the configuration.
func (r *Rate) UnmarshalText(text []byte) error {
	count, unit, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseUint(count, 10, 31)
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if err != nil || n == 0 || per == 0 {
		return errRate
	}
	*r = Rate{Count: int(n), Per: per}
	return nil
}

// MarshalText is the way back of UnmarshalText.
func (r Rate) MarshalText() ([]byte, error) {
	unit := map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"}[r.Per]
	if unit == "" || r.Count <= 0 {
		return nil, errRate
	}
	return fmt.Appendf(nil, "%d/%s", r.Count, unit), nil
}

// LimitsConfig is the section limits: writes to the client APIs. Reading is not limited.
type LimitsConfig struct {
	WritesPerUser    Rate `yaml:"writes_per_user"`
	WritesPerAddress Rate `yaml:"writes_per_address"`
}

// DefaultLimitsConfig returns the section of a file that does not mention it. Apps register at every start, so a phone
// needs a handful of writes at once and many phones share one address.
func DefaultLimitsConfig() LimitsConfig {
	return LimitsConfig{WritesPerUser: Rate{10, time.Second}, WritesPerAddress: Rate{50, time.Second}}
}

// Check reports every problem with its path in the section.
func (c LimitsConfig) Check(report func(path, problem string)) {
	for _, r := range []struct {
		path string
		rate Rate
	}{{"writes_per_user", c.WritesPerUser}, {"writes_per_address", c.WritesPerAddress}} {
		if r.rate.Count <= 0 || r.rate.Per <= 0 {
			report(r.path, errRate.Error())
		}
	}
}

// Limiter slows down who writes too often. It is safe for concurrent use and its memory is bounded.
type Limiter struct {
	users     buckets[push.Owner]
	addresses buckets[netip.Prefix]
}

// NewLimiter returns a Limiter that has seen nobody yet.
func NewLimiter(c LimitsConfig) *Limiter {
	return &Limiter{users: newBuckets[push.Owner](c.WritesPerUser), addresses: newBuckets[netip.Prefix](c.WritesPerAddress)}
}

// Address counts one write from an address, before anybody knows who it is. The error is a *push.Error of kind Limited
// with RetryAfter; a refused write is not counted. An address that is not valid is not limited.
func (l *Limiter) Address(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64 // one customer has at least that much
	}
	prefix, err := addr.Prefix(bits)
	if err != nil || !prefix.IsValid() {
		return nil
	}
	return l.addresses.take(prefix)
}

// User counts one write of a user, as Address does.
func (l *Limiter) User(owner push.Owner) error { return l.users.take(owner) }

// buckets is a bounded set of token buckets.
type buckets[K comparable] struct {
	rate Rate
	seen *lru.Cache[K, *rate.Limiter]
}

func newBuckets[K comparable](r Rate) buckets[K] {
	seen, err := lru.New[K, *rate.Limiter](limited)
	if err != nil {
		panic(err) // only a size below 1 fails
	}
	return buckets[K]{rate: r, seen: seen}
}

func (b buckets[K]) take(key K) error {
	limiter, ok := b.seen.Get(key)
	if !ok {
		limiter = rate.NewLimiter(rate.Limit(float64(b.rate.Count)/b.rate.Per.Seconds()), b.rate.Count)
		if other, there, _ := b.seen.PeekOrAdd(key, limiter); there {
			limiter = other // somebody else was faster
		}
	}
	now := time.Now()
	r := limiter.ReserveN(now, 1)
	if !r.OK() {
		return tooMany(b.rate.Per)
	}
	if delay := r.DelayFrom(now); delay > 0 {
		r.CancelAt(now)
		return tooMany(delay)
	}
	return nil
}

func tooMany(delay time.Duration) *push.Error {
	return &push.Error{Kind: push.Limited, Code: CodeLimitExceeded, Msg: "too many requests", RetryAfter: delay}
}
