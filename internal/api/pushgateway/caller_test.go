package pushgateway_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
)

const noCertificate = "Missing or invalid mutual TLS (mTLS) certificate."

// authority signs client certificates.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return a
}

// client returns a certificate whose common name must not be taken for its name.
func (a *authority) client(dns []string, uri string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "not.a.name.example"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: dns, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if uri != "" {
		u, err := url.Parse(uri)
		require.NoError(a.t, err)
		template.URIs = []*url.URL{u}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestClientCertificate_OverTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	e := newEdge(t, func(o *pushgateway.Options, _ *api.Options) { o.RequireClientCert = true })
	server := httptest.NewUnstartedServer(e.engine)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)

	post := func(path string, certs ...tls.Certificate) (*httptest.ResponseRecorder, error) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool(), Certificates: certs, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
		defer transport.CloseIdleConnections()
		answer, err := (&http.Client{Transport: transport}).Post(server.URL+path, "application/json", strings.NewReader(validBody(path)))
		if err != nil {
			return nil, err
		}
		defer func() { _ = answer.Body.Close() }()
		w := httptest.NewRecorder()
		w.Code, w.Body = answer.StatusCode, &bytes.Buffer{}
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		_, err = w.Body.ReadFrom(answer.Body)
		require.NoError(t, err)
		e.judge.Answer(t, http.MethodPost, path, w)
		return w, nil
	}

	for _, path := range paths() {
		w, err := post(path)
		require.NoError(t, err)
		if path == pathMatrix {
			require.Equal(t, http.StatusOK, w.Code, "homeservers share the listener without a certificate")
			require.Equal(t, push.Caller{Path: push.PathMatrix}, e.gateway.caller)
			continue
		}
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.JSONEq(t, `{"error":"`+noCertificate+`"}`, w.Body.String())
	}
	require.Equal(t, 1, e.gateway.calls)

	good := ca.client([]string{"fd.example.de", "fd2.example.de"}, "urn:fd:1")
	for _, path := range paths() {
		w, err := post(path, good)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, w.Code)
		if path == pathMatrix {
			require.Equal(t, push.Caller{Path: push.PathMatrix}, e.gateway.caller, "a certificate makes nobody a sender on the Matrix path")
			continue
		}
		require.Equal(t, push.Caller{Path: push.PathGematik, Names: []string{"fd.example.de", "fd2.example.de", "urn:fd:1"}}, e.gateway.caller)
	}

	w, err := post(pathNotify, ca.client(nil, ""))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, e.gateway.caller.Names, "the common name is no name")

	_, err = post(pathNotify, newAuthority(t).client([]string{"fd.example.de"}, ""))
	require.Error(t, err, "a certificate of another authority ends the handshake")
}

func TestClientCertificate_MissingIs401BeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	presented := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{newAuthority(t).cert}} // presented, not verified
	for name, state := range map[string]*tls.ConnectionState{"plain HTTP": nil, "no certificate": {}, "not verified": presented} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, func(o *pushgateway.Options, _ *api.Options) { o.RequireClientCert = true })
			for _, path := range []string{pathNotify, pathBatch, pathEncrypted} {
				r := httptest.NewRequest(http.MethodPost, path, untouched{t})
				r.TLS = state
				r.Header.Set("X-Forwarded-Client-Cert", "Subject=fd.example.de")
				e.refuses(r, http.StatusUnauthorized, noCertificate)
			}
		})
	}
}

// A proxy speaks for those who come through it, not for those who come to our own TLS listener.
func TestClientCertificate_BehindAProxyAndOverTLS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state  *tls.ConnectionState
		checks bool
		want   int
	}{
		"plain":                              {nil, true, http.StatusOK},
		"TLS that asks for certificates":     {&tls.ConnectionState{}, true, http.StatusUnauthorized},
		"TLS from the proxy, without asking": {&tls.ConnectionState{}, false, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, func(o *pushgateway.Options, _ *api.Options) {
				o.RequireClientCert, o.BehindMTLSProxy, o.TLSChecksClients = true, true, c.checks
			})
			r := jsonRequest(pathNotify)
			r.TLS = c.state
			require.Equal(t, c.want, e.do(r).Code)
		})
	}
}

func TestClientCertificate_NotRequired(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*pushgateway.Options, *api.Options){
		"by configuration": nil,
		"behind a proxy that checks": func(o *pushgateway.Options, _ *api.Options) {
			o.RequireClientCert, o.BehindMTLSProxy = true, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, change)
			require.Equal(t, http.StatusOK, e.do(jsonRequest(pathEncrypted)).Code)
			require.Equal(t, push.Caller{Path: push.PathGematik}, e.gateway.caller)
		})
	}
}
