package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/push"
)

// house is an authority, a gateway with a certificate of it that asks its callers for theirs, and our own files.
type house struct {
	ca     *mtls.Authority
	served *mtls.Pair
	server *httptest.Server
	seen   atomic.Pointer[x509.Certificate] // the last caller's
	calls  atomic.Int32
	dir    string
	files  config.Config
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{dir: t.TempDir()}
	var err error
	h.ca, err = mtls.NewAuthority("house")
	require.NoError(t, err)
	h.served, err = h.ca.Server()
	require.NoError(t, err)
	pair, err := h.served.TLS()
	require.NoError(t, err)
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.calls.Add(1)
		h.seen.Store(nil)
		if len(r.TLS.PeerCertificates) > 0 {
			h.seen.Store(r.TLS.PeerCertificates[0])
		}
		_, _ = w.Write([]byte(`{"results":[],"rejected":[]}`))
	}))
	h.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	h.server.StartTLS()
	t.Cleanup(h.server.Close)
	h.renew(t)
	h.write(t, "ca.pem", h.ca.CertPEM())
	crl, err := h.ca.CRL()
	require.NoError(t, err)
	h.write(t, "crl.pem", crl)
	h.files = *h.config(t, "127.0.0.0/8")
	return h
}

// renew issues another certificate for us, in place.
func (h *house) renew(t *testing.T) *mtls.Pair {
	t.Helper()
	pair, err := h.ca.Client("fd.example.com")
	require.NoError(t, err)
	_, _, err = pair.Write(h.dir, "fd")
	require.NoError(t, err)
	return pair
}

func (h *house) write(t *testing.T, name string, text []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, name), text, 0o600))
}

func (h *house) config(t *testing.T, network string) *config.Config {
	t.Helper()
	c, err := config.Parse(fmt.Appendf(nil, `roles: [fachdienst]
fachdienst:
  gateways: ["%s/push/v1/"]
  gateway_client: {cert_file: fd.crt, key_file: fd.key, ca_file: ca.pem, crl_file: crl.pem}
  channels: [{id: a, default: enabled}]
auth: {tokens_file: tokens.yaml}
egress: {allow_networks: ["%s"]}
`, h.server.URL, network), h.tokens(t))
	require.NoError(t, err)
	return c
}

func (h *house) tokens(t *testing.T) string {
	t.Helper()
	h.write(t, "tokens.yaml", []byte("[]\n"))
	return h.dir
}

func (h *house) call(t *testing.T, k *caller) error {
	t.Helper()
	_, err := k.Sealed(t.Context(), h.server.URL+"/push/v1/", []dispatch.Item{{ID: "1"}})
	return err
}

func TestCaller_RenewedFilesAreUsed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k, err := newCaller(&h.files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, h.call(t, k))

	before := k.current.Load()
	require.NoError(t, k.refresh())
	require.Same(t, before, k.current.Load(), "where nothing has changed the connections stay")

	pair := h.renew(t)
	require.NoError(t, k.refresh())
	require.NoError(t, h.call(t, k))
	require.Equal(t, pair.Leaf.SerialNumber, h.seen.Load().SerialNumber)
	require.Equal(t, pair.Leaf.NotAfter, k.Info().CertificateExpires)

	crl, err := h.ca.CRL(h.served)
	require.NoError(t, err)
	h.write(t, "crl.pem", crl)
	require.NoError(t, k.refresh())
	calls := h.calls.Load()
	require.Error(t, h.call(t, k), "the gateway's certificate is revoked, and no old connection carries the call")
	require.Equal(t, calls, h.calls.Load())
}

func TestCaller_BrokenFilesChangeNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k, err := newCaller(&h.files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, f := range []struct{ key, name, text string }{{"cert_file", "fd.crt", "nonsense"}, {"crl_file", "crl.pem", "-----BEGIN"}} {
		good, err := os.ReadFile(filepath.Join(h.dir, f.name))
		require.NoError(t, err)
		h.write(t, f.name, []byte(f.text))
		require.ErrorContains(t, k.refresh(), "fachdienst.gateway_client: ")
		require.NoErrorf(t, h.call(t, k), "%s is broken", f.name)
		require.NoError(t, os.Remove(filepath.Join(h.dir, f.name)))
		err = k.refresh()
		require.ErrorContains(t, err, "fachdienst.gateway_client."+f.key+": ")
		require.NotContains(t, err.Error(), h.dir)
		require.NoErrorf(t, h.call(t, k), "%s is gone", f.name)
		h.write(t, f.name, good)
		require.NoError(t, k.refresh())
	}
}

func TestCaller_ReloadChangesWhoMayBeDialled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k, err := newCaller(&h.files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, h.call(t, k))
	commit, err := k.prepare(h.config(t, "10.0.0.0/8"))
	require.NoError(t, err)
	require.NoError(t, h.call(t, k), "nothing is in force before the commit")
	commit()
	calls := h.calls.Load()
	require.Error(t, h.call(t, k))
	require.Equal(t, calls, h.calls.Load(), "also not over a connection that was open")
}

func TestCaller_MatrixGatewaysAreStrangers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other, err := mtls.NewAuthority("other") // one that gematik's lists know nothing of
	require.NoError(t, err)
	served, err := other.Server()
	require.NoError(t, err)
	pair, err := served.TLS()
	require.NoError(t, err)
	h.write(t, "ca.pem", append(h.ca.CertPEM(), other.CertPEM()...))
	k, err := newCaller(&h.files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	h.server.TLS.Certificates[0] = pair

	_, err = k.Matrix(t.Context(), h.server.URL+"/_matrix/push/v1/notify", push.Notification{Event: &push.Event{}})
	require.NoError(t, err, "no list of revoked certificates is asked for")
	require.Nil(t, h.seen.Load(), "whoever a user names does not learn who we are")
	require.Error(t, h.call(t, k), "a gateway of the Fachdienst needs a list of its authority")
}

func TestCaller_WatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	k, err := newCaller(&h.files, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { k.watch(ctx, 1); close(done) }()
	before := k.current.Load()
	h.renew(t)
	require.Eventually(t, func() bool { return k.current.Load() != before }, 10*time.Second, time.Millisecond)
	cancel()
	<-done
}
