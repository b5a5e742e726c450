package pusher

import (
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/monthkey"
)

// methodHMAC is the only method. It names neither HKDF nor GCM and means both.
const methodHMAC = "aes-hmac-sha256"

// maxKeyIDBytes bounds key_identifier, which no document does: it travels in every push beside 1404 characters of
// ciphertext, and APNs takes 4096 bytes. A UUID has 36.
const maxKeyIDBytes = 512

// EncryptionMode says whether a registration must bring a key chain.
type EncryptionMode string

// The modes, spelled as in the configuration. Every other value means required.
const (
	EncryptionRequired  EncryptionMode = "required"
	EncryptionOptional  EncryptionMode = "optional"
	EncryptionForbidden EncryptionMode = "forbidden"
)

// encryption checks the member and derives the first generation at once; the ISS ends here (A_27157). Members that are
// absent have been reported before.
func (c Change) encryption(mode EncryptionMode, now time.Time, loc *time.Location) (*Encryption, error) {
	e := c.Encryption
	if e == nil {
		return nil, nil // a registration without encryption
	}
	if mode == EncryptionForbidden {
		return nil, invalid("encryption is not supported here")
	}
	if e.Method.Reveal() != methodHMAC {
		return nil, invalid("encryption.method must be " + methodHMAC)
	}
	created, err := monthkey.ParseMonth(e.TimeISSCreated.Reveal())
	if err != nil {
		return nil, invalid("encryption.time_iss_created must have the form yyyy-MM")
	}
	// A month ahead of ours is fine: the phone's clock rules its own chain, and a sender uses the newest generation it
	// has. So far away that nobody would step there is a mistake.
	if d := monthkey.MonthOf(now, loc).Compare(created); d > monthkey.MaxSteps || d < -monthkey.MaxSteps {
		return nil, invalid("encryption.time_iss_created is too far from today")
	}
	secret, err := monthkey.ParseISS(e.ISS.Reveal())
	if err != nil {
		return nil, invalid("encryption.iss must be 64 hex digits")
	}
	switch id := e.KeyID.Reveal(); {
	case id == "":
		return nil, invalid("encryption.key_identifier is empty")
	case len(id) > maxKeyIDBytes:
		return nil, invalid("encryption.key_identifier is longer than 512 bytes")
	case !storable(id):
		return nil, invalid("encryption.key_identifier holds a character that is not allowed")
	}
	first, err := monthkey.Derive(secret, created)
	if err != nil {
		return nil, fmt.Errorf("derive the first key: %w", err)
	}
	return &Encryption{KeyID: e.KeyID, Generation: first}, nil
}
