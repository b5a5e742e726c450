package clientfdtest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// registrationCases are what registrations do to each other (3.3).
func registrationCases() []suiteCase {
	return []suiteCase{
		{"3.1 no registrations are an empty array [O]", func(t *testing.T, s *Server) {
			require.Equal(t, `{"pushers":[]}`, s.List(Erika))
		}},
		{"3.3 what comes back is what was sent, without encryption [O]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			require.JSONEq(t, `{"pushers":[{"kind":"http","app_id":"app","pushkey":"key","app_display_name":"E-Rezept","device_display_name":"iPhone",
				"lang":"de","data":{"url":"https://gw.example.com/push/v1/"}}]}`, s.List(Erika))
		}},
		{"3.3 members of data are kept [O]", func(t *testing.T, s *Server) {
			data := `{"platform":"ios","url":"https://gw.example.com/push/v1/","format":"event_id_only","n":12345678901234567890.10}`
			s.MustSet(Erika, Body("data", data))
			require.Contains(t, s.List(Erika), data)
		}},
		{"3.3 the same triple again is an update, whole [O]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body("profile_tag", `"x"`))
			s.MustSet(Erika, Body("lang", `"en"`))
			list := s.Pushers(Erika)
			require.Len(t, list, 1)
			require.Equal(t, "en", list[0].Lang)
			require.Nil(t, list[0].ProfileTag)
		}},
		{"A_27156 delete, and again, and what never was [T]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Gone())
			s.MustSet(Erika, Body())
			s.MustSet(Erika, Gone())
			s.MustSet(Erika, Gone())
			require.Empty(t, s.Pushers(Erika))
		}},
		{"A_28530 a person sees only their own [IG]", func(t *testing.T, s *Server) {
			s.MustSet(Erika, Body())
			require.Empty(t, s.Pushers(Max))
			s.MustSet(Max, Gone())
			require.Len(t, s.Pushers(Erika), 1)
		}},
		{"3.3 append false removes the pair of other persons, and nothing else [O]", func(t *testing.T, s *Server) {
			s.MustSet(Max, Body())
			s.MustSet(Max, Body("app_id", `"other"`))
			s.MustSet(Max, Body("pushkey", `"other"`))
			s.MustSet(Erika, Body("append", "false"))
			require.Len(t, s.Pushers(Max), 2)
			s.MustSet(Max, Body("append", "true"))
			require.Len(t, s.Pushers(Erika), 1)
			require.Len(t, s.Pushers(Max), 3)
		}},
	}
}

// acceptedCases are registrations that pass (3.3).
func acceptedCases() []suiteCase {
	url := func(u string) string { return Body("data", `{"url":"`+u+`"}`) }
	var cases []suiteCase
	for name, body := range map[string]string{
		"3.3 pushkey of 256 ö [T]":                    Body("pushkey", `"`+strings.Repeat("ö", 256)+`"`),
		"3.3 app_id of 64 ö [T]":                      Body("app_id", `"`+strings.Repeat("ö", 64)+`"`),
		"3.3 pushkey with / + = : and blanks [O]":     Body("pushkey", `"a/b+c=d:e f"`),
		"3.3 url below a prefix [I]":                  url("https://gw.example.com/ios/push/v1/"),
		"3.3 url with the former prefix [I]":          url("https://gw.example.com/_matrix/push/v1/"),
		"3.3 profile_tag and append are optional [O]": Body("profile_tag", `"x"`, "append", "true"),
		"2.1 a chain that begins last year [T]":       Body("encryption", Encryption("time_iss_created", `"2025-12"`)),
		"2.3 key_identifier is opaque [T]":            Body("encryption", Encryption("key_identifier", `"ß / not a UUID"`)),
		"3.3 iss in capital hex [D]":                  Body("encryption", Encryption("iss", `"`+strings.ToUpper(Secret)+`"`)),
		"3.3 members nobody knows [O]":                Body("x", `{"y":1}`),
		"3.3 delete needs three members [O]":          Gone(),
		"3.3 delete with nulls beside it [D]":         `{"app_id":"app","pushkey":"key","kind":null,"data":null,"lang":null,"encryption":null}`,
	} {
		cases = append(cases, suiteCase{name, func(_ *testing.T, s *Server) {
			s.MustSet(Erika, body)
			s.MustSet(Erika, body)
		}})
	}
	return cases
}

// refused is a body and its error: the code in both dialects, and a part of the generic one's text.
type refused struct{ body, code, erezept, text string }

// refusedCases are registrations that do not pass (3.3, 3.5). A body that breaks the contract is malformedRequest at
// E-Rezept (A431); what is judged by the registry has a code of its own there.
func refusedCases() []suiteCase {
	const missing, invalid, malformed = "M_MISSING_PARAM", "M_INVALID_PARAM", "malformedRequest"
	url := func(u string) string { return Body("data", `{"url":`+u+`}`) }
	table := map[string]refused{
		"3.5 no body [IG A431]":                    {"", "M_NOT_JSON", malformed, ""},
		"3.5 not JSON [IG A431]":                   {"{", "M_NOT_JSON", malformed, ""},
		"3.5 an array [IG A431]":                   {"[]", "M_BAD_JSON", malformed, ""},
		"3.5 a member twice [D]":                   {`{"kind":"http",` + Gone()[1:], "M_BAD_JSON", malformed, ""},
		"3.3 an empty object [O]":                  {"{}", missing, malformed, "kind, app_id, app_display_name, device_display_name, pushkey, lang, data, encryption"},
		"3.3 no kind, which must not delete [O]":   {`{"app_id":"app","pushkey":"key"}`, missing, malformed, "kind"},
		"3.3 no app_id [O]":                        {Body("app_id", ""), missing, malformed, "app_id"},
		"3.3 no pushkey [O]":                       {Body("pushkey", ""), missing, malformed, "pushkey"},
		"3.3 no app_display_name [O]":              {Body("app_display_name", ""), missing, "missingParameter", "app_display_name"},
		"3.3 no device_display_name [O]":           {Body("device_display_name", ""), missing, "missingParameter", "device_display_name"},
		"3.3 no lang, no data [O]":                 {Body("lang", "", "data", ""), missing, "missingParameter", "Missing parameters: lang, data"},
		"3.3 data null [O]":                        {Body("data", "null"), missing, "missingParameter", "data"},
		"3.3 no data.url [O]":                      {Body("data", "{}"), missing, "missingParameter", "data.url"},
		"A_28116 no encryption [IG]":               {Body("encryption", ""), missing, "missingParameter", "encryption"},
		"A_28116 encryption null [IG]":             {Body("encryption", "null"), missing, "missingParameter", "encryption"},
		"3.3 no method [O]":                        {Body("encryption", Encryption("method", "")), missing, malformed, "encryption.method"},
		"3.3 no time_iss_created [O]":              {Body("encryption", Encryption("time_iss_created", "")), missing, malformed, "encryption.time_iss_created"},
		"3.3 no iss [O]":                           {Body("encryption", Encryption("iss", "")), missing, malformed, "encryption.iss"},
		"3.3 no key_identifier [O]":                {Body("encryption", Encryption("key_identifier", "")), missing, malformed, "encryption.key_identifier"},
		"3.3 an empty encryption [O]":              {Body("encryption", "{}"), missing, malformed, "encryption.method, encryption.time_iss_created, encryption.iss, encryption.key_identifier"},
		"3.3 another method [O]":                   {Body("encryption", Encryption("method", `"AES-HMAC-SHA256"`)), invalid, malformed, "method"},
		"3.3 a day in time_iss_created [O]":        {Body("encryption", Encryption("time_iss_created", `"2026-07-01"`)), invalid, malformed, "time_iss_created"},
		"3.3 month 13 [O]":                         {Body("encryption", Encryption("time_iss_created", `"2026-13"`)), invalid, malformed, "time_iss_created"},
		"3.3 a month nobody would step from [D]":   {Body("encryption", Encryption("time_iss_created", `"0001-01"`)), invalid, "invalidParameter", "time_iss_created"},
		"3.3 iss of 63 digits [O]":                 {Body("encryption", Encryption("iss", `"`+strings.Repeat("a", 63)+`"`)), invalid, malformed, "iss"},
		"3.3 iss not hex [O]":                      {Body("encryption", Encryption("iss", `"`+strings.Repeat("g", 64)+`"`)), invalid, malformed, "iss"},
		"3.3 iss null [O]":                         {Body("encryption", Encryption("iss", `null`)), invalid, malformed, "iss"},
		"3.3 encryption a list [O]":                {Body("encryption", `[]`), invalid, malformed, "encryption"},
		"3.3 kind email, as every FD refuses [O]":  {Body("kind", `"email"`), invalid, malformed, "kind"},
		"3.3 kind a number [O]":                    {Body("kind", `1`), invalid, malformed, "kind"},
		"3.3 pushkey of 257 ö [T]":                 {Body("pushkey", `"`+strings.Repeat("ö", 257)+`"`), invalid, "invalidParameter", "512 bytes"},
		"3.3 pushkey of 513 letters [T]":           {Body("pushkey", `"`+strings.Repeat("x", 513)+`"`), invalid, malformed, "pushkey"},
		"3.3 app_id of 65 ö [T]":                   {Body("app_id", `"`+strings.Repeat("ö", 65)+`"`), invalid, malformed, "app_id"},
		"3.3 append a string [O]":                  {Body("append", `"false"`), invalid, malformed, "append"},
		"3.3 lang a number [O]":                    {Body("lang", `1`), invalid, malformed, "lang"},
		"3.3 url http [O]":                         {url(`"http://gw.example.com/push/v1/"`), invalid, "invalidParameter", "https"},
		"3.3 url without the last slash [O]":       {url(`"https://gw.example.com/push/v1"`), invalid, "invalidParameter", "path"},
		"3.3 url of the Matrix gateway [O]":        {url(`"https://gw.example.com/_matrix/push/v1/notify"`), invalid, "invalidParameter", "path"},
		"C_12456 a gateway not on the list":        {url(`"https://other.example.com/push/v1/"`), invalid, "invalidParameter", "allowed"},
		"C_12456 another port is another gateway":  {url(`"https://gw.example.com:444/push/v1/"`), invalid, "invalidParameter", "allowed"},
		"C_12456 another prefix likewise":          {url(`"https://gw.example.com/x/push/v1/"`), invalid, "invalidParameter", "allowed"},
		"3.3 url a number [O]":                     {url(`1`), invalid, malformed, "data"},
		"3.3 names are case-sensitive [D]":         {Body("lang", "", "Lang", `"de"`), missing, "missingParameter", "lang"},
		"3.3 deleting without pushkey [O]":         {`{"kind":null,"app_id":"app"}`, missing, malformed, "pushkey"},
		"3.3 deleting with an empty pushkey [D]":   {`{"kind":null,"app_id":"app","pushkey":""}`, invalid, malformed, "pushkey"},
		"3.3 a NUL, which no database keeps [D]":   {Body("lang", `"\u0000"`), invalid, "invalidParameter", "lang"},
		"3.3 key_identifier beyond 512 bytes [D]":  {Body("encryption", Encryption("key_identifier", `"`+strings.Repeat("ö", 300)+`"`)), invalid, "invalidParameter", "key_identifier"},
		"3.3 the secret in a place of its own [D]": {Body("data", `"`+Secret+`"`), invalid, malformed, "data"},
	}
	return []suiteCase{{"refused", func(t *testing.T, s *Server) {
		s.MustSet(Max, Body())
		s.MustSet(Erika, Body("append", "true", "lang", `"fr"`))
		before := []string{s.List(Erika), s.List(Max)}
		for name, c := range table {
			t.Run(name, func(t *testing.T) {
				s := s.In(t)
				text := s.Refuses(s.Set(Erika, c.body), http.StatusBadRequest, s.Dialect.code(c.code, c.erezept))
				if s.Dialect.Erezept && c.erezept == malformed {
					c.text = "Ungültiger http-Request" // A430, A431
				}
				require.Contains(t, text, c.text)
				require.Equal(t, before, []string{s.List(Erika), s.List(Max)}, "a refused request changed something")
			})
		}
	}}}
}
