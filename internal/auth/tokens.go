package auth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"sync/atomic"

	"go.yaml.in/yaml/v3"
)

// tokenEntry is one element of the tokens file. A user_id that begins with @ must be quoted in YAML.
type tokenEntry struct {
	TokenSHA256 string `yaml:"token_sha256"`
	UserID      string `yaml:"user_id"`
	DeviceID    string `yaml:"device_id"`
}

// tokenTable maps tokens to identities without holding a token. Its index is a keyed hash of the digest: the time that a
// look-up takes then depends on nothing a caller can choose, and the digest itself is compared in constant time.
type tokenTable struct {
	seed    []byte
	entries map[digest]tokenRow
}

type tokenRow struct {
	token    digest
	identity Identity
}

func (t *tokenTable) slot(d digest) digest {
	mac := hmac.New(sha256.New, t.seed)
	mac.Write(d[:])
	return digest(mac.Sum(nil))
}

func (t *tokenTable) find(token Token) (Identity, bool) {
	d := token.digest()
	row, ok := t.entries[t.slot(d)]
	if !ok || subtle.ConstantTimeCompare(row.token[:], d[:]) != 1 {
		return Identity{}, false
	}
	return row.identity, true
}

// readTokens reads the file. Errors name the file and the entry or line, and never what stands there: somebody may have
// written a token instead of its hash.
func readTokens(path string) (*tokenTable, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the tokens file: %w", err)
	}
	table, err := parseTokens(text)
	if err != nil {
		return nil, fmt.Errorf("tokens file %s: %w", path, err)
	}
	return table, nil
}

func parseTokens(text []byte) (*tokenTable, error) {
	var list []tokenEntry
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("must be a YAML list of {token_sha256, user_id, device_id}%s", lineOf(err))
	}
	t := &tokenTable{seed: make([]byte, sha256.Size), entries: make(map[digest]tokenRow, len(list))}
	_, _ = rand.Read(t.seed) // never fails
	for i, e := range list {
		raw, err := hex.DecodeString(e.TokenSHA256)
		if err != nil || len(raw) != sha256.Size {
			return nil, fmt.Errorf("entry %d: token_sha256 must be 64 hex digits", i+1)
		}
		row := tokenRow{token: digest(raw)}
		if row.identity, err = ParseUser(e.UserID); err != nil {
			return nil, fmt.Errorf("entry %d: user_id: %w", i+1, err)
		}
		row.identity.Device = e.DeviceID
		slot := t.slot(row.token)
		if _, twice := t.entries[slot]; twice {
			return nil, fmt.Errorf("entry %d: the same token_sha256 stands there before", i+1)
		}
		t.entries[slot] = row
	}
	return t, nil
}

// lineOf keeps the line number of a YAML error, whose text may quote the file.
func lineOf(err error) string {
	if line := regexp.MustCompile(`line \d+`).FindString(err.Error()); line != "" {
		return " (" + line + ")"
	}
	return ""
}

// tokensFile is the source behind auth.tokens_file.
type tokensFile struct {
	path  string
	table atomic.Pointer[tokenTable]
}

func (f *tokensFile) identify(_ context.Context, token Token) (Identity, error) {
	if id, ok := f.table.Load().find(token); ok {
		return id, nil
	}
	return Identity{}, errForeign
}

func (f *tokensFile) prepare() (func(), error) {
	t, err := readTokens(f.path)
	if err != nil {
		return nil, err
	}
	return func() { f.table.Store(t) }, nil
}

func (f *tokensFile) close() {}
