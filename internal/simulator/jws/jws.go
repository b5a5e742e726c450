// Package jws reads and checks the compact signed tokens (RFC 7515, RFC 7519) that push senders carry.
//
// It knows ES256 and RS256, which are all that APNs, VAPID and Google's token endpoint accept. It owns the syntax and
// the signature; what the claims must say is the caller's to judge.
package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/simulator/jsonscan"
)

// Token is a parsed token whose signature nobody has checked yet.
type Token struct {
	Algorithm, KeyID string

	Issuer, Subject, Audience, Scope string
	IssuedAt, Expires                time.Time // zero if the claim is missing

	signed    string
	signature []byte
}

// Parse reads a compact token of three parts.
func Parse(compact string) (*Token, error) {
	signed, last, ok := cutLast(compact)
	head, claims, ok2 := strings.Cut(signed, ".")
	if !ok || !ok2 || strings.Contains(claims, ".") {
		return nil, errors.New("not three parts")
	}
	t := &Token{signed: signed}
	var err error
	if t.signature, err = decode(last); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	if err := object(head, t.header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := object(claims, t.claim); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return t, nil
}

func cutLast(s string) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func decode(part string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(part) }

func object(part string, member func(s *jsonscan.Scanner, name string) error) error {
	text, err := decode(part)
	if err != nil {
		return err
	}
	s := jsonscan.New(text)
	if err := s.Object(func(name []byte) error { return member(s, string(name)) }); err != nil {
		return err
	}
	return s.End()
}

func (t *Token) header(s *jsonscan.Scanner, name string) error {
	switch name {
	case "alg":
		return text(s, &t.Algorithm)
	case "kid":
		return text(s, &t.KeyID)
	case "crit":
		return errors.New("critical extensions are not understood")
	}
	return s.Skip()
}

func (t *Token) claim(s *jsonscan.Scanner, name string) error {
	switch name {
	case "iss":
		return text(s, &t.Issuer)
	case "sub":
		return text(s, &t.Subject)
	case "aud":
		return text(s, &t.Audience)
	case "scope":
		return text(s, &t.Scope)
	case "iat":
		return date(s, &t.IssuedAt)
	case "exp":
		return date(s, &t.Expires)
	}
	return s.Skip()
}

func text(s *jsonscan.Scanner, to *string) error {
	v, err := s.Text()
	*to = string(v)
	return err
}

func date(s *jsonscan.Scanner, to *time.Time) error {
	v, err := s.Number()
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(string(v), 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return errors.New("date out of range")
	}
	*to = time.UnixMilli(int64(seconds * 1000))
	return nil
}

// VerifyES256 reports whether the token says ES256 and key signed it (RFC 7518 section 3.4).
func (t *Token) VerifyES256(key *ecdsa.PublicKey) bool {
	if t.Algorithm != "ES256" || len(t.signature) != 64 {
		return false
	}
	hash := sha256.Sum256([]byte(t.signed))
	r, s := new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:])
	return ecdsa.Verify(key, hash[:], r, s)
}

// VerifyRS256 reports whether the token says RS256 and key signed it (RFC 7518 section 3.3).
func (t *Token) VerifyRS256(key *rsa.PublicKey) bool {
	if t.Algorithm != "RS256" {
		return false
	}
	hash := sha256.Sum256([]byte(t.signed))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], t.signature) == nil
}
