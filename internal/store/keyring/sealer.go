package keyring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
)

// version is the first byte of every sealed value.
const version = 1

// A sealed value is version (1), key id (4), nonce (12), cipher text, tag (16).
const (
	headerSize = 1 + 4
	nonceSize  = 12
	tagSize    = 16
	// Overhead is how many bytes sealing adds.
	Overhead = headerSize + nonceSize + tagSize
)

var (
	// ErrUnknownKey means that a value was sealed under a key that this process was not given.
	ErrUnknownKey = errors.New("sealed under an encryption key that is not configured")
	// ErrCorrupt means that a value is not what was sealed in this place: damaged, moved or forged.
	ErrCorrupt = errors.New("sealed value is damaged or belongs somewhere else")
)

// Files names the key files of one process.
type Files struct {
	Current string   // seals and opens
	Old     []string // open what was sealed before a rotation
	// CreateCurrent makes a new Current when there is none and the database has no key yet.
	CreateCurrent bool
}

// Sealer seals and opens values at rest with AES-256-GCM. It is safe for concurrent use.
type Sealer struct {
	current *key
	keys    map[keyID]*key
}

// Load reads the key files. known says that the database already has a key: then a missing file is an error even
// with CreateCurrent, because a new key could not open it.
func Load(files Files, known bool, logger *slog.Logger) (*Sealer, error) {
	if files.CreateCurrent && !known {
		there, err := exists(files.Current)
		if err != nil {
			return nil, err
		}
		if !there {
			if err := Create(files.Current); err != nil {
				return nil, err
			}
			logger.Info("encryption key created, back it up apart from the database", slog.String("file", files.Current))
		}
	}
	s := &Sealer{keys: map[keyID]*key{}}
	for i, path := range append([]string{files.Current}, files.Old...) {
		k, err := readKey(path)
		if err != nil {
			return nil, err
		}
		if worldReadable(path) {
			logger.Warn("encryption key file is readable by everybody on this machine", slog.String("file", path))
		}
		if i == 0 {
			s.current = k
		}
		if other, ok := s.keys[k.id]; ok && other.fingerprint != k.fingerprint {
			return nil, fmt.Errorf("key file %s: its short name collides with another key's, make a new one", path)
		}
		s.keys[k.id] = k
	}
	return s, nil
}

// Fingerprint identifies the current key.
func (s *Sealer) Fingerprint() Fingerprint { return s.current.fingerprint }

// HasOld reports whether there are keys besides the current one, so that values may wait to be sealed again.
func (s *Sealer) HasOld() bool { return len(s.keys) > 1 }

// Place is what a sealed value belongs to. It is authenticated but not stored: a value that was copied to another
// table, column or row does not open.
type Place struct {
	Table  string
	Column string
	Row    []byte // what identifies the row and never changes
}

// appendTo frames the parts by length, so that no two places look alike.
func (p Place) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Table)))
	b = append(b, p.Table...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Column)))
	b = append(b, p.Column...)
	return append(b, p.Row...)
}

// Seal encrypts plain for its place under the current key.
func (s *Sealer) Seal(p Place, plain []byte) []byte {
	var aad [128]byte
	out := make([]byte, headerSize, Overhead+len(plain))
	out[0] = version
	copy(out[1:], s.current.id[:])
	return s.current.aead.Seal(out, nil, plain, p.appendTo(aad[:0])) //nolint:gosec // this AEAD draws its own nonce and takes none
}

// Open decrypts a value that was sealed for p under the current or an old key.
func (s *Sealer) Open(p Place, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != version {
		return nil, ErrCorrupt
	}
	k, ok := s.keys[keyID(sealed[1:headerSize])]
	if !ok {
		return nil, ErrUnknownKey
	}
	var aad [128]byte
	plain, err := k.aead.Open(nil, nil, sealed[headerSize:], p.appendTo(aad[:0]))
	if err != nil {
		return nil, ErrCorrupt
	}
	return plain, nil
}

// Current is the beginning of every value sealed under the current key. A value that begins otherwise was sealed
// before a rotation and should be sealed again.
func (s *Sealer) Current() []byte {
	return append([]byte{version}, s.current.id[:]...)
}
