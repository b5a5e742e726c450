package clientfdtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// operation is one operation of the contract.
type operation struct{ method, path string }

func (d Dialect) operations() []operation {
	return []operation{
		{http.MethodGet, d.pushers()}, {http.MethodPost, d.set()}, {http.MethodGet, d.channels()},
		{http.MethodGet, d.device()}, {http.MethodPost, d.device()},
	}
}

// pathCases are pushkeys in paths (3.1), unknown paths and methods (3.5).
func pathCases() []suiteCase {
	return []suiteCase{
		{"3.3 a pushkey in the path may hold any bytes [O]", func(t *testing.T, s *Server) {
			for _, key := range []string{
				"a/b+c=d:e f", "/", "//", "a%2Fb", "%", "%25", "a,b;c=d", ".", "..", "../pushers", "v1", "set", "?", "#", "ö", "😀", "a&b", "~", `"`, "\\", "a\n", "{pushkey}", ":pushkey", "*",
				"Xp/MzCt8/9DcSNE9cuiaoT5Ac55job3TdLSSmtmYl4A=",
			} {
				text, err := json.Marshal(key)
				require.NoError(t, err)
				s.MustSet(Erika, Body("pushkey", string(text)))
				s.done(s.Choose(Erika, key, "erp.task.activate", "enabled"))
				require.Equal(t, "enabled disabled enabled", s.Chosen(Erika, key), key)
			}
			s.unknown(Erika, "a/b c=d:e f")
			s.unknown(Erika, "a%2fb")
			require.NotContains(t, s.Log.String(), "a/b+c", "pushkeys stay out of the log")
		}},
		{"3.3 bytes that are no pushkey are unknown, not a fault [D]", func(_ *testing.T, s *Server) {
			s.unknown(Erika, "\xff")
			s.unknown(Erika, "\x00")
		}},
		{"A_28114 A_28121 other methods are 405, HEAD too [IG]", func(t *testing.T, s *Server) {
			for _, path := range []string{s.Dialect.pushers(), s.Dialect.set(), s.Dialect.channels(), s.Dialect.device()} {
				for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodHead, http.MethodDelete, http.MethodOptions} {
					s.stray(t, method, path, http.StatusMethodNotAllowed, s.Dialect.code("M_UNRECOGNIZED", "methodNotAllowed"))
				}
			}
			s.stray(t, http.MethodPost, s.Dialect.pushers(), http.StatusMethodNotAllowed, s.Dialect.code("M_UNRECOGNIZED", "methodNotAllowed"))
			s.stray(t, http.MethodGet, s.Dialect.set(), http.StatusMethodNotAllowed, s.Dialect.code("M_UNRECOGNIZED", "methodNotAllowed"))
		}},
		{"3.1 unknown paths are 404 [O]", func(t *testing.T, s *Server) {
			for _, path := range []string{s.Dialect.pushers() + "/x", s.Dialect.pushers() + "/", s.Dialect.set() + "/", s.Dialect.channels() + "/", s.Dialect.device() + "/x"} {
				s.stray(t, http.MethodGet, path, http.StatusNotFound, s.Dialect.code("M_UNRECOGNIZED", "notFound"))
			}
		}},
		{"3.1 both spellings are one registry [D]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			other := *s
			other.Dialect = Erezept()
			if s.Dialect.Erezept {
				other.Dialect = Generic()
			}
			require.Equal(t, s.List(Erika), other.List(Erika))
			other.done(other.Choose(Erika, "key", "erp.task.activate", "enabled"))
			require.Equal(t, "enabled disabled enabled", s.Chosen(Erika, "key"))
		}},
	}
}

// stray sends a request that is no operation.
func (s *Server) stray(t *testing.T, method, path string, status int, code string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, s.Request(Erika, method, path, "key", ""))
	require.Equal(t, status, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	got, _ := s.problem(w)
	require.Equal(t, code, got)
}

// callerCases are section 3.5 about who may call, and what they accept.
func callerCases() []suiteCase {
	return []suiteCase{
		{"3.5 no token, no known token: 401, before the body is read [O]", func(t *testing.T, s *Server) {
			for _, op := range s.Dialect.operations() {
				for value, code := range map[string]string{"": "M_MISSING_TOKEN", "Basic x": "M_MISSING_TOKEN", "Bearer nobody": "M_UNKNOWN_TOKEN", "Bearer " + Matrix: "M_UNKNOWN_TOKEN"} {
					r := s.Request("", op.method, op.path, "key", "")
					r.Body = unread{t}
					r.Header.Set("Authorization", value)
					s.Refuses(s.Serve(r, op.path), http.StatusUnauthorized, s.Dialect.code(code, "invalidAccessToken"))
				}
			}
		}},
		{"3.5 a token in the query does not count here [D]", func(_ *testing.T, s *Server) {
			r := s.Request("", http.MethodGet, s.Dialect.pushers(), "", "")
			r.URL.RawQuery = "access_token=" + Erika
			s.Refuses(s.Serve(r, s.Dialect.pushers()), http.StatusUnauthorized, s.Dialect.code("M_MISSING_TOKEN", "invalidAccessToken"))
		}},
		{"A_28112 A_28113 A_28118 A_28119 A_28120 at E-Rezept only insured persons may call [IG]", func(t *testing.T, s *Server) {
			for _, op := range s.Dialect.operations() {
				r := s.Request(Clinic, op.method, op.path, "key", "")
				if s.Dialect.Erezept {
					r.Body = unread{t}
					s.Refuses(s.Serve(r, op.path), http.StatusForbidden, "invalidOid")
					continue
				}
				require.NotEqual(t, http.StatusForbidden, s.Serve(r, op.path).Code)
			}
		}},
		{"3.5 an Accept that excludes JSON is 406 at E-Rezept [IG]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			for _, op := range s.Dialect.operations() {
				body := map[string]string{s.Dialect.set(): Body(), s.Dialect.device(): `{"channels":[]}`}[op.path]
				for accept, fine := range map[string]bool{
					"application/xml": false, "application/fhir+json": false, "text/html, application/xml;q=0.9": false, "application/json;q=0": false, "*/*, application/json;q=0": false,
					"": true, "*/*": true, "application/json": true, "application/*": true, "text/html, */*;q=0.1": true, "application/json; charset=utf-8": true, "application/xml, application/json": true,
				} {
					r := s.Request(Erika, op.method, op.path, "key", body)
					r.Header.Set("Accept", accept)
					w := s.Serve(r, op.path)
					if fine || !s.Dialect.Erezept {
						require.Equal(t, http.StatusOK, w.Code, accept)
						continue
					}
					s.Refuses(w, http.StatusNotAcceptable, "notAcceptable")
				}
			}
		}},
		{"3.6 any Content-Type will do [D]", func(_ *testing.T, s *Server) {
			for _, media := range []string{"", "application/json; charset=UTF-8", "text/plain"} {
				r := s.Request(Erika, http.MethodPost, s.Dialect.set(), "", Body())
				r.Header["Content-Type"] = []string{media}
				s.done(s.Serve(r, s.Dialect.set()))
			}
		}},
	}
}

// unread is a body that nobody may look at.
type unread struct{ t testing.TB }

// Read fails the test.
func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read before the caller was known")
	return 0, http.ErrBodyNotAllowed
}

// Close does nothing.
func (u unread) Close() error { return nil }
