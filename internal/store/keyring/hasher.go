package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"

	"github.com/pushgate/pushgate/internal/push"
)

// Hasher computes the keyed look-up hashes. It is safe for concurrent use.
type Hasher struct {
	states sync.Pool // of *hashState: setting up an HMAC costs more than using it
}

type hashState struct {
	mac hash.Hash
	in  []byte
	sum [sha256.Size]byte
}

// newHasher uses a copy of the key.
func newHasher(lookup []byte) *Hasher {
	lookup = append([]byte(nil), lookup...)
	h := &Hasher{}
	h.states.New = func() any { return &hashState{mac: hmac.New(sha256.New, lookup)} }
	return h
}

// Hash returns HMAC-SHA256 over purpose and parts, each framed by its length, cut to 16 bytes.
func (h *Hasher) Hash(purpose string, parts ...string) push.Hash {
	s := h.states.Get().(*hashState)
	defer h.states.Put(s)
	s.in = appendFramed(s.in[:0], purpose)
	for _, part := range parts {
		s.in = appendFramed(s.in, part)
	}
	s.mac.Reset()
	s.mac.Write(s.in)
	clear(s.in) // the pool must not keep pushkeys alive
	sum := s.mac.Sum(s.sum[:0])
	return push.Hash(sum[:len(push.Hash{})])
}

func appendFramed(b []byte, part string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
	return append(b, part...)
}
