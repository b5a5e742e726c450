package clientfdtest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const defaults = "not_set disabled enabled"

// channelCases are section 3.4.
func channelCases() []suiteCase {
	return []suiteCase{
		{"3.4 every configured channel with its default, in order [D]", func(t *testing.T, s *Server) {
			require.Equal(t, `{"channels":[{"id":"erp.task.activate","status":"not_set"},{"id":"erp.task.accept","status":"disabled"},`+
				`{"id":"erp.communication.new","status":"enabled"}]}`, s.Available(Erika))
		}},
		{"A_27193 a registration brings a list, of each device its own [T]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			s.MustSet(Erika, Body("pushkey", `"other"`))
			s.done(s.Choose(Erika, "other", "erp.task.accept", "enabled"))
			require.Equal(t, defaults, s.Chosen(Erika, "key"))
			require.Equal(t, "not_set enabled enabled", s.Chosen(Erika, "other"))
			require.Contains(t, s.Available(Erika), `{"id":"erp.task.accept","status":"disabled"}`)
		}},
		{"3.4 a POST changes only what it lists [O]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			s.done(s.Choose(Erika, "key", "erp.task.activate", "enabled"))
			s.done(s.Choose(Erika, "key", "erp.task.accept", "enabled"))
			require.Equal(t, "enabled enabled enabled", s.Chosen(Erika, "key"))
			s.done(s.Choose(Erika, "key"))
			require.Equal(t, "enabled enabled enabled", s.Chosen(Erika, "key"))
			s.done(s.Choose(Erika, "key", "erp.communication.new", "disabled"))
			require.Equal(t, "enabled enabled disabled", s.Chosen(Erika, "key"))
		}},
		{"3.4 not_set can be set, also where the default is another [O]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			s.done(s.Choose(Erika, "key", "erp.task.activate", "enabled", "erp.communication.new", "not_set"))
			s.done(s.Choose(Erika, "key", "erp.task.activate", "not_set"))
			require.Equal(t, "not_set disabled not_set", s.Chosen(Erika, "key"))
		}},
		{"3.4 of one listed twice the last counts [D]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			s.done(s.Choose(Erika, "key", "erp.task.activate", "enabled", "erp.task.activate", "disabled"))
			require.Equal(t, "disabled disabled enabled", s.Chosen(Erika, "key"))
		}},
		{"3.3 an update keeps the choices [O]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			s.done(s.Choose(Erika, "key", "erp.task.activate", "enabled"))
			s.MustSet(Erika, Body("lang", `"en"`))
			require.Equal(t, "enabled disabled enabled", s.Chosen(Erika, "key"))
		}},
		{"A_27197-01 the list goes with the registration [T]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			s.done(s.Choose(Erika, "key", "erp.task.activate", "enabled"))
			s.MustSet(Erika, Gone())
			s.unknown(Erika, "key")
			s.MustSet(Erika, Body())
			require.Equal(t, defaults, s.Chosen(Erika, "key"))
		}},
		{"A_28530 nobody sees or changes another's channels [IG]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			s.unknown(Max, "key")
			s.MustSet(Max, Body("append", "true"))
			s.done(s.Choose(Max, "key", "erp.task.activate", "enabled"))
			require.Equal(t, defaults, s.Chosen(Erika, "key"))
		}},
		{"3.4 whoever takes over a device takes no choices over [D]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			s.done(s.Choose(Erika, "key", "erp.task.activate", "enabled"))
			s.MustSet(Max, Body())
			require.Equal(t, defaults, s.Chosen(Max, "key"))
			s.unknown(Erika, "key")
		}},
		{"3.4 what is refused changes nothing at all [I]", refusedChannels},
	}
}

// unknown fails the test unless the person has no such device.
func (s *Server) unknown(token, pushkey string) {
	s.t.Helper()
	status := http.StatusBadRequest
	if s.Dialect.Erezept {
		status = http.StatusNotFound
	}
	code := s.Dialect.code("M_INVALID_PARAM", "notFound")
	s.Refuses(s.Call(token, http.MethodGet, s.Dialect.device(), pushkey, ""), status, code)
	s.Refuses(s.Choose(token, pushkey, "erp.task.activate", "enabled"), status, code)
	s.Refuses(s.Choose(token, pushkey), status, code)
}

func refusedChannels(t *testing.T, s *Server) {
	s.MustSet(Erika, Body())
	const first = `{"id":"erp.task.activate","status":"enabled"},`
	for name, c := range map[string]refused{
		"an unknown channel [I]":  {`{"channels":[` + first + `{"id":"erp.task.unknown","status":"enabled"}]}`, "M_INVALID_PARAM", "invalidParameter", "unknown channel"},
		"another case [D]":        {`{"channels":[` + first + `{"id":"ERP.task.accept","status":"enabled"}]}`, "M_INVALID_PARAM", "invalidParameter", "unknown channel"},
		"an unknown state [I]":    {`{"channels":[` + first + `{"id":"erp.task.accept","status":"on"}]}`, "M_INVALID_PARAM", "malformedRequest", "status"},
		"a state as boolean [O]":  {`{"channels":[` + first + `{"id":"erp.task.accept","status":true}]}`, "M_INVALID_PARAM", "malformedRequest", "status"},
		"a null state [O]":        {`{"channels":[` + first + `{"id":"erp.task.accept","status":null}]}`, "M_INVALID_PARAM", "malformedRequest", "status"},
		"no state [O]":            {`{"channels":[` + first + `{"id":"erp.task.accept"}]}`, "M_MISSING_PARAM", "malformedRequest", "status"},
		"no id [O]":               {`{"channels":[` + first + `{"status":"enabled"}]}`, "M_MISSING_PARAM", "malformedRequest", "id"},
		"the draft's members [O]": {`{"channels":[{"name":"erp.task.accept","value":"enabled"}]}`, "M_MISSING_PARAM", "malformedRequest", ""},
		"no channels [O]":         {`{}`, "M_MISSING_PARAM", "malformedRequest", "channels"},
		"channels null [O]":       {`{"channels":null}`, "M_INVALID_PARAM", "malformedRequest", "channels"},
		"channels an object [O]":  {`{"channels":{}}`, "M_INVALID_PARAM", "malformedRequest", "channels"},
		"a bare array [O]":        {`[` + strings.TrimSuffix(first, ",") + `]`, "M_BAD_JSON", "malformedRequest", ""},
		"not JSON [IG A430]":      {`{"channels":[`, "M_NOT_JSON", "malformedRequest", ""},
		"no body [IG A430]":       {``, "M_NOT_JSON", "malformedRequest", ""},
	} {
		w := s.Call(Erika, http.MethodPost, s.Dialect.device(), "key", c.body)
		text := s.Refuses(w, http.StatusBadRequest, s.Dialect.code(c.code, c.erezept))
		if s.Dialect.Erezept && c.erezept == "malformedRequest" {
			c.text = "Ungültiger http-Request"
		}
		require.Containsf(t, text, c.text, "%s", name)
		require.Equalf(t, defaults, s.Chosen(Erika, "key"), "%s", name)
	}
}
