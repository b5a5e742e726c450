package monthkey

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// SealedSize is the length in characters of every sealed message: 12 bytes nonce, 1024 frame and 16 tag in Base64.
const SealedSize = 1404

// ErrOpen marks a ciphertext that this generation cannot open: another key, another month, changed or cut off.
var ErrOpen = errors.New("the ciphertext does not open with this key")

// Seal frames and encrypts a message of at most MaxMessage bytes with AES-256-GCM under a fresh random nonce, and
// returns the SealedSize characters that go on the wire. Sealing again gives another ciphertext, as every retry must.
func (g Generation) Seal(message []byte) (string, error) {
	frame, err := Frame(message)
	if err != nil {
		return "", err
	}
	gcm, err := g.gcm()
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(gcm.Seal(nil, nil, frame, nil)), nil //nolint:gosec // this AEAD draws its nonce itself and refuses any other
}

// Open is the receiver's side: it decrypts and unframes. Every failure but a wrong frame is ErrOpen.
func (g Generation) Open(sealed string) ([]byte, error) {
	gcm, err := g.gcm()
	if err != nil {
		return nil, err
	}
	// Standard Base64 with padding and nothing else: the apps' decoders refuse line breaks, Go's skips them.
	ciphertext, err := base64.StdEncoding.Strict().DecodeString(sealed)
	if err != nil || strings.ContainsAny(sealed, "\r\n") {
		return nil, ErrOpen
	}
	frame, err := gcm.Open(nil, nil, ciphertext, nil)
	if err != nil {
		return nil, ErrOpen
	}
	return Unframe(frame)
}

// gcm draws a random nonce of 12 bytes for each message and puts it in front.
func (g Generation) gcm() (cipher.AEAD, error) {
	c := g.chain.get()
	if c == nil {
		return nil, ErrNoKeys
	}
	block, err := aes.NewCipher(c.key[:])
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("set up GCM: %w", err)
	}
	return gcm, nil
}
