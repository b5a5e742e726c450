package clientservertest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// refused is a body and its error. text must be part of the error's text.
type refused struct{ body, code, text string }

// refusedCases are the 400s of section 1.4. They run while Alice and Bob have the pusher that they are about: a refused
// request changes nothing, evicts nobody and deletes nothing, so one store does for all.
func refusedCases() []suiteCase {
	url := func(u string) string { return Body("data", `{"url":`+u+`}`) }
	table := map[string]refused{
		"1.4 no body":                         {"", "M_NOT_JSON", ""},
		"1.4 not JSON":                        {"{", "M_NOT_JSON", ""},
		"1.4 bad UTF-8":                       {Body("lang", "\"\xff\""), "M_NOT_JSON", ""},
		"1.4 trailing text":                   {Body() + "x", "M_NOT_JSON", ""},
		"1.4 a second value":                  {Body() + Body(), "M_NOT_JSON", ""},
		"1.4 an array":                        {"[" + Body() + "]", "M_BAD_JSON", ""},
		"1.4 null":                            {"null", "M_BAD_JSON", ""},
		"1.4 a string":                        {`"x"`, "M_BAD_JSON", ""},
		"1.4 a number":                        {"1", "M_BAD_JSON", ""},
		"1.4 a member twice [D]":              {`{"kind":"http",` + Gone()[1:], "M_BAD_JSON", ""},
		"1.4 a member of data twice [D]":      {Body("data", `{"url":"https://push.example.com/_matrix/push/v1/notify","a":1,"a":2}`), "M_BAD_JSON", ""},
		"1.4 an empty object":                 {"{}", "M_MISSING_PARAM", "kind, app_id, app_display_name, device_display_name, pushkey, lang, data"},
		"1.2 no kind, which must not delete":  {Body("kind", ""), "M_MISSING_PARAM", "kind"},
		"1.2 no kind, else as if to delete":   {`{"app_id":"com.example.app.ios","pushkey":"key"}`, "M_MISSING_PARAM", "kind"},
		"1.4 no app_id":                       {Body("app_id", ""), "M_MISSING_PARAM", "app_id"},
		"1.4 no pushkey":                      {Body("pushkey", ""), "M_MISSING_PARAM", "pushkey"},
		"1.4 no app_display_name":             {Body("app_display_name", ""), "M_MISSING_PARAM", "app_display_name"},
		"1.4 no device_display_name":          {Body("device_display_name", ""), "M_MISSING_PARAM", "device_display_name"},
		"1.4 no lang":                         {Body("lang", ""), "M_MISSING_PARAM", "lang"},
		"1.4 no data":                         {Body("data", ""), "M_MISSING_PARAM", "data"},
		"1.4 several missing, all named":      {Body("lang", "", "data", ""), "M_MISSING_PARAM", "Missing parameters: lang, data"},
		"1.4 data null":                       {Body("data", "null"), "M_MISSING_PARAM", "data"},
		"1.4 lang null [D]":                   {Body("lang", "null"), "M_MISSING_PARAM", "lang"},
		"1.4 data.url absent":                 {Body("data", "{}"), "M_MISSING_PARAM", "data.url"},
		"1.4 deleting without pushkey":        {`{"kind":null,"app_id":"com.example.app.ios"}`, "M_MISSING_PARAM", "pushkey"},
		"1.4 deleting without app_id":         {`{"kind":null,"pushkey":"key"}`, "M_MISSING_PARAM", "app_id"},
		"1.4 names are case-sensitive":        {Body("lang", "", "Lang", `"en"`), "M_MISSING_PARAM", "lang"},
		"1.4 kind is case-sensitive":          {strings.Replace(Gone(), "kind", "Kind", 1), "M_MISSING_PARAM", "kind"},
		"1.4 data.url is case-sensitive":      {Body("data", `{"Url":"https://push.example.com/_matrix/push/v1/notify"}`), "M_MISSING_PARAM", "data.url"},
		"1.4 kind a number":                   {Body("kind", "1"), "M_INVALID_PARAM", "kind"},
		"1.4 kind a list":                     {Body("kind", `["http"]`), "M_INVALID_PARAM", "kind"},
		"1.4 kind an object":                  {Body("kind", `{}`), "M_INVALID_PARAM", "kind"},
		"1.4 kind false":                      {Body("kind", `false`), "M_INVALID_PARAM", "kind"},
		"1.2 kind email [D]":                  {Body("kind", `"email"`), "M_INVALID_PARAM", "kind"},
		"1.2 kind empty [D]":                  {Body("kind", `""`), "M_INVALID_PARAM", "kind"},
		"1.2 kind HTTP [D]":                   {Body("kind", `"HTTP"`), "M_INVALID_PARAM", "kind"},
		"1.4 app_id a number":                 {Body("app_id", "1"), "M_INVALID_PARAM", "app_id"},
		"1.4 app_id null":                     {Body("app_id", "null"), "M_INVALID_PARAM", "app_id"},
		"1.4 app_id empty [D]":                {Body("app_id", `""`), "M_INVALID_PARAM", "app_id"},
		"1.4 pushkey a list":                  {Body("pushkey", "[]"), "M_INVALID_PARAM", "pushkey"},
		"1.4 pushkey null":                    {Body("pushkey", "null"), "M_INVALID_PARAM", "pushkey"},
		"1.4 pushkey empty [D]":               {Body("pushkey", `""`), "M_INVALID_PARAM", "pushkey"},
		"1.4 pushkey with NUL [D]":            {Body("pushkey", `"a\u0000"`), "M_INVALID_PARAM", "pushkey"},
		"1.4 lang a number":                   {Body("lang", "1"), "M_INVALID_PARAM", "lang"},
		"1.4 app_display_name an object":      {Body("app_display_name", "{}"), "M_INVALID_PARAM", "app_display_name"},
		"1.4 device_display_name true":        {Body("device_display_name", "true"), "M_INVALID_PARAM", "device_display_name"},
		"1.4 profile_tag a number":            {Body("profile_tag", "1"), "M_INVALID_PARAM", "profile_tag"},
		"1.4 append a string":                 {Body("append", `"true"`), "M_INVALID_PARAM", "append"},
		"1.4 append a number":                 {Body("append", "1"), "M_INVALID_PARAM", "append"},
		"1.4 data a number":                   {Body("data", "1"), "M_INVALID_PARAM", "data"},
		"1.4 data a list":                     {Body("data", "[]"), "M_INVALID_PARAM", "data"},
		"1.4 data.url a number":               {url("1"), "M_INVALID_PARAM", "data"},
		"1.4 data.url null":                   {url("null"), "M_INVALID_PARAM", "data"},
		"1.4 data.url empty":                  {url(`""`), "M_INVALID_PARAM", "data.url"},
		"1.4 data.url no URL":                 {url(`"%zz"`), "M_INVALID_PARAM", "data.url"},
		"1.3 data.url http":                   {url(`"http://push.example.com/_matrix/push/v1/notify"`), "M_INVALID_PARAM", "https"},
		"1.3 data.url another scheme":         {url(`"ftp://push.example.com/_matrix/push/v1/notify"`), "M_INVALID_PARAM", "https"},
		"1.3 data.url another path":           {url(`"https://push.example.com/notify"`), "M_INVALID_PARAM", "path"},
		"1.3 data.url without a path":         {url(`"https://push.example.com"`), "M_INVALID_PARAM", "path"},
		"1.3 data.url with one slash more":    {url(`"https://push.example.com/_matrix/push/v1/notify/"`), "M_INVALID_PARAM", "path"},
		"1.3 data.url below a prefix":         {url(`"https://push.example.com/x/_matrix/push/v1/notify"`), "M_INVALID_PARAM", "path"},
		"2.2 data.url an address of ours [D]": {url(`"https://127.0.0.1/_matrix/push/v1/notify"`), "M_INVALID_PARAM", "public"},
		"1.3 pushkey of 513 bytes":            {Body("pushkey", `"`+strings.Repeat("x", 513)+`"`), "M_INVALID_PARAM", "pushkey"},
		"1.3 pushkey of 257 two-byte letters": {Body("pushkey", `"`+strings.Repeat("ö", 257)+`"`), "M_INVALID_PARAM", "512 bytes"},
		"1.3 app_id of 65 characters":         {Body("app_id", `"`+strings.Repeat("x", 65)+`"`), "M_INVALID_PARAM", "app_id"},
	}
	return []suiteCase{{"refused", func(t *testing.T, s *Server) {
		s.MustSet(Bob, Body())
		s.MustSet(Alice, Body("append", "true", "lang", `"fr"`))
		for name, c := range table {
			t.Run(name, func(t *testing.T) {
				s := s.In(t)
				text := s.Refuses(Alice, c.body, http.StatusBadRequest, c.code)
				require.Contains(t, text, c.text)
				require.Len(t, s.Pushers(Bob), 1, "1.5: nobody is evicted before everything is checked")
			})
		}
	}}}
}
