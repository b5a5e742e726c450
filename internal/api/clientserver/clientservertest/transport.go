package clientservertest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// transportCases are sections 1.8 and 1.9: tokens, paths, methods.
func transportCases() []suiteCase {
	return []suiteCase{
		{"1.4 no token is 401 M_MISSING_TOKEN [S]", func(t *testing.T, s *Server) {
			unauthorized(t, s, "M_MISSING_TOKEN", func(*http.Request) {})
		}},
		{"1.4 an unknown token is 401 M_UNKNOWN_TOKEN [S]", func(t *testing.T, s *Server) {
			unauthorized(t, s, "M_UNKNOWN_TOKEN", header("Bearer nobody"))
		}},
		{"1.4 a Fachdienst token is unknown here [D]", func(t *testing.T, s *Server) {
			unauthorized(t, s, "M_UNKNOWN_TOKEN", header("Bearer fd-token"))
		}},
		{"1.4 a malformed header is 401 [S]", func(t *testing.T, s *Server) {
			for _, value := range []string{"Basic YWxpY2U6", "Bearer", "Bearer ", Alice, ""} {
				unauthorized(t, s, "M_MISSING_TOKEN", header(value))
			}
		}},
		{"1.4 a header and a query token are 401 [C]", func(t *testing.T, s *Server) {
			unauthorized(t, s, "M_MISSING_TOKEN", func(r *http.Request) {
				header("Bearer " + Alice)(r)
				r.URL.RawQuery = "access_token=" + Alice
			})
		}},
		{"1.8 the query token works on both operations and reaches no log [S][T sytest]", queryToken},
		{"1.9 unknown paths are 404 M_UNRECOGNIZED [S]", func(t *testing.T, s *Server) {
			for _, path := range []string{"", "/", "/pusher", "/pushers/", "/pushers/set/", "/pushers/set/x", "/Pushers", "/pushers//set"} {
				s.stray(t, http.MethodGet, Base+path, http.StatusNotFound)
			}
			s.stray(t, http.MethodGet, Base+"/%70ushers/other", http.StatusNotFound)
		}},
		{"1.9 wrong methods are 405 M_UNRECOGNIZED [S]", func(t *testing.T, s *Server) {
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
				s.stray(t, method, Base+"/pushers", http.StatusMethodNotAllowed)
			}
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead} {
				s.stray(t, method, Base+"/pushers/set", http.StatusMethodNotAllowed)
			}
		}},
		{"1.9 OPTIONS needs no token and does nothing [S]", func(t *testing.T, s *Server) {
			for _, path := range []string{"/pushers", "/pushers/set", "/unknown"} {
				w := httptest.NewRecorder()
				s.Engine.ServeHTTP(w, Request("", http.MethodOptions, path, Body()))
				require.Equal(t, http.StatusNoContent, w.Code)
				require.Empty(t, w.Body.String())
				requireCORS(t, w)
			}
		}},
		{"1.9 HEAD is GET [C]", func(t *testing.T, s *Server) {
			w := httptest.NewRecorder()
			s.Engine.ServeHTTP(w, Request(Alice, http.MethodHead, "/pushers", ""))
			require.Equal(t, http.StatusOK, w.Code)
			w = httptest.NewRecorder()
			s.Engine.ServeHTTP(w, Request("", http.MethodHead, "/pushers", ""))
			require.Equal(t, http.StatusUnauthorized, w.Code)
		}},
		{"1.9 r0, v1 and v3 are one registry [S]", func(t *testing.T, s *Server) {
			r := Request(Alice, http.MethodPost, "/pushers/set", Body())
			r.URL.Path = "/_matrix/client/r0/pushers/set"
			require.Equal(t, http.StatusOK, s.Serve(r).Code)
			r = Request(Alice, http.MethodGet, "/pushers", "")
			r.URL.Path = "/_matrix/client/v1/pushers"
			w := s.Serve(r)
			requireCORS(t, w)
			require.JSONEq(t, s.List(Alice), w.Body.String())
			require.Contains(t, s.List(Alice), `"pushkey":"key"`)
		}},
		{"1.4 any Content-Type will do [S]", func(t *testing.T, s *Server) {
			for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "nonsense/", "application/json; charset=latin1"} {
				r := Request(Alice, http.MethodPost, "/pushers/set", Body())
				r.Header["Content-Type"] = []string{media}
				require.Equal(t, http.StatusOK, s.Serve(r).Code, media)
			}
		}},
	}
}

func header(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", value) }
}

// unauthorized fails the test unless both operations answer 401 with the code, without reading the body.
func unauthorized(t *testing.T, s *Server, code string, change func(*http.Request)) {
	t.Helper()
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodGet, Base+"/pushers", nil),
		httptest.NewRequest(http.MethodPost, Base+"/pushers/set", unread{t}),
	} {
		change(r)
		w := s.Serve(r)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.Contains(t, w.Body.String(), `"errcode":"`+code+`"`)
		requireCORS(t, w)
	}
}

// unread is a body that nobody may look at.
type unread struct{ t testing.TB }

// Read fails the test.
func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read before the caller was known")
	return 0, http.ErrBodyNotAllowed
}

func queryToken(t *testing.T, s *Server) {
	r := Request("", http.MethodPost, "/pushers/set", Body())
	r.URL.RawQuery = "access_token=" + Alice
	require.Equal(t, http.StatusOK, s.Serve(r).Code)
	r = Request("", http.MethodGet, "/pushers", "")
	r.URL.RawQuery = "access_token=" + Alice
	require.Contains(t, s.Serve(r).Body.String(), `"pushkey":"key"`)
	require.NotContains(t, s.Log.String(), Alice)
}

// stray sends a request that must be answered with M_UNRECOGNIZED.
func (s *Server) stray(t *testing.T, method, target string, status int) {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, r)
	s.Judge.Unrecognized(t, status, w)
	requireCORS(t, w)
}

func requireCORS(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	for name, value := range map[string]string{
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
		"Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization",
	} {
		require.Equal(t, value, w.Header().Get(name))
	}
}
