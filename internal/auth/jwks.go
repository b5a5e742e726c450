package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// minRSABits and maxRSABits bound a modulus: shorter is broken, longer makes a signature check a burden.
const (
	minRSABits = 2048
	maxRSABits = 8192
	maxKeys    = 100
)

var (
	errKeySet = errors.New("not a JSON Web Key Set")
	errNoKey  = errors.New("the key set holds no usable public key (RSA from 2048 bits, P-256, P-384, P-521, Ed25519)")
)

// jwk is one JSON Web Key, as far as it matters (RFC 7517, RFC 7518, RFC 8037).
type jwk struct {
	Kty    string   `json:"kty"`
	Kid    string   `json:"kid"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	Crv    string   `json:"crv"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
}

// signingKey is a public key with the algorithms that it may be used with. The algorithm of a token is checked against
// the key, never the other way round: that closes "none", and an RSA key used as an HMAC secret.
type signingKey struct {
	kid    string
	algs   []string
	public crypto.PublicKey
}

type keySet []signingKey

// find returns the keys that a token with this header may be signed with. A token without kid is accepted only where
// there is no choice.
func (s keySet) find(kid, alg string) []jwt.VerificationKey {
	var found []jwt.VerificationKey
	for _, k := range s {
		if (kid == "" || k.kid == kid) && slices.Contains(k.algs, alg) {
			found = append(found, k.public)
		}
	}
	if kid == "" && len(found) != 1 {
		return nil
	}
	return found
}

// parseKeySet keeps what can check signatures and skips all other keys, as RFC 7517 section 5 asks for.
func parseKeySet(text []byte) (keySet, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.Keys == nil || len(doc.Keys) > maxKeys {
		return nil, errKeySet
	}
	var set keySet
	for _, raw := range doc.Keys {
		var k jwk
		if err := json.Unmarshal(raw, &k); err != nil {
			continue
		}
		if key, ok := k.signingKey(); ok {
			set = append(set, key)
		}
	}
	if len(set) == 0 {
		return nil, errNoKey
	}
	return set, nil
}

func (k jwk) signingKey() (signingKey, bool) {
	if k.Use != "" && k.Use != "sig" || k.KeyOps != nil && !slices.Contains(k.KeyOps, "verify") {
		return signingKey{}, false
	}
	key := signingKey{kid: k.Kid}
	switch k.Kty {
	case "RSA":
		key.public, key.algs = k.rsa()
	case "EC":
		key.public, key.algs = k.ec()
	case "OKP":
		key.public, key.algs = k.okp()
	}
	if k.Alg != "" {
		key.algs = slices.DeleteFunc(key.algs, func(alg string) bool { return alg != k.Alg })
	}
	return key, len(key.algs) > 0
}

// rsa, ec and okp return no algorithms for a key that cannot be used.
func (k jwk) rsa() (crypto.PublicKey, []string) {
	n, e := new(big.Int).SetBytes(decode(k.N)), new(big.Int).SetBytes(decode(k.E))
	if n.BitLen() < minRSABits || n.BitLen() > maxRSABits || e.BitLen() < 2 || e.BitLen() > 31 || e.Bit(0) == 0 {
		return nil, nil
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
}

func (k jwk) ec() (crypto.PublicKey, []string) {
	var curve elliptic.Curve
	var alg string
	switch k.Crv {
	case "P-256":
		curve, alg = elliptic.P256(), "ES256"
	case "P-384":
		curve, alg = elliptic.P384(), "ES384"
	case "P-521":
		curve, alg = elliptic.P521(), "ES512"
	default:
		return nil, nil
	}
	x, y := decode(k.X), decode(k.Y)
	if size := (curve.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
		return nil, nil
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y)) // refuses points off the curve
	if err != nil {
		return nil, nil
	}
	return public, []string{alg}
}

func (k jwk) okp() (crypto.PublicKey, []string) {
	x := decode(k.X)
	if k.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
		return nil, nil
	}
	return ed25519.PublicKey(x), []string{"EdDSA"}
}

// decode reads Base64url without padding; what is not that is empty, and so no key.
func decode(text string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return raw
}
