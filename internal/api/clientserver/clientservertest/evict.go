package clientservertest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// appendCases are section 1.5.
func appendCases() []suiteCase {
	return []suiteCase{
		{"1.5 append absent: the pair of other users goes [S][T sytest]", func(t *testing.T, s *Server) {
			s.MustSet(Bob, Body())
			s.MustSet(Alice, Body())
			require.Empty(t, s.Pushers(Bob))
			require.Len(t, s.Pushers(Alice), 1)
		}},
		{"1.5 append false: the same [S]", func(t *testing.T, s *Server) {
			s.MustSet(Bob, Body())
			s.MustSet(Alice, Body("append", "false"))
			require.Empty(t, s.Pushers(Bob))
		}},
		{"1.5 append true: they stay [S][T sytest]", func(t *testing.T, s *Server) {
			s.MustSet(Bob, Body())
			s.MustSet(Alice, Body("append", "true"))
			require.Len(t, s.Pushers(Bob), 1)
			require.Len(t, s.Pushers(Alice), 1)
		}},
		{"1.5 an update evicts too [S]", func(t *testing.T, s *Server) {
			s.MustSet(Alice, Body())
			s.MustSet(Bob, Body("append", "true"))
			s.MustSet(Alice, Body("lang", `"de"`))
			require.Empty(t, s.Pushers(Bob))
		}},
		{"1.5 append true on one's own pusher is an update [S]", func(t *testing.T, s *Server) {
			s.MustSet(Alice, Body())
			s.MustSet(Alice, Body("append", "true", "lang", `"de"`))
			require.Len(t, s.Pushers(Alice), 1)
		}},
		{"1.5 only the exact pair is evicted [S]", func(t *testing.T, s *Server) {
			s.MustSet(Bob, Body("app_id", `"com.example.app.android"`))
			s.MustSet(Bob, Body("pushkey", `"other"`))
			s.MustSet(Alice, Body())
			require.Len(t, s.Pushers(Bob), 2)
		}},
		{"1.5 deleting takes one's own only, whatever append says [C]", func(t *testing.T, s *Server) {
			s.MustSet(Bob, Body())
			s.MustSet(Alice, Body("append", "true"))
			s.MustSet(Alice, `{"app_id":"com.example.app.ios","pushkey":"key","kind":null,"append":false}`)
			s.MustSet(Alice, `{"app_id":"com.example.app.ios","pushkey":"key","kind":null,"append":true}`)
			require.Empty(t, s.Pushers(Alice))
			require.Len(t, s.Pushers(Bob), 1)
		}},
		{"1.5 two users who race for a pair leave one [D]", func(t *testing.T, s *Server) {
			race(t, s, Body(), Alice, Bob, Alice2, Bob, Alice, Bob)
			require.Equal(t, 1, len(s.Pushers(Alice))+len(s.Pushers(Bob)))
		}},
		{"1.5 sessions that race for a pusher leave one [D]", func(t *testing.T, s *Server) {
			race(t, s, Body(), Alice, Alice2, Alice, Alice2)
			require.Len(t, s.Pushers(Alice), 1)
		}},
	}
}

// race posts a body with all tokens at the same time.
func race(t *testing.T, s *Server, body string, tokens ...string) {
	t.Helper()
	answers := make([]*httptest.ResponseRecorder, len(tokens))
	var wg sync.WaitGroup
	for i, token := range tokens {
		wg.Go(func() {
			answers[i] = httptest.NewRecorder()
			s.Engine.ServeHTTP(answers[i], Request(token, http.MethodPost, "/pushers/set", body))
		})
	}
	wg.Wait()
	for _, w := range answers {
		require.Equalf(t, http.StatusOK, w.Code, "%s", w.Body)
	}
}
