package clientfdtest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/clientfd"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/api/bearer/bearertest"
	"github.com/pushgate/pushgate/internal/api/clientfd"
	"github.com/pushgate/pushgate/internal/pusher"
)

// The tokens: two insured persons, an institution, a Matrix user.
const (
	Erika  = "erika-token"
	Max    = "max-token"
	Clinic = "clinic-token"
	Matrix = "matrix-token"
)

// Secret is the initial shared secret of gematik's test vectors. It must never come back.
//
//nolint:gosec // It is published.
const Secret = "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2"

// Dialect is one spelling of the operations.
type Dialect struct {
	Erezept bool
	base    string
}

// Generic is below /push/v1, Erezept has its own paths.
func Generic() Dialect { return Dialect{base: "/push/v1"} }

// Erezept is E-Rezept's spelling.
func Erezept() Dialect { return Dialect{Erezept: true} }

// code returns the dialect's word for an error.
func (d Dialect) code(generic, erezept string) string {
	if d.Erezept {
		return erezept
	}
	return generic
}

// Contract paths.
func (d Dialect) pushers() string { return "/pushers" + d.version() }
func (d Dialect) set() string     { return d.pushers() + "/set" }
func (d Dialect) channels() string {
	return "/channels" + d.version()
}
func (d Dialect) device() string { return d.channels() + "/{pushkey}" }
func (d Dialect) version() string {
	if d.Erezept {
		return "/v1"
	}
	return ""
}

// Server is an engine with both dialects over a real pusher.Service.
type Server struct {
	t       testing.TB
	Dialect Dialect
	Engine  *api.Engine
	Judge   *apitest.Judge
	Log     *bytes.Buffer
}

// Config is what the Fachdienst is configured to.
func Config() pusher.FachdienstConfig {
	c := pusher.DefaultFachdienstConfig()
	c.ErezeptPaths = true
	c.Channels = []pusher.ChannelConfig{
		{ID: "erp.task.activate"}, {ID: "erp.task.accept", Default: pusher.ChannelDisabled},
		{ID: "erp.communication.new", Default: pusher.ChannelEnabled},
	}
	c.Gateways = []string{"https://gw.example.com/push/v1/", "https://gw.example.com/ios/push/v1/", "https://gw.example.com/_matrix/push/v1/"}
	return c
}

// Setup is what a Server is made from; change it before it is.
type Setup struct {
	Fachdienst pusher.FachdienstConfig
	API        clientfd.Options
	Engine     api.Options
}

// NewServer mounts the API over a store. change may be nil.
func NewServer(t testing.TB, d Dialect, store pusher.Store, change func(*Setup)) *Server {
	t.Helper()
	return newServer(t, d, apitest.NewJudge(t, wire.GetSpec), store, change)
}

// newServer is NewServer with a judge, which takes a while to make.
func newServer(t testing.TB, d Dialect, judge *apitest.Judge, store pusher.Store, change func(*Setup)) *Server {
	t.Helper()
	s := &Server{t: t, Dialect: d, Judge: judge, Log: &bytes.Buffer{}}
	o := Setup{Fachdienst: Config(), API: clientfd.Options{
		Authenticator: bearertest.People{
			Erika: bearertest.Insured("X110400001"), Max: bearertest.Insured("X110400002"),
			Clinic: bearertest.Institution("1-2"), Matrix: bearertest.Matrix("@alice:example.org", ""),
		},
		BasePaths: []string{"/push/v1"}, ErezeptPaths: true,
	}}
	o.Engine.Logger = slog.New(slog.NewJSONHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if change != nil {
		change(&o)
	}
	service := pusher.New(pusher.Options{
		Store: store, Fachdienst: o.Fachdienst, Location: time.UTC,
		Now: func() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) },
	})
	o.API.Registry, o.API.Channels = service, service
	apis, err := clientfd.New(o.API)
	require.NoError(t, err)
	s.Engine, err = api.New(o.Engine)
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

// Call sends a request to an operation and holds the answer against the contract. pushkey fills {pushkey}.
func (s *Server) Call(token, method, path, pushkey, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.Serve(s.Request(token, method, path, pushkey, body), path)
}

// Request returns a request to an operation.
func (s *Server) Request(token, method, path, pushkey, body string) *http.Request {
	s.t.Helper()
	target := s.Dialect.base + strings.Replace(path, "{pushkey}", url.PathEscape(pushkey), 1)
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// Serve answers a request and holds the answer against the contract of path.
func (s *Server) Serve(r *http.Request, path string) *httptest.ResponseRecorder {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, r)
	s.Judge.Answer(s.t, r.Method, path, w)
	require.NotContains(s.t, w.Body.String()+s.Log.String(), Secret, "encryption is write-only")
	if w.Code != http.StatusOK {
		s.problem(w)
	}
	return w
}

// problem reads an error and checks that both spellings say the same.
func (s *Server) problem(w *httptest.ResponseRecorder) (code, text string) {
	s.t.Helper()
	var e wire.Error
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &e))
	require.Equal(s.t, e.Errcode, e.ErrorCode)
	require.Equal(s.t, e.Error, e.ErrorDetail)
	require.NotEmpty(s.t, e.Error)
	return e.ErrorCode, e.ErrorDetail
}

// Refuses fails the test unless the answer is this error.
func (s *Server) Refuses(w *httptest.ResponseRecorder, status int, code string) string {
	s.t.Helper()
	require.Equalf(s.t, status, w.Code, "%s", w.Body)
	got, text := s.problem(w)
	require.Equalf(s.t, code, got, "%s", w.Body)
	return text
}

// Set posts a registration.
func (s *Server) Set(token, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.Call(token, http.MethodPost, s.Dialect.set(), "", body)
}

// MustSet posts a registration that must be accepted.
func (s *Server) MustSet(token, body string) {
	s.t.Helper()
	s.done(s.Set(token, body))
}

func (s *Server) done(w *httptest.ResponseRecorder) {
	s.t.Helper()
	require.Equalf(s.t, http.StatusOK, w.Code, "%s", w.Body)
	require.Equal(s.t, "{}", strings.TrimSpace(w.Body.String()), "3.3: an app cannot digest an empty body")
}

// List returns the body of GET pushers.
func (s *Server) List(token string) string {
	s.t.Helper()
	w := s.Call(token, http.MethodGet, s.Dialect.pushers(), "", "")
	require.Equal(s.t, http.StatusOK, w.Code)
	return strings.TrimSpace(w.Body.String())
}

// Pushers returns the registrations of GET pushers.
func (s *Server) Pushers(token string) []wire.Pusher {
	s.t.Helper()
	var out wire.PushersResponse
	require.NoError(s.t, json.Unmarshal([]byte(s.List(token)), &out))
	return out.Pushers
}

// Available returns the body of GET channels.
func (s *Server) Available(token string) string {
	s.t.Helper()
	w := s.Call(token, http.MethodGet, s.Dialect.channels(), "", "")
	require.Equal(s.t, http.StatusOK, w.Code)
	return strings.TrimSpace(w.Body.String())
}

// Chosen returns the statuses of GET channels/{pushkey}, in order.
func (s *Server) Chosen(token, pushkey string) string {
	s.t.Helper()
	w := s.Call(token, http.MethodGet, s.Dialect.device(), pushkey, "")
	require.Equalf(s.t, http.StatusOK, w.Code, "%s", w.Body)
	var out wire.ChannelsResponse
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &out))
	var words []string
	for _, ch := range out.Channels {
		words = append(words, string(ch.Status))
	}
	return strings.Join(words, " ")
}

// Choose posts channels, given as id and status in turn.
func (s *Server) Choose(token, pushkey string, pairs ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	var items []string
	for pair := range slices.Chunk(pairs, 2) {
		items = append(items, `{"id":"`+pair[0]+`","status":"`+pair[1]+`"}`)
	}
	return s.Call(token, http.MethodPost, s.Dialect.device(), pushkey, `{"channels":[`+strings.Join(items, ",")+`]}`)
}

const encryption = `{"method":"aes-hmac-sha256","time_iss_created":"2026-07","iss":"` + Secret + `","key_identifier":"5EBB1486-7430-42C0-B9AA-B57CA6C90EA4"}`

// Body returns a complete registration, with some members replaced or, for an empty text, left out. Values are JSON.
func Body(changes ...string) string {
	members := []string{
		"lang", `"de"`, "kind", `"http"`, "app_display_name", `"E-Rezept"`, "device_display_name", `"iPhone"`, "app_id", `"app"`,
		"pushkey", `"key"`, "data", `{"url":"https://gw.example.com/push/v1/"}`, "encryption", encryption,
	}
	return object(members, changes)
}

// Encryption returns the member encryption with one member replaced or left out.
func Encryption(name, value string) string {
	return object([]string{
		"method", `"aes-hmac-sha256"`, "time_iss_created", `"2026-07"`, "iss", `"` + Secret + `"`, "key_identifier", `"kid"`,
	}, []string{name, value})
}

func object(members, changes []string) string {
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

// Gone is the body that deletes what Body registers, as iOS sends it.
func Gone() string { return `{"app_id":"app","pushkey":"key","kind":null}` }
