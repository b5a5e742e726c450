package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// The facts that the database keeps about its keys.
const (
	metaFingerprint = "key_fingerprint"
	metaLookupKey   = "lookup_key"
)

// lookupKeySize is the block of HMAC-SHA256's output: more gains nothing.
const lookupKeySize = 32

// ErrWrongKey means that the database belongs to another encryption key.
var ErrWrongKey = errors.New("the encryption key does not belong to this database")

// Meta is a transaction on the database's small facts. Nobody else may change them until it ends.
type Meta interface {
	Get(ctx context.Context, name string) (value []byte, ok bool, err error)
	Put(ctx context.Context, name string, value []byte) error
}

// Known reports whether the database has a key.
func Known(ctx context.Context, m Meta) (bool, error) {
	_, ok, err := m.Get(ctx, metaFingerprint)
	return ok, err
}

// Unlock ties the database to the current key, or checks that it is tied, and returns the hasher with the database's
// look-up key. A database tied to an old key is tied to the current one (rotation): its look-up key is wrapped again
// and stays the same, so that every hash stays valid.
func Unlock(ctx context.Context, s *Sealer, m Meta) (*Hasher, error) {
	tied, ok, err := m.Get(ctx, metaFingerprint)
	if err != nil {
		return nil, fmt.Errorf("read the key fingerprint: %w", err)
	}
	if !ok {
		return tie(ctx, s, m)
	}
	if len(tied) != len(Fingerprint{}) {
		return nil, fmt.Errorf("read the key fingerprint: %w", ErrCorrupt)
	}
	fingerprint := Fingerprint(tied)
	if k, ok := s.keys[keyID(fingerprint[:4])]; !ok || k.fingerprint != fingerprint {
		return nil, fmt.Errorf("%w: its fingerprint is %s, the database belongs to the key with fingerprint %s (to rotate, name that key in old_key_files)",
			ErrWrongKey, s.Fingerprint(), fingerprint)
	}
	wrapped, _, err := m.Get(ctx, metaLookupKey)
	if err != nil {
		return nil, fmt.Errorf("read the look-up key: %w", err)
	}
	lookup, err := s.Open(lookupPlace(), wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrap the look-up key: %w", err)
	}
	if fingerprint != s.Fingerprint() {
		if err := put(ctx, s, m, lookup); err != nil {
			return nil, err
		}
	}
	return newHasher(lookup), nil
}

// tie gives a new database its look-up key.
func tie(ctx context.Context, s *Sealer, m Meta) (*Hasher, error) {
	lookup := make([]byte, lookupKeySize)
	_, _ = rand.Read(lookup) // never fails: crypto/rand crashes the process instead
	if err := put(ctx, s, m, lookup); err != nil {
		return nil, err
	}
	return newHasher(lookup), nil
}

func put(ctx context.Context, s *Sealer, m Meta, lookup []byte) error {
	fingerprint := s.Fingerprint()
	if err := m.Put(ctx, metaLookupKey, s.Seal(lookupPlace(), lookup)); err != nil {
		return fmt.Errorf("store the look-up key: %w", err)
	}
	if err := m.Put(ctx, metaFingerprint, fingerprint[:]); err != nil {
		return fmt.Errorf("store the key fingerprint: %w", err)
	}
	return nil
}

func lookupPlace() Place { return Place{Table: "meta", Column: "value", Row: []byte(metaLookupKey)} }
