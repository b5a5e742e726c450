package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func sign(t *testing.T, key crypto.Signer, header, claims string) string {
	t.Helper()
	signed := b64(header) + "." + b64(claims)
	hash := sha256.Sum256([]byte(signed))
	if ec, ok := key.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, ec, hash[:])
		require.NoError(t, err)
		raw := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		return signed + "." + base64.RawURLEncoding.EncodeToString(raw)
	}
	raw, err := key.Sign(rand.Reader, hash[:], crypto.SHA256)
	require.NoError(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(raw)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	otherEC, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	otherRS, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)

	es256, err := Parse(sign(t, ec, `{"alg":"ES256","kid":"K","typ":"JWT"}`, `{"iss":"T","sub":"s","aud":"a","scope":"x y","iat":1700000000,"exp":1.7000036005e9,"other":{}}`))
	require.NoError(t, err)
	require.Equal(t, [6]string{"ES256", "K", "T", "s", "a", "x y"}, [6]string{es256.Algorithm, es256.KeyID, es256.Issuer, es256.Subject, es256.Audience, es256.Scope})
	require.True(t, time.Unix(1700000000, 0).Equal(es256.IssuedAt))
	require.True(t, time.UnixMilli(1700003600500).Equal(es256.Expires))
	require.True(t, es256.VerifyES256(&ec.PublicKey))
	require.False(t, es256.VerifyES256(&otherEC.PublicKey))
	require.False(t, es256.VerifyRS256(&rs.PublicKey))

	rs256, err := Parse(sign(t, rs, `{"alg":"RS256"}`, `{}`))
	require.NoError(t, err)
	require.True(t, rs256.IssuedAt.IsZero())
	require.True(t, rs256.VerifyRS256(&rs.PublicKey))
	require.False(t, rs256.VerifyRS256(&otherRS.PublicKey))
	require.False(t, rs256.VerifyES256(&ec.PublicKey))

	for _, alg := range []string{"none", "HS256", "es256", ""} {
		lying, err := Parse(sign(t, ec, `{"alg":"`+alg+`"}`, `{}`))
		require.NoError(t, err)
		require.False(t, lying.VerifyES256(&ec.PublicKey), alg)
	}
	der, err := ecdsa.SignASN1(rand.Reader, ec, make([]byte, 32))
	require.NoError(t, err)
	asn, err := Parse(b64(`{"alg":"ES256"}`) + "." + b64(`{}`) + "." + base64.RawURLEncoding.EncodeToString(der))
	require.NoError(t, err)
	require.False(t, asn.VerifyES256(&ec.PublicKey), "an ASN.1 signature is not JOSE's")
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	head, claims, sig := b64(`{"alg":"ES256"}`), b64(`{}`), b64("x")
	for name, compact := range map[string]string{
		"nothing": "", "one part": head, "two parts": head + "." + claims, "four parts": head + "." + claims + "." + sig + "." + sig,
		"padding":                head + "=." + claims + "." + sig,
		"standard alphabet":      head + "." + claims + ".+/8",
		"loose bits":             head + "." + claims + ".eB",
		"header no object":       b64(`[]`) + "." + claims + "." + sig,
		"header twice":           b64(`{"alg":"ES256","alg":"none"}`) + "." + claims + "." + sig,
		"critical extension":     b64(`{"alg":"ES256","crit":["x"]}`) + "." + claims + "." + sig,
		"claims no object":       head + "." + b64(`1`) + "." + sig,
		"claims with a tail":     head + "." + b64(`{}{}`) + "." + sig,
		"iss no text":            head + "." + b64(`{"iss":1}`) + "." + sig,
		"iat no number":          head + "." + b64(`{"iat":"1"}`) + "." + sig,
		"iat before the epoch":   head + "." + b64(`{"iat":-1}`) + "." + sig,
		"exp beyond imagination": head + "." + b64(`{"exp":1e300}`) + "." + sig,
	} {
		_, err := Parse(compact)
		require.Error(t, err, name)
	}
}
