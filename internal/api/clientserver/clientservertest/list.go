package clientservertest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// listCases are section 1.1, and what sets leave behind (1.2, 1.6, 1.7).
func listCases() []suiteCase {
	return []suiteCase{
		{"1.1 no pushers are an empty array [S]", func(t *testing.T, s *Server) {
			require.Equal(t, `{"pushers":[]}`, s.List(Alice))
		}},
		{"1.1 the list is the user's: every session sees all, nobody else any [S]", func(t *testing.T, s *Server) {
			s.MustSet(Alice, Body())
			s.MustSet(Alice2, Body("pushkey", `"other"`))
			require.Len(t, s.Pushers(Alice), 2)
			require.Equal(t, s.List(Alice), s.List(Alice2))
			require.Empty(t, s.Pushers(Bob))
		}},
		{"1.1 every member comes back, profile_tag only when given, and no others [S]", func(t *testing.T, s *Server) {
			s.MustSet(Alice, Body("append", "true"))
			require.JSONEq(t, `{"pushers":[{"kind":"http","app_id":"com.example.app.ios","pushkey":"key","app_display_name":"Example",
				"device_display_name":"Phone","lang":"en","data":{"url":"https://push.example.com/_matrix/push/v1/notify"}}]}`, s.List(Alice))
			s.MustSet(Alice, Body("profile_tag", `""`))
			require.Contains(t, s.List(Alice), `"profile_tag":""`)
			s.MustSet(Alice, Body("profile_tag", `"xyz"`))
			require.Contains(t, s.List(Alice), `"profile_tag":"xyz"`)
		}},
		{"1.1 data comes back whole, custom members and digits included [S][T sytest 06]", func(t *testing.T, s *Server) {
			data := `{"url":"https://push.example.com/_matrix/push/v1/notify","format":"id_event_only","org.matrix.msc4076.disable_badge_count":true,` +
				`"n":[12345678901234567890,1.10,1E5,-0],"nested":{"a":null,"":{}},"Url":"x","default_payload":{"aps":{"mutable-content":1}}}`
			s.MustSet(Alice, Body("data", data))
			require.Contains(t, s.List(Alice), `"data":`+data)
		}},
		{"1.2 three verbs, each answered {}: create, update, delete [S]", func(t *testing.T, s *Server) {
			s.MustSet(Alice, Body())
			s.MustSet(Alice, Body("lang", `"de"`))
			list := s.Pushers(Alice)
			require.Len(t, list, 1)
			require.Equal(t, "de", list[0].Lang)
			s.MustSet(Alice, Gone())
			require.Empty(t, s.Pushers(Alice))
		}},
		{"1.6 an update replaces the whole pusher, data is not merged [S]", func(t *testing.T, s *Server) {
			s.MustSet(Alice, Body("profile_tag", `"x"`, "data", `{"url":"https://push.example.com/_matrix/push/v1/notify","format":"event_id_only","a":1}`))
			s.MustSet(Alice2, Body("app_display_name", `"New"`, "device_display_name", `"Tablet"`, "lang", `"fr"`))
			require.JSONEq(t, `{"pushers":[{"kind":"http","app_id":"com.example.app.ios","pushkey":"key","app_display_name":"New",
				"device_display_name":"Tablet","lang":"fr","data":{"url":"https://push.example.com/_matrix/push/v1/notify"}}]}`, s.List(Alice))
		}},
		{"1.7 deleting what is not there is 200 [C], twice too", func(_ *testing.T, s *Server) {
			s.MustSet(Alice, Gone())
			s.MustSet(Alice, Body())
			s.MustSet(Alice, Gone())
			s.MustSet(Alice, Gone())
		}},
		{"1.5 identity is the tuple: app_id and pushkey are compared byte for byte [S]", func(t *testing.T, s *Server) {
			for _, pair := range [][2]string{{`"a:b"`, `"c"`}, {`"a"`, `"b:c"`}, {`"A"`, `"b:c"`}, {`"a"`, `"B:c"`}, {`"a"`, `"b:c "`}, {`"\u00e4"`, `"c"`}, {`"a\u0308"`, `"c"`}} {
				s.MustSet(Alice, Body("app_id", pair[0], "pushkey", pair[1]))
			}
			require.Len(t, s.Pushers(Alice), 7)
			s.MustSet(Alice, `{"app_id":"a","pushkey":"b:c","kind":null}`)
			require.Len(t, s.Pushers(Alice), 6)
		}},
	}
}

// setCases are what pushers/set accepts (1.2, 1.3).
func setCases() []suiteCase {
	accepted := map[string]string{
		"1.3 pushkey of 512 bytes [S]":                        Body("pushkey", `"`+strings.Repeat("x", 512)+`"`),
		"1.3 pushkey of 256 two-byte characters [S]":          Body("pushkey", `"`+strings.Repeat("ö", 256)+`"`),
		"1.3 app_id of 64 characters of four bytes [S]":       Body("app_id", `"`+strings.Repeat("😀", 64)+`"`),
		"1.3 a lang of any length [S], which broke Synapse":   Body("lang", `"`+strings.Repeat("x", 5000)+`"`),
		"1.3 empty names [S]":                                 Body("app_display_name", `""`, "device_display_name", `""`, "lang", `""`),
		"1.3 an unknown data.format [T sytest 06]":            Body("data", `{"url":"https://push.example.com/_matrix/push/v1/notify","format":"id_event_only"}`),
		"1.3 data.url with a port [S]":                        Body("data", `{"url":"https://push.example.com:8443/_matrix/push/v1/notify"}`),
		"1.2 profile_tag and append are optional [S], null":   Body("profile_tag", "null", "append", "null"),
		"1.2 members nobody knows [S]":                        Body("encryption", `{"iss":1}`, "enabled", "false", "org.matrix.msc3881.enabled", "true"),
		"1.2 kind null needs app_id and pushkey only [S] 1.6": Gone(),
		"1.2 kind null with nulls beside it [D]":              `{"app_id":"a","pushkey":"b","kind":null,"lang":null,"data":null,"app_display_name":null,"device_display_name":null}`,
		"1.4 white space around the body [S]":                 " \n" + Body() + "\t\r\n",
		"1.5 append true [S]":                                 Body("append", "true"),
	}
	var cases []suiteCase
	for name, body := range accepted {
		cases = append(cases, suiteCase{name, func(t *testing.T, s *Server) {
			s.MustSet(Alice, body)
			s.MustSet(Alice, body)
			if !strings.Contains(body, `"kind":null`) {
				require.Len(t, s.Pushers(Alice), 1)
			}
		}})
	}
	return cases
}
