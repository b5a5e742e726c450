package fcm

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	testProject = "demo-project"
	testEmail   = "sender@demo-project.iam.gserviceaccount.com"
)

// testKey is made once: an RSA key takes a while.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// reply is what the fake says to one request; the zero value is FCM's receipt.
type reply struct {
	status int
	header http.Header
	body   string
	reset  bool // end the stream with an error
	hang   bool // never answer
	delay  time.Duration
	before func() // called when the request has arrived
}

// arrival is one request at the FCM side.
type arrival struct {
	path   string
	header http.Header
	proto  string
	body   []byte
	token  string // message.token
}

// fake is FCM and its token endpoint on one TLS server.
type fake struct {
	server *httptest.Server
	caFile string

	mu       sync.Mutex
	issued   map[string]bool // access tokens that are good
	fetches  int
	grant    func(w http.ResponseWriter) bool // takes over the token endpoint when it returns true
	scripts  map[string][]reply               // by token; "*" for any
	arrivals []arrival
	opened   int // connections
	problems []string
}

// newFake starts a fake whose connections carry at most streams requests at a time.
func newFake(t testing.TB, streams int) *fake {
	t.Helper()
	f := &fake{issued: map[string]bool{}, scripts: map[string][]reply{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", f.serveToken)
	mux.HandleFunc("POST /v1/projects/{target}/messages:send", f.serveSend)
	f.server = httptest.NewUnstartedServer(mux)
	f.server.EnableHTTP2 = true
	f.server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	f.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	f.server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			f.mu.Lock()
			f.opened++
			f.mu.Unlock()
		}
	}
	f.server.StartTLS()
	t.Cleanup(func() {
		f.server.CloseClientConnections()
		f.server.Close()
		require.Empty(t, f.problems)
	})
	f.caFile = writeTemp(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw}))
	return f
}

func writeTemp(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// serviceAccount is a key file in Google's shape.
func serviceAccount(t testing.TB, tokenURI string) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(testKey())
	require.NoError(t, err)
	raw, err := json.Marshal(map[string]string{
		"type":           "service_account",
		"project_id":     testProject,
		"private_key_id": "0123456789abcdef",
		"private_key":    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email":   testEmail,
		"token_uri":      tokenURI,
	})
	require.NoError(t, err)
	return raw
}

// config points at the fake.
func (f *fake) config(t testing.TB) Config {
	t.Helper()
	c := DefaultConfig()
	c.ProjectID = testProject
	c.Endpoint = f.server.URL
	c.CAFile = f.caFile
	c.ServiceAccountFile = writeTemp(t, "sa.json", serviceAccount(t, f.server.URL+"/token"))
	return c
}

// client makes a client for the fake and closes it with the test.
func (f *fake) client(t testing.TB, logger *slog.Logger) *Client {
	t.Helper()
	c, err := New(f.config(t), Options{Logger: logger, SendBadgeCounts: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func (f *fake) script(token string, replies ...reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scripts[token] = replies
}

// requests counts what arrived for a token, "*" for all.
func (f *fake) requests(token string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, a := range f.arrivals {
		if token == "*" || a.token == token {
			n++
		}
	}
	return n
}

// tokenFetches counts requests at the token endpoint.
func (f *fake) tokenFetches() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetches
}

// revoke makes every access token so far worthless.
func (f *fake) revoke() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.issued)
}

// last returns the newest arrival.
func (f *fake) last(t testing.TB) arrival {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.NotEmpty(t, f.arrivals)
	return f.arrivals[len(f.arrivals)-1]
}

func (f *fake) serveToken(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetches++
	if f.grant != nil && f.grant(w) {
		return
	}
	if err := f.checkAssertion(r); err != nil {
		f.problems = append(f.problems, err.Error())
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	token := fmt.Sprintf("ya29.secret-%d", f.fetches)
	f.issued["Bearer "+token] = true
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":3599,"token_type":"Bearer"}`, token)
}

// checkAssertion is RFC 7523 as Google applies it.
func (f *fake) checkAssertion(r *http.Request) error {
	if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return errors.New("wrong grant_type")
	}
	parts := strings.Split(r.FormValue("assertion"), ".")
	if len(parts) != 3 {
		return errors.New("no JWT")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&testKey().PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		return err
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct {
		Iss, Aud, Scope string
		Iat, Exp        int64
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return err
	}
	if claims.Iss != testEmail || claims.Aud != f.server.URL+"/token" || claims.Scope != scope || claims.Exp-claims.Iat > 3600 {
		return fmt.Errorf("wrong claims %+v", claims)
	}
	return nil
}

func (f *fake) serveSend(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var doc struct {
		Message struct {
			Token string `json:"token"`
		} `json:"message"`
	}
	_ = json.Unmarshal(body, &doc)
	token := doc.Message.Token

	f.mu.Lock()
	f.arrivals = append(f.arrivals, arrival{path: r.URL.Path, header: r.Header, proto: r.Proto, body: body, token: token})
	var now reply
	for _, key := range []string{token, "*"} {
		if replies := f.scripts[key]; len(replies) > 0 {
			now, f.scripts[key] = replies[0], replies[1:]
			break
		}
	}
	good := f.issued[r.Header.Get("Authorization")]
	f.mu.Unlock()

	if now.before != nil {
		now.before()
	}
	switch {
	case !good:
		now = reply{status: http.StatusUnauthorized, body: errorBody(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", "")}
	case now.reset:
		panic(http.ErrAbortHandler)
	case now.hang:
		<-r.Context().Done()
		return
	}
	if now.delay > 0 {
		select {
		case <-time.After(now.delay):
		case <-r.Context().Done():
			return
		}
	}
	for name, values := range now.header {
		w.Header()[name] = values
	}
	if now.status == 0 {
		_, _ = fmt.Fprintf(w, `{"name":"projects/%s/messages/0:1"}`, testProject)
		return
	}
	w.WriteHeader(now.status)
	_, _ = io.WriteString(w, now.body)
}

// errorBody is Google's error document; details is a list's inside or empty.
func errorBody(code int, status, message, details string) string {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"error":{"code":%d,"message":%s,"status":%q,"details":[%s]}}`, code, text, status, details)
}

// fcmError is the detail that FCM's messaging layer adds.
func fcmError(code string) string {
	return fmt.Sprintf(`{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":%q}`, code)
}

// message is a small Matrix message to a token.
func message(token string) push.Notification {
	return push.Notification{
		Device: push.Device{AppID: "com.example.android", Pushkey: push.Pushkey(token)},
		Event: &push.Event{
			ID:      push.NewText("$event"),
			RoomID:  push.NewText("!room:example.org"),
			Type:    push.NewText("m.room.message"),
			Content: push.Object(`{"msgtype":"m.text","body":"secret body text"}`),
		},
	}
}
