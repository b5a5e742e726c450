package e2e

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/provider/webpush/webpushtest"
)

// pushService is a Web Push service that keeps what it gets, undeciphered.
type pushService struct {
	addr   string // 127.0.0.1:port; the certificate is for pushServiceName too
	caFile string
	got    chan pushed
}

// pushed is one request.
type pushed struct {
	header http.Header
	body   []byte
}

const pushServiceName = "push.simulator.example"

func startPushService(t *testing.T) *pushService {
	t.Helper()
	ca, err := mtls.NewAuthority("push service")
	require.NoError(t, err)
	pair, err := ca.Server(pushServiceName, "127.0.0.1")
	require.NoError(t, err)
	cert, err := pair.TLS()
	require.NoError(t, err)
	s := &pushService{caFile: filepath.Join(t.TempDir(), "push-ca.pem"), got: make(chan pushed, 100)}
	require.NoError(t, os.WriteFile(s.caFile, ca.CertPEM(), 0o600))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.got <- pushed{r.Header, body}
		w.WriteHeader(http.StatusCreated)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	s.addr = server.Listener.Addr().String()
	return s
}

// next waits for a request.
func (s *pushService) next(t *testing.T) pushed {
	t.Helper()
	select {
	case p := <-s.got:
		return p
	case <-time.After(harness.Patience):
		require.Fail(t, "nothing arrived at the push service")
		return pushed{}
	}
}

// userAgent holds the keys of a subscription.
type userAgent struct {
	private *ecdh.PrivateKey
	auth    []byte
}

func newUserAgent(t *testing.T) userAgent {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	ua := userAgent{private: key, auth: make([]byte, 16)}
	_, _ = rand.Read(ua.auth)
	return ua
}

// device is what a Matrix web client registers, as one member of a notification's devices.
func (u userAgent) device(app, endpoint string) string {
	return fmt.Sprintf(`{"app_id":%q,"pushkey":%q,"data":{"endpoint":%q,"auth":%q}}`, app,
		base64.RawURLEncoding.EncodeToString(u.private.PublicKey().Bytes()), endpoint, base64.RawURLEncoding.EncodeToString(u.auth))
}

// open decrypts as the browser does.
func (u userAgent) open(t *testing.T, p pushed) string {
	t.Helper()
	require.Equal(t, "aes128gcm", p.header.Get("Content-Encoding"))
	require.LessOrEqual(t, len(p.body), 4096)
	plain, err := webpushtest.Open(u.private, u.auth, p.body)
	require.NoError(t, err)
	return string(plain)
}
