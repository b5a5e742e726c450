// Package ece is the receiving side of Message Encryption for Web Push (RFC 8291), as a browser has it.
//
// It is written from the RFC on the standard library alone, so that what a sender's library gets wrong is not got
// wrong here in the same way. It owns the subscription keys and the decryption, not the HTTP around it.
package ece

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	authLen   = 16
	saltLen   = 16
	keyIDLen  = 65 // an uncompressed P-256 point
	headerLen = saltLen + 4 + 1 + keyIDLen
	tagLen    = 16
	lastPad   = 2 // the delimiter of the last record (RFC 8188 section 2)
)

// Keys are what a user agent makes for one subscription.
type Keys struct {
	private *ecdh.PrivateKey
	auth    []byte
}

// NewKeys makes fresh keys.
func NewKeys() (*Keys, error) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make subscription key: %w", err)
	}
	auth := make([]byte, authLen)
	if _, err := rand.Read(auth); err != nil {
		return nil, fmt.Errorf("make authentication secret: %w", err)
	}
	return &Keys{private, auth}, nil
}

// LoadKeys takes keys that somebody else made: a private scalar of 32 bytes and a secret of 16.
func LoadKeys(private, auth []byte) (*Keys, error) {
	key, err := ecdh.P256().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if len(auth) != authLen {
		return nil, fmt.Errorf("authentication secret has %d bytes, not %d", len(auth), authLen)
	}
	return &Keys{key, auth}, nil
}

// Public is the subscription's p256dh, 65 bytes.
func (k *Keys) Public() []byte { return k.private.PublicKey().Bytes() }

// Auth is the subscription's auth, 16 bytes.
func (k *Keys) Auth() []byte { return k.auth }

// Decrypt opens a body of Content-Encoding aes128gcm. RFC 8291 section 4 wants a single record.
func (k *Keys) Decrypt(body []byte) ([]byte, error) {
	if len(body) < headerLen+tagLen+1 {
		return nil, errors.New("shorter than header, tag and delimiter")
	}
	salt, size, keyID := body[:saltLen], binary.BigEndian.Uint32(body[saltLen:]), body[saltLen+4]
	if keyID != keyIDLen {
		return nil, fmt.Errorf("keyid has %d bytes, not %d", keyID, keyIDLen)
	}
	sender, record := body[saltLen+5:headerLen], body[headerLen:]
	if int64(len(record)) > int64(size) {
		return nil, fmt.Errorf("more than one record (%d bytes, record size %d)", len(record), size)
	}
	gcm, nonce, err := k.derive(sender, salt)
	if err != nil {
		return nil, err
	}
	padded, err := gcm.Open(nil, nonce, record, nil)
	if err != nil {
		return nil, errors.New("does not decrypt with this subscription's keys")
	}
	return unpad(padded)
}

// derive makes the content encryption key and nonce (RFC 8291 section 3.4).
func (k *Keys) derive(sender, salt []byte) (cipher.AEAD, []byte, error) {
	public, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return nil, nil, errors.New("keyid is not a point on P-256")
	}
	shared, err := k.private.ECDH(public)
	if err != nil {
		return nil, nil, fmt.Errorf("agree on a secret: %w", err)
	}
	info := "WebPush: info\x00" + string(k.Public()) + string(sender)
	ikm, err := hkdf.Key(sha256.New, shared, k.auth, info, 32)
	if err != nil {
		return nil, nil, fmt.Errorf("derive key material: %w", err)
	}
	key, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, fmt.Errorf("derive key: %w", err)
	}
	nonce, err := hkdf.Key(sha256.New, ikm, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, fmt.Errorf("derive nonce: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make cipher: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	return gcm, nonce, err
}

// unpad cuts the padding: a delimiter, then zeros only.
func unpad(padded []byte) ([]byte, error) {
	for i := len(padded) - 1; i >= 0; i-- {
		switch padded[i] {
		case 0:
		case lastPad:
			return padded[:i], nil
		default:
			return nil, errors.New("padding delimiter is not that of a last record")
		}
	}
	return nil, errors.New("no padding delimiter")
}
