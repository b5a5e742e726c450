package auth_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

func person(kvnr string) auth.Identity {
	return auth.Identity{Realm: push.RealmFachdienst, User: push.UserID("kvnr:" + kvnr), IDType: "kvnr"}
}

// withKeys opens an Authenticator whose issuer has these keys in a file.
func withKeys(t testing.TB, set []byte, change ...func(*auth.JWTConfig)) *auth.Authenticator {
	t.Helper()
	path := file(t, string(set))
	c := jwtConfig(append([]func(*auth.JWTConfig){func(c *auth.JWTConfig) { c.JWKSFile = path }}, change...)...)
	return open(t, auth.Config{JWT: []auth.JWTConfig{c}}, nil)
}

func TestJWT_EveryAlgorithm(t *testing.T) {
	t.Parallel()
	for _, s := range []signer{
		rsaSigner("r", jwt.SigningMethodRS256), rsaSigner("r", jwt.SigningMethodRS384), rsaSigner("r", jwt.SigningMethodRS512),
		rsaSigner("r", jwt.SigningMethodPS256), rsaSigner("r", jwt.SigningMethodPS384), rsaSigner("r", jwt.SigningMethodPS512),
		ecSigner(t, "e", jwt.SigningMethodES256, elliptic.P256()), ecSigner(t, "e", jwt.SigningMethodES384, elliptic.P384()),
		ecSigner(t, "e", jwt.SigningMethodES512, elliptic.P521()), edSigner(t, "o"),
	} {
		t.Run(s.method.Alg(), func(t *testing.T) {
			t.Parallel()
			a := withKeys(t, keySet(s))
			got, err := a.Authenticate(t.Context(), push.RealmFachdienst, s.token(t, claims(nil), nil))
			require.NoError(t, err)
			require.Equal(t, person("X110400001"), got)
			_, err = a.Authenticate(t.Context(), push.RealmMatrix, s.token(t, claims(nil), nil))
			requireDenied(t, err, push.Unauthenticated, "M_UNKNOWN_TOKEN")
		})
	}
}

func TestJWT_Refuses(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "k1", jwt.SigningMethodES256, elliptic.P256())
	stranger := ecSigner(t, "k1", jwt.SigningMethodES256, elliptic.P256())
	a := withKeys(t, keySet(s))
	good := string(s.token(t, claims(nil), nil))
	parts := strings.Split(good, ".")
	public, err := x509.MarshalPKIXPublicKey(&rsaKey().PublicKey)
	require.NoError(t, err)
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	hmacWithPublicKey := signer{"r", jwt.SigningMethodHS256, pemKey, nil}
	none := signer{"k1", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil}
	with := func(change map[string]any) auth.Token { return s.token(t, claims(change), nil) }

	for name, token := range map[string]auth.Token{
		"another key with the same id":      stranger.token(t, claims(nil), nil),
		"alg none":                          none.token(t, claims(nil), nil),
		"alg none with a borrowed header":   auth.Token(parts[0] + "." + parts[1] + "."),
		"HMAC keyed with the public key":    hmacWithPublicKey.token(t, claims(nil), nil),
		"unknown key id":                    s.token(t, claims(nil), map[string]any{"kid": "k2"}),
		"key id is a number":                s.token(t, claims(nil), map[string]any{"kid": 1, "alg": "ES384"}),
		"another alg in the header":         s.token(t, claims(nil), map[string]any{"alg": "ES512"}),
		"critical extension":                s.token(t, claims(nil), map[string]any{"crit": []string{"exp"}}),
		"another issuer":                    with(map[string]any{"iss": issuer + "/"}),
		"no issuer":                         with(map[string]any{"iss": nil}),
		"issuer is a number":                with(map[string]any{"iss": 1}),
		"another audience":                  with(map[string]any{"aud": "https://other.example.org"}),
		"no audience":                       with(map[string]any{"aud": nil}),
		"empty audiences":                   with(map[string]any{"aud": []string{}}),
		"expired":                           with(map[string]any{"exp": time.Now().Add(-11 * time.Second).Unix()}),
		"never expires":                     with(map[string]any{"exp": nil}),
		"expiry is a text":                  with(map[string]any{"exp": "9999999999"}),
		"not valid yet":                     with(map[string]any{"nbf": time.Now().Add(time.Minute).Unix()}),
		"payload changed":                   auth.Token(parts[0] + "." + b64([]byte(`{"sub":"X999999999"}`)) + "." + parts[2]),
		"signature cut off":                 auth.Token(good[:len(good)-4]),
		"signature with other trailing bit": auth.Token(good[:len(good)-1] + flip(good[len(good)-1])),
		"four parts":                        auth.Token(good + ".x"),
		"padding":                           auth.Token(good + "=="),
		"not a JWT":                         "abc",
		"dots":                              "..",
		"null claims":                       auth.Token(parts[0] + "." + b64([]byte("null")) + "." + parts[2]),
		"list claims":                       auth.Token(parts[0] + "." + b64([]byte("[]")) + "." + parts[2]),
		"null header":                       auth.Token(b64([]byte("null")) + "." + parts[1] + "." + parts[2]),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := a.Authenticate(t.Context(), push.RealmFachdienst, token)
			requireDenied(t, err, push.Unauthenticated, "M_UNKNOWN_TOKEN")
		})
	}
	_, err = a.Authenticate(t.Context(), push.RealmFachdienst, with(map[string]any{"aud": []string{"x", audience}}))
	require.NoError(t, err, "one of several audiences is enough")
}

// A Matrix client that is not told of a soft logout deletes its end-to-end keys; one whose token has run out refreshes it.
func TestJWT_ExpiredIsASoftLogout(t *testing.T) {
	t.Parallel()
	s := ecSigner(t, "k1", jwt.SigningMethodES256, elliptic.P256())
	stranger := ecSigner(t, "k1", jwt.SigningMethodES256, elliptic.P256())
	a := withKeys(t, keySet(s), func(c *auth.JWTConfig) { c.Realm, c.IDType = push.RealmMatrix, "" })
	past := time.Now().Add(-time.Minute).Unix()
	expired := func(change map[string]any) jwt.MapClaims {
		change["exp"] = past
		return claims(change)
	}
	for name, c := range map[string]struct {
		token auth.Token
		soft  bool
	}{
		"expired":                     {s.token(t, expired(map[string]any{}), nil), true},
		"expired, of another key":     {stranger.token(t, expired(map[string]any{}), nil), false},
		"expired, for somebody else":  {s.token(t, expired(map[string]any{"aud": "https://other.example.org"}), nil), false},
		"expired, of another issuer":  {s.token(t, expired(map[string]any{"iss": issuer + "/"}), nil), false},
		"expired before it was valid": {s.token(t, expired(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), nil), false},
		"nonsense":                    {"x", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := a.Authenticate(t.Context(), push.RealmMatrix, c.token)
			requireDenied(t, err, push.Unauthenticated, "M_UNKNOWN_TOKEN")
			require.Equal(t, c.soft, auth.SoftLogout(err))
		})
	}
}

// flip returns another character that decodes to the same bytes in a lenient decoder: the last bits of ES256's 86
// characters mean nothing.
func flip(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

// A_28112: only role oid_versicherter, else 403; a person must be named.
func TestJWT_RequiredClaims(t *testing.T) {
	t.Parallel()
	s := edSigner(t, "k")
	require403 := func(a *auth.Authenticator, realm push.Realm, change map[string]any) {
		t.Helper()
		_, err := a.Authenticate(t.Context(), realm, s.token(t, claims(change), nil))
		requireDenied(t, err, push.Forbidden, "M_FORBIDDEN")
		require.ErrorIs(t, err, auth.ErrClaim)
	}
	fd := withKeys(t, keySet(s), func(c *auth.JWTConfig) {
		c.Require = map[string]string{"professionOID": "1.2.276.0.76.4.49", "acr": "high"}
		c.UserClaim = "idNummer"
	})
	good := map[string]any{"acr": "high", "idNummer": "X110400002"}
	for name, value := range map[string]any{"as text": "1.2.276.0.76.4.49", "in a list": []string{"x", "1.2.276.0.76.4.49"}} {
		good["professionOID"] = value
		got, err := fd.Authenticate(t.Context(), push.RealmFachdienst, s.token(t, claims(good), nil))
		require.NoErrorf(t, err, "%s", name)
		require.Equal(t, person("X110400002"), got)
	}
	for _, bend := range []map[string]any{
		{"professionOID": "1.2.276.0.76.4.50"}, {"professionOID": nil}, {"professionOID": 1}, {"professionOID": []any{}},
		{"professionOID": "1.2.276.0.76.4.49 "}, {"acr": nil},
		{"idNummer": nil}, {"idNummer": ""}, {"idNummer": 110400002}, {"idNummer": " X110400002"}, {"idNummer": []string{"X110400002"}},
	} {
		bent := maps.Clone(good)
		maps.Copy(bent, bend)
		require403(fd, push.RealmFachdienst, bent)
	}

	mx := withKeys(t, keySet(s), func(c *auth.JWTConfig) { c.Realm, c.IDType = push.RealmMatrix, "" })
	got, err := mx.Authenticate(t.Context(), push.RealmMatrix, s.token(t, claims(map[string]any{"sub": "@a:example.org"}), nil))
	require.NoError(t, err)
	require.Equal(t, auth.Identity{Realm: push.RealmMatrix, User: "@a:example.org"}, got)
	require403(mx, push.RealmMatrix, map[string]any{"sub": "X110400001"})
	require403(mx, push.RealmMatrix, map[string]any{"sub": "kvnr:X110400001"})

	institution := withKeys(t, keySet(s), func(c *auth.JWTConfig) { c.IDType = auth.IDTypeTelematikID })
	got, err = institution.Authenticate(t.Context(), push.RealmFachdienst, s.token(t, claims(map[string]any{"sub": "1-2.58.4"}), nil))
	require.NoError(t, err)
	require.Equal(t, auth.Identity{Realm: push.RealmFachdienst, User: "telematik-id:1-2.58.4", IDType: "telematik-id"}, got)
}

func TestJWT_ExpiresInTime(t *testing.T) {
	t.Parallel()
	s := edSigner(t, "k")
	set := keySet(s)
	synctest.Test(t, func(t *testing.T) {
		a := withKeys(t, set)
		token := s.token(t, claims(map[string]any{
			"nbf": time.Now().Add(time.Minute).Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
		}), nil)
		knows := func() bool {
			_, err := a.Authenticate(t.Context(), push.RealmFachdienst, token)
			return err == nil
		}
		require.False(t, knows(), "not yet")
		time.Sleep(50 * time.Second) // ten seconds of leeway before
		require.True(t, knows())
		time.Sleep(9*time.Minute + 19*time.Second) // 10:09, and ten seconds of leeway after
		require.True(t, knows())
		time.Sleep(time.Second)
		require.False(t, knows())
	})
}

func TestJWT_KeyChoice(t *testing.T) {
	t.Parallel()
	one, two := edSigner(t, "k1"), edSigner(t, "k2")
	nameless := edSigner(t, "")
	ec := ecSigner(t, "", jwt.SigningMethodES256, elliptic.P256())
	bent := func(s signer, name string, value any) signer {
		s.jwk = maps.Clone(s.jwk)
		s.jwk[name] = value
		return s
	}
	rs := func(alg any) signer { return bent(rsaSigner("r", jwt.SigningMethodRS256), "alg", alg) }
	tests := []struct {
		name string
		set  []byte
		by   signer
		want bool
	}{
		{"the second of two", keySet(one, two), two, true},
		{"no key id and one key", keySet(nameless), nameless, true},
		{"no key id and one key of that kind", keySet(nameless, ec), ec, true},
		{"no key id and two keys of that kind", keySet(one, nameless), nameless, false},
		{"pinned to its algorithm", keySet(rs("RS256")), rs(nil), true},
		{"pinned to another algorithm", keySet(rs("PS256"), one), rs(nil), false},
		{"pinned to HMAC", keySet(rs("HS256"), one), rs(nil), false},
		{"pinned to an algorithm of another kind", keySet(rs("ES256"), one), rs(nil), false},
		{"for signatures", keySet(bent(one, "use", "sig"), two), one, true},
		{"for encryption", keySet(bent(one, "use", "enc"), two), one, false},
		{"may verify", keySet(bent(one, "key_ops", []string{"verify"}), two), one, true},
		{"may only encrypt", keySet(bent(one, "key_ops", []string{"encrypt"}), two), one, false},
		{"beside keys that nobody knows", []byte(strings.Replace(string(keySet(one)), `[`, `[{"kty":"oct","kid":"k1","k":"AAAA"},{"kty":"EC","crv":"brainpoolP256r1"},7,`, 1)), one, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := withKeys(t, tt.set).Authenticate(t.Context(), push.RealmFachdienst, tt.by.token(t, claims(nil), nil))
			require.Equal(t, tt.want, err == nil)
		})
	}
}

func TestKeySet_Refuses(t *testing.T) {
	t.Parallel()
	ec := ecSigner(t, "e", jwt.SigningMethodES256, elliptic.P256()).jwk
	rs := rsaSigner("r", jwt.SigningMethodRS256).jwk
	one := func(jwk map[string]any, change map[string]any) string {
		jwk = maps.Clone(jwk)
		maps.Copy(jwk, change)
		return string(keySet(signer{jwk: jwk}))
	}
	const noKey = "the key set holds no usable public key"
	const noSet = "not a JSON Web Key Set"
	for name, tt := range map[string]struct{ text, problem string }{
		"empty file":             {"", noSet},
		"not a set":              {"{}", noSet},
		"a single key":           {`{"kty":"EC"}`, noSet},
		"keys is no list":        {`{"keys":{}}`, noSet},
		"more than 100":          {`{"keys":[` + strings.Repeat("1,", 100) + `1]}`, noSet},
		"no keys":                {`{"keys":[]}`, noKey},
		"a secret key":           {`{"keys":[{"kty":"oct","k":"` + strings.Repeat("A", 43) + `"}]}`, noKey},
		"a curve of the gematik": {one(ec, map[string]any{"crv": "BP-256"}), noKey},
		"another curve's point":  {one(ec, map[string]any{"crv": "P-384"}), noKey},
		"a point off the curve":  {one(ec, map[string]any{"y": b64(make([]byte, 32))}), noKey},
		"a short coordinate":     {one(ec, map[string]any{"x": b64(make([]byte, 31))}), noKey},
		"no coordinates":         {one(ec, map[string]any{"x": "", "y": ""}), noKey},
		"Base64 with padding":    {one(ec, map[string]any{"x": ec["x"].(string) + "="}), noKey},
		"RSA of 1024 bits":       {one(rs, map[string]any{"n": b64(append([]byte{0x80}, make([]byte, 127)...))}), noKey},
		"RSA of 16384 bits":      {one(rs, map[string]any{"n": b64(append([]byte{0x80}, make([]byte, 2047)...))}), noKey},
		"RSA exponent 1":         {one(rs, map[string]any{"e": "AQ"}), noKey},
		"RSA exponent even":      {one(rs, map[string]any{"e": "Ag"}), noKey},
		"RSA exponent endless":   {one(rs, map[string]any{"e": b64([]byte{1, 0, 0, 0, 1})}), noKey},
		"Ed25519 cut off":        {`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`, noKey},
		"Ed448":                  {`{"keys":[{"kty":"OKP","crv":"Ed448","x":"` + strings.Repeat("A", 43) + `"}]}`, noKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := auth.Config{JWT: []auth.JWTConfig{jwtConfig(func(c *auth.JWTConfig) { c.JWKSFile = file(t, tt.text) })}}
			_, err := auth.New(auth.Options{Config: c})
			require.ErrorContains(t, err, tt.problem)
		})
	}
}

// Whatever a stranger sends, only a token that a key of the set has signed is known.
func FuzzJWT(f *testing.F) {
	s := ecSigner(f, "k", jwt.SigningMethodES256, elliptic.P256())
	a := withKeys(f, keySet(s))
	good := string(s.token(f, claims(nil), nil))
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(strings.Replace(good, ".", "..", 1))
	header, _ := json.Marshal(map[string]any{"alg": "HS256", "kid": "k", "jwk": s.jwk, "jku": "https://evil.example.org", "x5u": "x"})
	f.Add(b64(header) + "." + strings.Split(good, ".")[1] + ".AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := a.Authenticate(t.Context(), push.RealmFachdienst, auth.Token(token))
		if err == nil {
			require.Equal(t, good, token)
			return
		}
		code := "M_UNKNOWN_TOKEN"
		if token == "" {
			code = "M_MISSING_TOKEN"
		}
		requireDenied(t, err, push.Unauthenticated, code)
	})
}

func BenchmarkJWT(b *testing.B) {
	s := ecSigner(b, "k", jwt.SigningMethodES256, elliptic.P256())
	a := withKeys(b, keySet(s))
	token := s.token(b, claims(map[string]any{"exp": time.Now().Add(time.Hour).Unix()}), nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(b.Context(), push.RealmFachdienst, token); err != nil {
			b.Fatal(err)
		}
	}
}
