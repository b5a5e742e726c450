package auth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://idp.example.org"
	audience = "https://push.example.org"
)

// signer is one private key of an issuer.
type signer struct {
	kid    string
	method jwt.SigningMethod
	key    any
	jwk    map[string]any
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func ecSigner(t testing.TB, kid string, method jwt.SigningMethod, curve elliptic.Curve) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	half := len(point) / 2
	return signer{kid, method, key, map[string]any{
		"kty": "EC", "kid": kid, "crv": curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:]),
	}}
}

func edSigner(t testing.TB, kid string) signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return signer{kid, jwt.SigningMethodEdDSA, private, map[string]any{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(public)}}
}

// rsaKey is made once: 2048 bits take a while.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func rsaSigner(kid string, method jwt.SigningMethod) signer {
	key := rsaKey()
	return signer{kid, method, key, map[string]any{
		"kty": "RSA", "kid": kid, "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
	}}
}

// token signs claims; nil headers leave the default ones.
func (s signer) token(t testing.TB, claims jwt.MapClaims, header map[string]any) auth.Token {
	t.Helper()
	tok := jwt.NewWithClaims(s.method, claims)
	if s.kid != "" {
		tok.Header["kid"] = s.kid
	}
	maps.Copy(tok.Header, header)
	text, err := tok.SignedString(s.key)
	require.NoError(t, err)
	return auth.Token(text)
}

// claims are those of a good token, with changes; a nil value takes one away.
func claims(change map[string]any) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": "X110400001", "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
		"professionOID": "1.2.276.0.76.4.49",
	}
	for name, value := range change {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

func keySet(signers ...signer) []byte {
	keys := []any{}
	for _, s := range signers {
		keys = append(keys, s.jwk)
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return text
}

func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func jwtConfig(change ...func(*auth.JWTConfig)) auth.JWTConfig {
	c := auth.DefaultJWTConfig()
	c.Issuer, c.Audience = issuer, audience
	for _, f := range change {
		f(&c)
	}
	return c
}

// open makes an Authenticator on a configuration that must be good.
func open(t testing.TB, c auth.Config, web roundTrip) *auth.Authenticator {
	t.Helper()
	c.Check(func(path, problem string) { t.Fatalf("%s: %s", path, problem) })
	a, err := auth.New(auth.Options{Config: c, HTTPClient: &http.Client{Transport: web}})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	return a
}

// roundTrip is the network. Nil means that nobody may use it.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	if f == nil {
		return nil, errors.New("nobody may use the network here")
	}
	return f(r)
}

func respond(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewBufferString(body))}
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// requireDenied checks an error's kind and code.
func requireDenied(t testing.TB, err error, kind push.Kind, code string) {
	t.Helper()
	var e *push.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, kind, e.Kind)
	require.Equal(t, code, e.Code)
	if kind == push.Unavailable || kind == push.Limited {
		require.Positive(t, e.RetryAfter)
	}
}
