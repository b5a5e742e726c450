package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// keySize is AES-256's.
const keySize = 32

// maxKeyFile bounds what is read from a key file: 64 hex digits and a line end, with room for stray blanks.
const maxKeyFile = 1024

// errKeyFormat says what a key file must look like, without saying what it holds.
var errKeyFormat = errors.New("must be one line holding 32 bytes in hex or Base64")

// Fingerprint identifies a key without giving it away. It is stored in the database in plain.
type Fingerprint [16]byte

// String returns the first half in hex, enough to tell keys apart in a message.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:8]) }

// keyID is the short name of a key that every sealed value carries: the beginning of the fingerprint.
type keyID [4]byte

type key struct {
	fingerprint Fingerprint
	id          keyID
	aead        cipher.AEAD
}

func newKey(raw []byte) (*key, error) {
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte("pushgate encryption key fingerprint"))
	k := &key{fingerprint: Fingerprint(mac.Sum(nil)[:16])}
	k.id = keyID(k.fingerprint[:4])
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("set up the cipher: %w", err)
	}
	// Nonces are random. NIST SP 800-38D 8.3 allows 2^32 values under one key that way: with a million stored rows a
	// day, rotate within ten years.
	k.aead, err = cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("set up the cipher: %w", err)
	}
	return k, nil
}

// CheckFile reports what is wrong with a key file, nil when it holds a key.
func CheckFile(path string) error {
	_, err := readKey(path)
	return err
}

// worldReadable reports whether everybody may read the file, which deserves a warning.
func worldReadable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o007 != 0
}

func readKey(path string) (*key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the key file: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	raw, ok := parseKey(text)
	if !ok {
		return nil, fmt.Errorf("key file %s: %w", path, errKeyFormat)
	}
	return newKey(raw)
}

// parseKey reads 32 bytes in hex or in any Base64 alphabet, padded or not.
func parseKey(text []byte) ([]byte, bool) {
	text = bytes.TrimSpace(text)
	if len(text) == hex.EncodedLen(keySize) {
		raw := make([]byte, keySize)
		if _, err := hex.Decode(raw, text); err == nil {
			return raw, true
		}
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if raw, err := enc.Strict().DecodeString(string(text)); err == nil && len(raw) == keySize && !bytes.ContainsAny(text, "\r\n") {
			return raw, true
		}
	}
	return nil, false
}

// Create writes a new random key to path, readable by its owner only and on disk before it is used. It never
// overwrites: fs.ErrExist when the file is there.
func Create(path string) error {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails: crypto/rand crashes the process instead
	// A temporary file and a link make the key appear whole or not at all, also when the machine stops in between.
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".new-key-*") // 0600
	if err != nil {
		return fmt.Errorf("create the key file: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(hex.EncodeToString(raw) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return fmt.Errorf("create the key file: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open the directory of the key file: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync the directory of the key file: %w", err)
	}
	return nil
}

// exists reports whether there is a file, and fails when that cannot be told.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the key file: %w", err)
	}
	return true, nil
}
