package pushgateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/api/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
)

const invalid = "Invalid data format"

// plainWith returns a body whose notification has these members besides its device.
func plainWith(members string) string {
	return `{"notification":{` + members + `,"devices":[{"app_id":"app","pushkey":"key"}]}}`
}

// deviceWith returns a body whose device has these members.
func deviceWith(members string) string { return `{"notification":{"devices":[{` + members + `}]}}` }

func TestNotify_AcceptsAndRefusesByTheContract(t *testing.T) {
	t.Parallel()
	const ok, bad = http.StatusOK, http.StatusBadRequest
	for name, c := range map[string]struct {
		body            string
		matrix, gematik int
	}{
		"smallest":                     {validBody(pathNotify), ok, ok},
		"unknown members":              {`{"x":1,"notification":{"y":{},"devices":[{"app_id":"a","pushkey":"k","z":[]}]}}`, ok, ok},
		"no prio":                      {plainWith(`"event_id":"$e"`), ok, ok},
		"prio low":                     {plainWith(`"prio":"low"`), ok, ok},
		"prio null":                    {plainWith(`"prio":null`), ok, bad},
		"prio of another kind":         {plainWith(`"prio":"medium"`), bad, bad},
		"prio in capitals":             {plainWith(`"prio":"High"`), bad, bad},
		"event_id null":                {plainWith(`"event_id":null`), ok, bad},
		"event_id number":              {plainWith(`"event_id":1`), bad, bad},
		"type null":                    {plainWith(`"type":null`), ok, bad},
		"membership":                   {plainWith(`"membership":"invite"`), ok, ok},
		"user_is_target null":          {plainWith(`"user_is_target":null`), ok, bad},
		"user_is_target text":          {plainWith(`"user_is_target":"true"`), bad, bad},
		"content null":                 {plainWith(`"content":null`), ok, bad},
		"content text":                 {plainWith(`"content":"x"`), bad, bad},
		"content list":                 {plainWith(`"content":[]`), bad, bad},
		"counts null":                  {plainWith(`"counts":null`), ok, bad},
		"counts empty":                 {plainWith(`"counts":{}`), ok, ok},
		"counts zero":                  {plainWith(`"counts":{"unread":0,"missed_calls":0}`), ok, ok},
		"unread null":                  {plainWith(`"counts":{"unread":null}`), ok, bad},
		"unread text":                  {plainWith(`"counts":{"unread":"1"}`), bad, bad},
		"unread fraction":              {plainWith(`"counts":{"unread":1.5}`), bad, bad},
		"unread written 1.0":           {plainWith(`"counts":{"unread":1.0}`), bad, bad},
		"unread beyond 64 bits":        {plainWith(`"counts":{"unread":12345678901234567890}`), bad, bad},
		"unread beyond all":            {plainWith(`"counts":{"unread":1e999}`), bad, bad},
		"notification missing":         {`{}`, bad, bad},
		"notification null":            {`{"notification":null}`, bad, bad},
		"notification list":            {`{"notification":[]}`, bad, bad},
		"notification by another case": {`{"Notification":{"devices":[{"app_id":"a","pushkey":"k"}]}}`, bad, bad},
		"devices missing":              {`{"notification":{}}`, bad, bad},
		"devices null":                 {`{"notification":{"devices":null}}`, bad, bad},
		"devices empty":                {`{"notification":{"devices":[]}}`, bad, bad},
		"devices object":               {`{"notification":{"devices":{}}}`, bad, bad},
		"device null":                  {`{"notification":{"devices":[null]}}`, bad, bad},
		"device text":                  {`{"notification":{"devices":["x"]}}`, bad, bad},
		"one bad device of two":        {`{"notification":{"devices":[{"app_id":"a","pushkey":"k"},{"app_id":"a"}]}}`, bad, bad},
		"1000 devices":                 {devices(1000), ok, ok},
		"1001 devices":                 {devices(1001), bad, bad},
		"app_id missing":               {deviceWith(`"pushkey":"k"`), bad, bad},
		"app_id null":                  {deviceWith(`"app_id":null,"pushkey":"k"`), bad, bad},
		"pushkey missing":              {deviceWith(`"app_id":"a"`), bad, bad},
		"pushkey number":               {deviceWith(`"app_id":"a","pushkey":1`), bad, bad},
		"pushkey by another case":      {deviceWith(`"app_id":"a","Pushkey":"k"`), bad, bad},
		"pushkey_ts null":              {deviceWith(`"app_id":"a","pushkey":"k","pushkey_ts":null`), ok, bad},
		"pushkey_ts text":              {deviceWith(`"app_id":"a","pushkey":"k","pushkey_ts":"1"`), bad, bad},
		"data null":                    {deviceWith(`"app_id":"a","pushkey":"k","data":null`), ok, bad},
		"data empty":                   {deviceWith(`"app_id":"a","pushkey":"k","data":{}`), ok, ok},
		"data list":                    {deviceWith(`"app_id":"a","pushkey":"k","data":[]`), bad, bad},
		"data.format number":           {deviceWith(`"app_id":"a","pushkey":"k","data":{"format":1}`), bad, bad},
		"data.format null":             {deviceWith(`"app_id":"a","pushkey":"k","data":{"format":null}`), ok, bad},
		"tweaks null":                  {deviceWith(`"app_id":"a","pushkey":"k","tweaks":null`), ok, bad},
		"tweaks text":                  {deviceWith(`"app_id":"a","pushkey":"k","tweaks":"x"`), bad, bad},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, nil)
			for path, want := range map[string]int{pathMatrix: c.matrix, pathNotify: c.gematik} {
				calls := e.gateway.calls
				w := e.post(path, c.body)
				require.Equalf(t, want, w.Code, "%s: %s", path, w.Body)
				require.Equal(t, want == ok, e.gateway.calls > calls, "delivered")
				if want == bad && path == pathNotify {
					require.JSONEq(t, `{"error":"Invalid data format"}`, w.Body.String())
				}
			}
		})
	}
}

func devices(n int) string {
	return `{"notification":{"devices":[` + strings.Repeat(`{"app_id":"a","pushkey":"k"},`, n-1) + `{"app_id":"a","pushkey":"k"}]}}`
}

func TestEncryptedBatch_AcceptsAndRefusesByTheContract(t *testing.T) {
	t.Parallel()
	item := func(change ...string) string {
		return `{"notifications":[` + strings.NewReplacer(change...).Replace(sealedItem("a")) + `]}`
	}
	for name, c := range map[string]struct {
		body string
		ok   bool
	}{
		"smallest":                     {item(), true},
		"all members":                  {item(`"device"`, `"identifier":"x","prio":"low","counts":{"unread":1},"device"`), true},
		"ciphertext one short":         {item(ciphertext(), ciphertext()[1:]), false},
		"ciphertext one long":          {item(ciphertext(), ciphertext()+"A"), false},
		"ciphertext of wide letters":   {item(ciphertext(), strings.Repeat("é", 1404)), true}, // characters, not bytes; the app's decoder judges
		"ciphertext missing":           {item(`"ciphertext"`, `"cipher"`), false},
		"ciphertext shadowed":          {item(`"ciphertext"`, `"Ciphertext":"x","ciphertext"`), true},
		"ciphertext by another case":   {item(`"ciphertext"`, `"Ciphertext"`), false},
		"month missing":                {item(`"time_message_encrypted"`, `"x"`), false},
		"month is free text":           {item(`2026-07`, `soon`), true},
		"key_identifier missing":       {item(`"key_identifier"`, `"x"`), false},
		"device missing":               {item(`"device"`, `"x"`), false},
		"devices instead of device":    {item(`"device":{"app_id":"app","pushkey":"key-a"}`, `"devices":[{"app_id":"app","pushkey":"key-a"}]`), false},
		"identifier null":              {item(`"device"`, `"identifier":null,"device"`), false},
		"counts null":                  {item(`"device"`, `"counts":null,"device"`), false},
		"data null":                    {item(`"pushkey"`, `"data":null,"pushkey"`), false},
		"id of 64 characters":          {item(`"id":"a"`, `"id":"`+strings.Repeat("ö", 64)+`"`), true},
		"id of 65 characters":          {item(`"id":"a"`, `"id":"`+strings.Repeat("x", 65)+`"`), false},
		"id empty":                     {item(`"id":"a"`, `"id":""`), true},
		"id missing":                   {item(`"id":"a",`, ``), false},
		"id number":                    {item(`"id":"a"`, `"id":1`), false},
		"notification missing":         {`{"notifications":[{"id":"a"}]}`, false},
		"empty batch":                  {`{"notifications":[]}`, false},
		"notifications missing":        {`{}`, false},
		"notifications null":           {`{"notifications":null}`, false},
		"notifications object":         {`{"notifications":{"a":1}}`, false},
		"a single notification's form": {validBody(pathNotify), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, nil)
			w := e.post(pathEncrypted, c.body)
			if c.ok {
				require.Equalf(t, http.StatusOK, w.Code, "body: %s", w.Body)
				return
			}
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.JSONEq(t, `{"error":"Invalid data format"}`, w.Body.String())
			require.Zero(t, e.gateway.calls)
		})
	}
}

func TestEncryptedBatch_TheCheckedCiphertextIsTheOneThatIsSent(t *testing.T) {
	t.Parallel()
	for _, shadow := range []string{"Ciphertext", "CIPHERTEXT", "cipherText"} {
		e := newEdge(t, nil)
		for _, body := range []string{
			strings.Replace(validBody(pathEncrypted), `"ciphertext"`, `"`+shadow+`":"x","ciphertext"`, 1),
			strings.Replace(validBody(pathEncrypted), `"key_identifier"`, `"`+shadow+`":"x","key_identifier"`, 1),
		} {
			require.Equal(t, http.StatusOK, e.post(pathEncrypted, body).Code)
			require.Equal(t, ciphertext(), e.gateway.got[0].Sealed.Ciphertext.Reveal())
		}
	}
}

func TestBody_WhatIsNotJSONIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ change func(string) string }{
		"empty":                {func(string) string { return "" }},
		"text":                 {func(string) string { return "hello" }},
		"null":                 {func(string) string { return "null" }},
		"number":               {func(string) string { return "1" }},
		"list":                 {func(b string) string { return "[" + b + "]" }},
		"cut":                  {func(b string) string { return b[:len(b)-1] }},
		"trailing brace":       {func(b string) string { return b + "}" }},
		"trailing value":       {func(b string) string { return b + "{}" }},
		"trailing NUL":         {func(b string) string { return b + "\x00" }},
		"byte order mark":      {func(b string) string { return "\ufeff" + b }},
		"UTF-16":               {func(b string) string { return "\xff\xfe" + strings.Join(strings.Split(b, ""), "\x00") }},
		"invalid UTF-8":        {func(b string) string { return strings.Replace(b, `"app"`, "\"app\xff\"", 1) }},
		"invalid in unknown":   {func(b string) string { return strings.Replace(b, `{`, "{\"x\":\"\xff\",", 1) }},
		"NaN":                  {func(b string) string { return strings.Replace(b, `{`, `{"x":NaN,`, 1) }},
		"duplicate member":     {func(b string) string { return strings.Replace(b, `"app_id":`, `"app_id":"x","app_id":`, 1) }},
		"duplicate by escape":  {func(b string) string { return strings.Replace(b, `"app_id":`, `"\u0061pp_id":"x","app_id":`, 1) }},
		"duplicate in unknown": {func(b string) string { return strings.Replace(b, `{`, `{"x":{"y":1,"y":1},`, 1) }},
		"duplicate in data": {func(b string) string {
			return strings.Replace(b, `"app_id":`, `"data":{"a":1,"a":2},"app_id":`, 1)
		}},
		"10,000 deep": {func(b string) string {
			return strings.Replace(b, `"app_id":`, `"data":`+strings.Repeat(`{"a":`, 10_000)+"1"+strings.Repeat("}", 10_000)+`,"app_id":`, 1)
		}},
		"10,000 deep in unknown": {func(b string) string {
			return strings.Replace(b, `{`, `{"x":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+",", 1)
		}},
		"100,000 objects": {func(b string) string {
			return strings.Replace(b, `"devices":[`, `"devices":[`+strings.Repeat("{},", 100_000), 1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, nil)
			for _, path := range paths() {
				body := c.change(validBody(path))
				if body == validBody(path) {
					continue // the encrypted batch has no list of devices
				}
				text := invalid
				if path == pathMatrix {
					text = `"errcode":"M_`
				}
				e.refuses(apitest.Post(path, body), http.StatusBadRequest, text)
			}
		})
	}
}

func TestMatrix_ErrorCodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, want string }{
		"not JSON":        {`{`, `{"errcode":"M_NOT_JSON","error":"The request body is not valid JSON."}`},
		"duplicate":       {`{"a":1,"a":1}`, `{"errcode":"M_BAD_JSON","error":"The request body cannot be accepted: duplicate member."}`},
		"not an object":   {`[]`, `{"errcode":"M_BAD_JSON","error":"The request body must be a JSON object."}`},
		"missing":         {`{"notification":{}}`, `{"errcode":"M_MISSING_PARAM","error":"Missing: /notification/devices"}`},
		"wrong type":      {deviceWith(`"app_id":"a","pushkey":1`), `{"errcode":"M_INVALID_PARAM","error":"Not valid: /notification/devices/0/pushkey"}`},
		"does not fit":    {deviceWith(`"app_id":"a","pushkey":"k","pushkey_ts":1.0`), `{"errcode":"M_INVALID_PARAM","error":"A member has a value outside its range."}`},
		"nesting":         {strings.Repeat("[", 100), `{"errcode":"M_BAD_JSON","error":"The request body cannot be accepted: nested too deeply."}`},
		"device missing ": {`{"notification":{"devices":[]}}`, `{"errcode":"M_INVALID_PARAM","error":"Not valid: /notification/devices"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEdge(t, nil).post(pathMatrix, c.body)
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.JSONEq(t, c.want, w.Body.String())
		})
	}
}

func TestMediaType(t *testing.T) {
	t.Parallel()
	for given, gematikOK := range map[string]bool{
		"application/json": true, "application/json; charset=utf-8": true, "Application/JSON": true, "application/json;charset=UTF-8": true,
		"": false, "text/plain": false, "application/x-www-form-urlencoded": false, "multipart/form-data; boundary=x": false,
		"application/jsonp": false, "application/problem+json": false, "application/json;;": false, "nonsense": false,
	} {
		t.Run(given, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, nil)
			for _, path := range paths() {
				r := apitest.Post(path, validBody(path))
				r.Header.Set("Content-Type", given)
				if gematikOK || path == pathMatrix {
					require.Equal(t, http.StatusOK, e.do(r).Code, path)
					continue
				}
				e.refuses(r, http.StatusBadRequest, invalid)
			}
		})
	}
}

func TestContentEncoding_CompressedBodiesAreRefusedUnread(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"gzip", "GZIP", "br", "deflate", "zstd", "identity, gzip", "x"} {
		e := newEdge(t, nil)
		for _, path := range paths() {
			r := httptest.NewRequest(http.MethodPost, path, untouched{t})
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Content-Encoding", coding)
			if path == pathMatrix {
				e.refuses(r, http.StatusUnsupportedMediaType, "M_UNKNOWN")
				continue
			}
			e.refuses(r, http.StatusBadRequest, invalid)
		}
	}
	e := newEdge(t, nil)
	r := apitest.Post(pathNotify, validBody(pathNotify))
	r.Header.Set("Content-Encoding", "identity")
	require.Equal(t, http.StatusOK, e.do(r).Code)
}

// untouched is a body that nobody may read.
type untouched struct{ t testing.TB }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, http.ErrBodyReadAfterClose
}

func TestBodySize(t *testing.T) {
	t.Parallel()
	pad := func(body string, size int) string { return body + strings.Repeat(" ", size-len(body)) }
	for path, want := range map[string]string{
		pathMatrix:    `{"errcode":"M_TOO_LARGE","error":"The request body is too large."}`,
		pathNotify:    `{"error":"Notification object is too large.","details":{"max_request_size_kb":256}}`,
		pathBatch:     `{"error":"Batch request payload is too large.","details":{"max_request_size_kb":256}}`,
		pathEncrypted: `{"error":"Batch request payload is too large.","details":{"max_request_size_kb":256}}`,
	} {
		for name, chunked := range map[string]bool{"with Content-Length": false, "chunked": true} {
			t.Run(path+"/"+name, func(t *testing.T) {
				t.Parallel()
				e := newEdge(t, func(o *pushgateway.Options, _ *api.Options) { o.MaxRequestKB = 256 })
				post := func(size int) *httptest.ResponseRecorder {
					r := apitest.Post(path, pad(validBody(path), size))
					if chunked {
						r.ContentLength = -1
					}
					return e.do(r)
				}
				require.Equal(t, http.StatusOK, post(256<<10).Code, "exactly the limit")
				for _, size := range []int{256<<10 + 1, 2 << 20} {
					w := post(size)
					require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
					require.JSONEq(t, want, w.Body.String())
					require.Equal(t, "close", w.Header().Get("Connection"))
				}
				require.Equal(t, 1, e.gateway.calls)
			})
		}
	}
}

// One request must not make us read a megabyte a thousand times.
func TestNotify_AnEventTooLargeForSoManyDevices(t *testing.T) {
	t.Parallel()
	body := func(size, n int) string {
		return `{"notification":{"event_id":"$e","content":{"body":"` + strings.Repeat("x", size) + `"},` + strings.TrimPrefix(devices(n), `{"notification":{`)
	}
	for path, want := range map[string]string{
		pathMatrix: `{"errcode":"M_TOO_LARGE","error":"Too large an event for so many devices."}`,
		pathNotify: `{"error":"Notification object is too large.","details":{"max_request_size_kb":1024}}`,
	} {
		e := newEdge(t, nil)
		for _, ok := range []string{body(64<<10, 250), body(1000, 1000), body(1<<19, 30), body(1<<20-200, 1)} {
			require.Equal(t, http.StatusOK, e.post(path, ok).Code)
		}
		calls := e.gateway.calls
		for _, bad := range []string{body(64<<10, 260), body(1<<19, 40), body(900_000, 1000)} {
			w := e.post(path, bad)
			require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
			require.JSONEq(t, want, w.Body.String())
		}
		require.Equal(t, calls, e.gateway.calls, "something was delivered")
	}
}

func TestBodyBudget_OverloadIs503(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(_ *pushgateway.Options, o *api.Options) { o.MaxInFlightBytes = int64(len(validBody(pathNotify))) })
	for range 3 {
		require.Equal(t, http.StatusOK, e.post(pathNotify, validBody(pathNotify)).Code, "the budget is given back")
	}
	for _, path := range paths() {
		w := e.post(path, validBody(path)+" "+strings.Repeat(" ", 100))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
	}
	require.Equal(t, http.StatusOK, e.post(pathNotify, validBody(pathNotify)).Code, "also after a refusal")
}

func TestBatch_FourTextsInTheirOrder(t *testing.T) {
	t.Parallel()
	large := func(path string) string { // a valid item that is over 1 KB, and one that is not
		return strings.Replace(batchOf(path, "big", "small"), `"pushkey"`, `"data":{"x":"`+strings.Repeat("x", 3000)+`"},"pushkey"`, 1)
	}
	hundred := numbered(100)
	for name, c := range map[string]struct {
		body func(path string) string
		want string
	}{
		"100 items":      {func(p string) string { return batchOf(p, hundred...) }, ""},
		"101 items":      {func(p string) string { return batchOf(p, append([]string{"one more"}, hundred...)...) }, `{"error":"Batch size exceeds maximum limit","details":{"max_batch_size":100}}`},
		"101 with twins": {func(p string) string { return batchOf(p, append([]string{hundred[0]}, hundred...)...) }, `{"error":"Batch size exceeds maximum limit","details":{"max_batch_size":100}}`},
		"101 with a bad one": {func(p string) string {
			return strings.Replace(batchOf(p, append([]string{"one more"}, hundred...)...), `"app_id"`, `"x"`, 1)
		}, `{"error":"Invalid data format"}`},
		"same id":               {func(p string) string { return batchOf(p, "a", "b", "a", "c", "c", "a") }, `{"error":"Duplicate notification IDs in batch","details":{"duplicate_ids":["a","c"]}}`},
		"identical items":       {func(p string) string { return batchOf(p, "a", "a") }, `{"error":"Duplicate notification IDs in batch","details":{"duplicate_ids":["a"]}}`},
		"same id, one bad":      {func(p string) string { return strings.Replace(batchOf(p, "a", "a"), `"app_id"`, `"x"`, 1) }, `{"error":"Invalid data format"}`},
		"too large":             {large, `{"error":"Individual notification too large","details":{"max_notification_size_kb":2}}`},
		"too large and same id": {func(p string) string { return strings.ReplaceAll(large(p), `"id":"small"`, `"id":"big"`) }, `{"error":"Duplicate notification IDs in batch","details":{"duplicate_ids":["big"]}}`},
		"ids differ by case":    {func(p string) string { return batchOf(p, "a", "A") }, ""},
	} {
		for _, path := range []string{pathBatch, pathEncrypted} {
			t.Run(name+path, func(t *testing.T) {
				t.Parallel()
				e := newEdge(t, func(o *pushgateway.Options, _ *api.Options) { o.MaxNotificationKB = 2 })
				w := e.post(path, c.body(path))
				if c.want == "" {
					require.Equalf(t, http.StatusOK, w.Code, "body: %s", w.Body)
					return
				}
				require.Equal(t, http.StatusBadRequest, w.Code)
				require.JSONEq(t, c.want, w.Body.String())
				require.Zero(t, e.gateway.calls)
			})
		}
	}
}

func TestBatch_NotificationOfExactlyTheLimit(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(o *pushgateway.Options, _ *api.Options) { o.MaxNotificationKB = 2 })
	const around = `{"devices":[{"app_id":"a","pushkey":"k","data":{"x":""}}]}`
	body := func(size int) string {
		n := strings.Replace(around, `""`, `"`+strings.Repeat("x", size-len(around))+`"`, 1)
		return `{"notifications":[{"id":"a","notification": ` + n + ` }]}`
	}
	require.Equal(t, http.StatusOK, e.post(pathBatch, body(2048)).Code)
	require.Equal(t, http.StatusBadRequest, e.post(pathBatch, body(2049)).Code)
}

func TestUnrecognized(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/", 404}, {http.MethodPost, "/", 404}, {http.MethodPost, "/_matrix/push/v1/notify/", 404},
		{http.MethodPost, "/_matrix/push/v1/notifyx", 404}, {http.MethodPost, "/_matrix/push/v1/", 404}, {http.MethodPost, "//push/v1/notify", 404},
		{http.MethodPost, "/push/v1/notifyEncrypted", 404}, {http.MethodPost, "/push/v1/NOTIFY", 404}, {http.MethodPost, "/push/v1/notify%2Fbatch", 404},
		{http.MethodGet, pathMatrix, 405}, {http.MethodPut, pathMatrix, 405}, {http.MethodDelete, pathNotify, 405}, {http.MethodPatch, pathBatch, 405},
		{http.MethodOptions, pathEncrypted, 405}, {http.MethodHead, pathNotify, 405}, {"NONSENSE", pathNotify, 405},
	} {
		t.Run(c.method+c.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(c.method, "http://gw.example"+c.path, strings.NewReader(validBody(pathNotify)))
			e.engine.ServeHTTP(w, r)
			e.judge.Unrecognized(t, c.status, w)
			if c.status == http.StatusMethodNotAllowed {
				require.Equal(t, "POST", w.Header().Get("Allow"))
			}
		})
	}
	require.Zero(t, e.gateway.calls)
}

func TestFamilies_CanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	noMatrix := newEdge(t, func(o *pushgateway.Options, _ *api.Options) { o.Matrix = false })
	require.Equal(t, http.StatusNotFound, noMatrix.post(pathMatrix, validBody(pathMatrix)).Code)
	require.Equal(t, http.StatusOK, noMatrix.post(pathNotify, validBody(pathNotify)).Code)
	noGematik := newEdge(t, func(o *pushgateway.Options, _ *api.Options) { o.Gematik = false })
	require.Equal(t, http.StatusOK, noGematik.post(pathMatrix, validBody(pathMatrix)).Code)
	for _, path := range []string{pathNotify, pathBatch, pathEncrypted} {
		require.Equal(t, http.StatusNotFound, noGematik.post(path, validBody(path)).Code)
	}
}

func TestNew_RefusesBadOptions(t *testing.T) {
	t.Parallel()
	_, err := pushgateway.New(pushgateway.Options{Matrix: true})
	require.ErrorContains(t, err, "no deliverer")
	_, err = pushgateway.New(pushgateway.Options{Deliverer: &gateway{}, MaxRequestKB: 255})
	require.ErrorContains(t, err, "256")
	_, err = api.New(api.Options{TrustedProxies: []string{"nonsense"}})
	require.Error(t, err)
}

func TestCaller_PathOfEachOperation(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	for _, path := range paths() {
		require.Equal(t, http.StatusOK, e.post(path, validBody(path)).Code)
		want := push.Caller{Path: push.PathGematik}
		if path == pathMatrix {
			want.Path = push.PathMatrix
		}
		require.Equal(t, want, e.gateway.caller)
	}
}
