package monthkey

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// size is the length in bytes of an ISS, of a shared secret and of an AES-256 key.
const size = 32

const placeholder = "<redacted>"

// ErrISS marks a text that is not an initial shared secret.
var ErrISS = errors.New("not an initial shared secret of 64 hex digits")

// ISS is the initial shared secret: 32 random bytes made by the app (A_27174). Whoever receives it derives the first
// generation and forgets it (A_27157). The zero value is no secret and derives nothing.
type ISS struct{ bytes hidden[[size]byte] }

// ParseISS reads 64 hex digits, of either case. The error never repeats the text.
func ParseISS(s string) (ISS, error) {
	if len(s) != hex.EncodedLen(size) {
		return ISS{}, ErrISS
	}
	b := new([size]byte)
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return ISS{}, ErrISS // the decoder's own error quotes the digit
	}
	return ISS{bytes: hide(b)}, nil
}

// String and its siblings keep the secret out of logs and error texts.
func (s ISS) String() string { return placeholder }

// GoString hides it from %#v.
func (s ISS) GoString() string { return placeholder }

// Format hides it from every verb.
func (s ISS) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// LogValue hides it from log/slog.
func (s ISS) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText hides it from encoding/json.
func (s ISS) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// chain is what one step of the derivation yields.
type chain struct {
	secret [size]byte // the next month is derived from it
	key    [size]byte // AES-256 key of this month
}

// Generation is one month of one key chain. It is immutable, safe to copy and to share. The zero value has no keys:
// stepping, sealing and opening with it fail.
type Generation struct {
	month Month
	chain hidden[chain]
}

// Month returns the month whose key this is: time_message_encrypted of everything sealed with it.
func (g Generation) Month() Month { return g.month }

// IsZero reports whether g has no keys.
func (g Generation) IsZero() bool { return g.chain.get() == nil }

// Equal compares month and keys, the keys in constant time.
func (g Generation) Equal(other Generation) bool {
	a, b := g.chain.get(), other.chain.get()
	if a == nil || b == nil {
		return a == b && g.month == other.month
	}
	same := subtle.ConstantTimeCompare(a.secret[:], b.secret[:]) & subtle.ConstantTimeCompare(a.key[:], b.key[:])
	return g.month == other.month && same == 1
}

// KeysSize is the length in bytes of what RevealKeys returns.
const KeysSize = 2 * size

// ErrKeys marks stored bytes that are not the keys of a generation.
var ErrKeys = errors.New("not the keys of a generation")

// RevealKeys returns the shared secret (bytes 0-31) and the AES key (bytes 32-63) for the store, which encrypts them at
// rest. Nothing else may call it. It returns nil for the zero value.
func (g Generation) RevealKeys() []byte {
	c := g.chain.get()
	if c == nil {
		return nil
	}
	return slices.Concat(c.secret[:], c.key[:])
}

// RestoreGeneration is the way back from the store: month and the 64 bytes of RevealKeys.
func RestoreGeneration(month Month, keys []byte) (Generation, error) {
	if !month.Valid() {
		return Generation{}, ErrMonth
	}
	if len(keys) != KeysSize {
		return Generation{}, ErrKeys
	}
	c := new(chain)
	copy(c.secret[:], keys[:size])
	copy(c.key[:], keys[size:])
	return Generation{month: month, chain: hide(c)}, nil
}

// String and its siblings keep the keys out of logs and error texts.
func (g Generation) String() string { return placeholder }

// GoString hides it from %#v.
func (g Generation) GoString() string { return placeholder }

// Format hides it from every verb.
func (g Generation) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(placeholder)) }

// LogValue hides it from log/slog.
func (g Generation) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText hides it from encoding/json.
func (g Generation) MarshalText() ([]byte, error) { return []byte(placeholder), nil }
