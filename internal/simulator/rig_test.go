package simulator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// rig is a simulator with a clock to turn.
type rig struct {
	*Simulator
	t     testing.TB
	clock *atomic.Int64 // seconds ahead of real time
}

func start(t testing.TB, o Options) *rig {
	t.Helper()
	r := &rig{t: t, clock: new(atomic.Int64)}
	o.Now = r.now
	s, err := Start(o)
	require.NoError(t, err)
	r.Simulator = s
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return r
}

func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.clock.Load()) * time.Second) }

func (r *rig) advance(d time.Duration) { r.clock.Add(int64(d / time.Second)) }

func (r *rig) clientTLS() *tls.Config {
	pool := x509.NewCertPool()
	require.True(r.t, pool.AppendCertsFromPEM(r.CAPEM()))
	return &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}}
}

// line is one HTTP/2 connection.
type line struct {
	*http2.ClientConn
	r   *rig
	tls *tls.Conn
}

func (r *rig) dial(url string, certs ...tls.Certificate) *line {
	r.t.Helper()
	cfg := r.clientTLS()
	cfg.Certificates = certs
	tc, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), cfg)
	require.NoError(r.t, err)
	cc, err := new(http2.Transport).NewClientConn(tc) //nolint:staticcheck // it shows settings and sends PINGs, net/http does neither
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = cc.Close() })
	return &line{cc, r, tc}
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) reason(t testing.TB) string {
	t.Helper()
	var v struct{ Reason string }
	require.NoError(t, json.Unmarshal([]byte(a.body), &v), a.body)
	return v.Reason
}

func (l *line) try(req *http.Request) (answer, error) {
	resp, err := l.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

func (l *line) do(req *http.Request) answer {
	l.r.t.Helper()
	a, err := l.try(req)
	require.NoError(l.r.t, err)
	return a
}

func (r *rig) request(method, url, body string, header http.Header) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, strings.NewReader(body))
	require.NoError(r.t, err)
	maps.Copy(req.Header, header)
	return req
}

// last is the newest receipt.
func (r *rig) last() Receipt {
	r.t.Helper()
	all := r.Receipts()
	require.NotEmpty(r.t, all)
	return all[len(all)-1]
}

// privateKey reads a PKCS #8 file.
func privateKey(t testing.TB, file []byte) crypto.Signer {
	t.Helper()
	block, _ := pem.Decode(file)
	require.NotNil(t, block)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	return key.(crypto.Signer)
}

// jwt signs a compact token with ES256 or RS256, by the kind of key.
func jwt(t testing.TB, key crypto.Signer, header, claims map[string]any) string {
	t.Helper()
	h, err := json.Marshal(header)
	require.NoError(t, err)
	c, err := json.Marshal(claims)
	require.NoError(t, err)
	signed := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	hash := sha256.Sum256([]byte(signed))
	var sig []byte
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		a, b, err := ecdsa.Sign(rand.Reader, k, hash[:])
		require.NoError(t, err)
		sig = append(a.FillBytes(make([]byte, 32)), b.FillBytes(make([]byte, 32))...)
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, hash[:])
		require.NoError(t, err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// make makes one kind of credential, without the cost of the others.
func (r *rig) make(f func(*credentialSet, CredentialOptions) error, o CredentialOptions) *credentialSet {
	r.t.Helper()
	set := &credentialSet{Files: map[string][]byte{}}
	require.NoError(r.t, f(set, o.withDefaults()))
	return set
}
