package webpushtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	saltSize   = 16
	headerSize = saltSize + 4 + 1 // salt, record size, length of the key id
	pointSize  = 65               // an uncompressed P-256 point
	tagSize    = 16
	lastRecord = 2 // the padding delimiter of the last record (RFC 8188 2)
)

// Open decrypts a message as the user agent that holds this private key and authentication secret does (RFC 8291 3.4).
// It insists on what RFC 8291 4 demands of a message: one record, the sender's public key as key id.
func Open(private *ecdh.PrivateKey, auth, body []byte) ([]byte, error) {
	if len(body) < headerSize+pointSize+tagSize+1 {
		return nil, errors.New("shorter than a header and an empty record")
	}
	salt, size, idLength := body[:saltSize], binary.BigEndian.Uint32(body[saltSize:]), int(body[headerSize-1])
	if idLength != pointSize {
		return nil, fmt.Errorf("key id of %d bytes", idLength)
	}
	point, record := body[headerSize:headerSize+pointSize], body[headerSize+pointSize:]
	if len(record) > int(size) {
		return nil, errors.New("more than one record")
	}
	sender, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("key id: %w", err)
	}
	shared, err := private.ECDH(sender)
	if err != nil {
		return nil, fmt.Errorf("agree on a secret: %w", err)
	}
	info := "WebPush: info\x00" + string(private.PublicKey().Bytes()) + string(point)
	secret, err := hkdf.Key(sha256.New, shared, auth, info, 32)
	if err != nil {
		return nil, fmt.Errorf("derive: %w", err)
	}
	return openRecord(secret, salt, record)
}

// openRecord decrypts the only record of aes128gcm (RFC 8188 2) and takes its padding off.
func openRecord(secret, salt, record []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, fmt.Errorf("derive: %w", err)
	}
	nonce, err := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, fmt.Errorf("derive: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	plain, err := gcm.Open(nil, nonce, record, nil)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	for len(plain) > 0 && plain[len(plain)-1] == 0 {
		plain = plain[:len(plain)-1]
	}
	if len(plain) == 0 || plain[len(plain)-1] != lastRecord {
		return nil, errors.New("no padding delimiter of a last record")
	}
	return plain[:len(plain)-1], nil
}
