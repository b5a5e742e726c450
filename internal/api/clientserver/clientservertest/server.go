package clientservertest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/clientserver"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/api/bearer/bearertest"
	"github.com/pushgate/pushgate/internal/api/clientserver"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Base is the base path that Do uses.
const Base = "/_matrix/client/v3"

// The tokens: two sessions of Alice and one of Bob.
const (
	Alice  = "alice-token"
	Alice2 = "alice-token-2"
	Bob    = "bob-token"
)

// Server is an engine with the API mounted over a real pusher.Service.
type Server struct {
	t      testing.TB
	Engine *api.Engine
	Judge  *apitest.Judge
	Log    *bytes.Buffer
}

// NewServer mounts the API over a store. change may be nil.
func NewServer(t testing.TB, store pusher.Store, change func(*clientserver.Options, *api.Options)) *Server {
	t.Helper()
	return newServer(t, apitest.NewJudge(t, wire.GetSpec), store, change)
}

// newServer is NewServer with a judge, which takes a while to make.
func newServer(t testing.TB, judge *apitest.Judge, store pusher.Store, change func(*clientserver.Options, *api.Options)) *Server {
	t.Helper()
	s := &Server{t: t, Judge: judge, Log: &bytes.Buffer{}}
	o := clientserver.Options{
		Registry: pusher.New(pusher.Options{Store: store, Location: time.UTC}),
		Authenticator: bearertest.People{
			Alice: bearertest.Matrix("@alice:example.org", "PHONE"), Alice2: bearertest.Matrix("@alice:example.org", "TABLET"),
			Bob: bearertest.Matrix("@bob:example.org", "PHONE"), "fd-token": bearertest.Insured("X110400001"),
		},
		BasePaths: pusher.DefaultClientServerConfig().BasePaths,
	}
	eo := api.Options{Logger: slog.New(slog.NewJSONHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(&o, &eo)
	}
	apis, err := clientserver.New(o)
	require.NoError(t, err)
	s.Engine, err = api.New(eo)
	require.NoError(t, err)
	for _, a := range apis {
		require.NoError(t, s.Engine.Mount(a))
	}
	return s
}

// In returns the same server for a subtest.
func (s *Server) In(t testing.TB) *Server {
	other := *s
	other.t = t
	return &other
}

// Request returns a request with a token, none when it is empty.
func Request(token, method, path, body string) *http.Request {
	r := httptest.NewRequest(method, Base+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// Serve answers a request and holds the answer against the contract.
func (s *Server) Serve(r *http.Request) *httptest.ResponseRecorder {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, r)
	path := r.URL.Path
	for _, base := range pusher.DefaultClientServerConfig().BasePaths {
		path = strings.TrimPrefix(path, base)
	}
	s.Judge.Answer(s.t, r.Method, path, w)
	require.Equal(s.t, "*", w.Header().Get("Access-Control-Allow-Origin"), "1.9: on all responses")
	return w
}

// Set posts a body to pushers/set.
func (s *Server) Set(token, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.Serve(Request(token, http.MethodPost, "/pushers/set", body))
}

// MustSet posts a body that must be accepted.
func (s *Server) MustSet(token, body string) {
	s.t.Helper()
	w := s.Set(token, body)
	require.Equalf(s.t, http.StatusOK, w.Code, "%s", w.Body)
	require.Equal(s.t, "{}", strings.TrimSpace(w.Body.String()), "1.2: exactly {} [S]")
}

// Refuses posts a body that must be answered with this status and code, and must change nothing for anybody.
func (s *Server) Refuses(token, body string, status int, code string) string {
	s.t.Helper()
	before := []string{s.List(Alice), s.List(Bob)}
	w := s.Set(token, body)
	require.Equalf(s.t, status, w.Code, "%s", w.Body)
	var e wire.Error
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &e))
	require.Equal(s.t, code, e.Errcode, e.Error)
	require.NotEmpty(s.t, e.Error)
	require.Equal(s.t, before, []string{s.List(Alice), s.List(Bob)}, "a refused request changed something")
	return e.Error
}

// List returns the body of GET pushers.
func (s *Server) List(token string) string {
	s.t.Helper()
	w := s.Serve(Request(token, http.MethodGet, "/pushers", ""))
	require.Equal(s.t, http.StatusOK, w.Code)
	return strings.TrimSpace(w.Body.String())
}

// Pushers returns the pushers of GET pushers.
func (s *Server) Pushers(token string) []wire.Pusher {
	s.t.Helper()
	var out wire.PushersResponse
	require.NoError(s.t, json.Unmarshal([]byte(s.List(token)), &out))
	return out.Pushers
}

// Body returns a complete registration, with some members replaced or, for an empty text, left out. Values are JSON.
func Body(changes ...string) string {
	members := []string{
		"kind", `"http"`, "app_id", `"com.example.app.ios"`, "pushkey", `"key"`, "app_display_name", `"Example"`,
		"device_display_name", `"Phone"`, "lang", `"en"`, "data", `{"url":"https://push.example.com/_matrix/push/v1/notify"}`,
	}
	for change := range slices.Chunk(changes, 2) {
		at := 0
		for at < len(members) && members[at] != change[0] {
			at += 2
		}
		members = slices.Replace(members, at, min(at+2, len(members)), change...)
	}
	var parts []string
	for member := range slices.Chunk(members, 2) {
		if member[1] != "" {
			parts = append(parts, `"`+member[0]+`":`+member[1])
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// Gone is the body that deletes what Body registers.
func Gone() string { return `{"app_id":"com.example.app.ios","pushkey":"key","kind":null}` }
