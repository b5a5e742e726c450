package gatewayclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/gatewayclient"
	"github.com/pushgate/pushgate/internal/push"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is what a gateway got.
type request struct {
	path, query, requestID string
	body                   map[string]any
}

// newGateway serves one answer and remembers the requests.
func newGateway(t *testing.T, status int, header map[string]string, answer string) (url string, got *[]request, client *gatewayclient.Client) {
	t.Helper()
	got = &[]request{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		one := request{path: r.URL.Path, query: r.URL.RawQuery, requestID: r.Header.Get("X-Request-Id")}
		_ = json.Unmarshal(text, &one.body)
		*got = append(*got, one)
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	hc := s.Client()
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(hc.CloseIdleConnections)
	c, err := gatewayclient.New(gatewayclient.Options{HTTP: hc})
	require.NoError(t, err)
	return s.URL, got, c
}

func device() push.Device {
	return push.Device{AppID: "app", Pushkey: "key/+=", PushkeyTS: 1750000000, Data: push.Object(`{"n":9007199254740993}`)}
}

func sealedItem(id string) dispatch.Item {
	return dispatch.Item{ID: id, Notification: push.Notification{Device: device(), Priority: push.Low, Sealed: &push.Sealed{
		Ciphertext: push.NewText("c"), Month: "2026-11", KeyIdentifier: push.NewText("kid"), Identifier: push.NewText("ref"),
	}}}
}

func TestSealed(t *testing.T) {
	t.Parallel()
	url, got, c := newGateway(t, 200, nil, `{"results":[{"id":"2","status":"failed","rejected":["k"],"error":null},{"id":"1","status":"success","rejected":null},{"id":"3","status":"partial"},{"id":"4","status":"new word"}],"summary":null}`)
	results, err := c.Sealed(t.Context(), url+"/ios/push/v1/", []dispatch.Item{sealedItem("1"), sealedItem("2")})
	require.NoError(t, err)
	require.Equal(t, []dispatch.Result{
		{ID: "2", Status: dispatch.ResultFailed, Rejected: []push.Pushkey{"k"}}, {ID: "1", Status: dispatch.ResultSuccess},
		{ID: "3", Status: dispatch.ResultPartial}, {ID: "4", Status: dispatch.ResultFailed},
	}, results)
	r := (*got)[0]
	require.Equal(t, "/ios/push/v1/notifyEncrypted/batch", r.path)
	require.NotEmpty(t, r.requestID)
	text, err := json.Marshal(r.body)
	require.NoError(t, err)
	require.JSONEq(t, `{"notifications":[
		{"id":"1","notification":{"ciphertext":"c","time_message_encrypted":"2026-11","key_identifier":"kid","identifier":"ref","prio":"low","device":{"app_id":"app","pushkey":"key/+=","pushkey_ts":1750000000,"data":{"n":9007199254740993}}}},
		{"id":"2","notification":{"ciphertext":"c","time_message_encrypted":"2026-11","key_identifier":"kid","identifier":"ref","prio":"low","device":{"app_id":"app","pushkey":"key/+=","pushkey_ts":1750000000,"data":{"n":9007199254740993}}}}]}`, string(text))
}

func TestPlain(t *testing.T) {
	t.Parallel()
	url, got, c := newGateway(t, 200, nil, `{"results":[]}`)
	results, err := c.Plain(t.Context(), url+"/push/v1/", []dispatch.Item{{ID: "1", Notification: push.Notification{
		Device: device(), Event: &push.Event{ID: push.NewText("$e"), Type: push.NewText("erp.x"), Content: push.Object(`{"a":1}`)},
	}}})
	require.NoError(t, err)
	require.Empty(t, results)
	require.Equal(t, "/push/v1/notify/batch", (*got)[0].path)
	text, _ := json.Marshal((*got)[0].body)
	require.JSONEq(t, `{"notifications":[{"id":"1","notification":{"event_id":"$e","type":"erp.x","content":{"a":1},"prio":"high","devices":[{"app_id":"app","pushkey":"key/+=","pushkey_ts":1750000000,"data":{"n":9007199254740993}}]}}]}`, string(text))
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	zero := int64(0)
	for answer, want := range map[string][]push.Pushkey{
		`{}`: nil, `{"rejected":null}`: nil, `{"rejected":[]}`: nil, ` {"rejected":["a","b"],"x":1} `: {"a", "b"},
	} {
		url, got, c := newGateway(t, 200, nil, answer)
		rejected, err := c.Matrix(t.Context(), url+"/_matrix/push/v1/notify?tenant=1", push.Notification{
			Device: device(), Counts: push.Counts{Unread: &zero}, Event: &push.Event{},
		})
		require.NoError(t, err)
		require.Equal(t, want, rejected)
		require.Equal(t, "/_matrix/push/v1/notify", (*got)[0].path)
		require.Equal(t, "tenant=1", (*got)[0].query)
		text, _ := json.Marshal((*got)[0].body)
		require.JSONEq(t, `{"notification":{"counts":{"unread":0},"prio":"high","devices":[{"app_id":"app","pushkey":"key/+=","pushkey_ts":1750000000,"data":{"n":9007199254740993}}]}}`, string(text))
	}
}

func callError(t *testing.T, err error) *dispatch.CallError {
	t.Helper()
	e, ok := errors.AsType[*dispatch.CallError](err)
	require.True(t, ok, "%v", err)
	return e
}

// A 200 that cannot be read is a failed attempt: neither delivered nor rejected.
func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{``, `null`, `[]`, `"x"`, `{`, `{} {}`, `<html>`, `{"rejected":"k","results":{}}`, `{"rejected":[1],"results":[{"id":1}]}`, `{"rejected":{},"results":null}`} {
		url, _, c := newGateway(t, 200, nil, answer)
		_, err := c.Sealed(t.Context(), url+"/push/v1/", []dispatch.Item{sealedItem("1")})
		require.Equal(t, 200, callError(t, err).Status, answer)
		_, err = c.Matrix(t.Context(), url+"/_matrix/push/v1/notify", push.Notification{Device: device()})
		require.Equal(t, "broken answer", callError(t, err).Reason, answer)
	}
}

// What cannot be read of one result costs the others nothing: they would ring again.
func TestOddResults(t *testing.T) {
	t.Parallel()
	good := dispatch.Result{ID: "1", Status: dispatch.ResultSuccess}
	for odd, want := range map[string][]dispatch.Result{
		`null`: nil, `7`: nil, `[]`: nil, `{}`: nil, `{"status":"success"}`: nil, `{"id":2,"status":"success"}`: nil, `{"id":"","status":"success"}`: nil,
		`{"id":"2"}`:                                       {{ID: "2"}},
		`{"id":"2","status":1,"rejected":["k"]}`:           {{ID: "2", Rejected: []push.Pushkey{"k"}}},
		`{"id":"2","status":"success","rejected":""}`:      {{ID: "2", Status: dispatch.ResultSuccess}},
		`{"id":"2","status":"success","rejected":{}}`:      {{ID: "2", Status: dispatch.ResultSuccess}},
		`{"id":"2","status":"success","rejected":["k",1]}`: {{ID: "2", Status: dispatch.ResultSuccess}},
		`{"id":"2","status":"failed","Rejected":["k"]}`:    {{ID: "2"}},
		`{"id":"2","Status":"success"}`:                    {{ID: "2"}},
	} {
		url, _, c := newGateway(t, 200, nil, `{"results":[`+odd+`,{"id":"1","status":"success"}]}`)
		results, err := c.Sealed(t.Context(), url+"/push/v1/", []dispatch.Item{sealedItem("1"), sealedItem("2")})
		require.NoError(t, err, odd)
		require.Equal(t, append(want, good), results, odd)
	}
	url, _, c := newGateway(t, 200, nil, `{"Rejected":["k"]}`)
	rejected, err := c.Matrix(t.Context(), url+"/_matrix/push/v1/notify", push.Notification{Device: device()})
	require.NoError(t, err)
	require.Empty(t, rejected, "member names are what they are")
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	for _, tt := range []struct {
		status     int
		retryAfter string
		min, max   time.Duration
	}{
		{503, "7", 7 * time.Second, 7 * time.Second}, {503, date, 80 * time.Second, 91 * time.Second}, {429, " 3 ", 3 * time.Second, 3 * time.Second},
		{500, "", 0, 0}, {400, "-5", 0, 0}, {502, "soon", 0, 0}, {301, "", 0, 0}, {503, "99999999999999", 0, 0},
	} {
		url, got, c := newGateway(t, tt.status, map[string]string{"Retry-After": tt.retryAfter, "Location": "/elsewhere"}, `{"results":[],"rejected":["k"]}`)
		_, err := c.Sealed(t.Context(), url+"/push/v1/", []dispatch.Item{sealedItem("1")})
		e := callError(t, err)
		require.Equal(t, tt.status, e.Status)
		require.GreaterOrEqual(t, e.RetryAfter, tt.min)
		require.LessOrEqual(t, e.RetryAfter, tt.max)
		require.Len(t, *got, 1, "never again, never elsewhere")
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	c, err := gatewayclient.New(gatewayclient.Options{HTTP: &http.Client{}})
	require.NoError(t, err)
	_, err = c.Matrix(t.Context(), url+"/_matrix/push/v1/notify", push.Notification{Device: device()})
	e := callError(t, err)
	require.Zero(t, e.Status)
	require.Equal(t, "connection refused", e.Reason)
	require.NotContains(t, err.Error(), "127.0.0.1")
	for _, bad := range []string{"https://x/other", "::", ""} {
		_, err = c.Matrix(t.Context(), bad, push.Notification{})
		require.Equal(t, "address", callError(t, err).Reason)
		_, err = c.Sealed(t.Context(), bad, nil)
		require.Equal(t, "address", callError(t, err).Reason)
		_, err = c.Plain(t.Context(), bad, nil)
		require.Equal(t, "address", callError(t, err).Reason)
	}
	_, err = gatewayclient.New(gatewayclient.Options{})
	require.Error(t, err)
}

// hangs is a gateway that connects or not, and never answers.
type hangs struct{ connects bool }

func (h hangs) Do(r *http.Request) (*http.Response, error) {
	if h.connects {
		trace(r.Context())
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		connects bool
		reason   string
	}{{false, "connect timeout"}, {true, "timeout"}} {
		c, err := gatewayclient.New(gatewayclient.Options{HTTP: hangs{tt.connects}, ConnectTimeout: 5 * time.Millisecond, Timeout: 50 * time.Millisecond})
		require.NoError(t, err)
		_, err = c.Matrix(t.Context(), "https://x.example/_matrix/push/v1/notify", push.Notification{})
		require.Equal(t, tt.reason, callError(t, err).Reason)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := gatewayclient.New(gatewayclient.Options{HTTP: hangs{true}})
	require.NoError(t, err)
	_, err = c.Matrix(ctx, "https://x.example/_matrix/push/v1/notify", push.Notification{})
	require.Equal(t, "canceled", callError(t, err).Reason)
}

func TestLargeAnswer(t *testing.T) {
	t.Parallel()
	url, _, c := newGateway(t, 200, nil, `{"rejected":["`+strings.Repeat("k", gatewayclient.MaxAnswer)+`"]}`)
	_, err := c.Matrix(t.Context(), url+"/_matrix/push/v1/notify", push.Notification{Device: device()})
	require.Equal(t, "answer too large", callError(t, err).Reason)
}

// Whatever a gateway answers, nothing is rejected that it did not name, and nothing panics.
func FuzzAnswer(f *testing.F) {
	for _, answer := range []string{`{"rejected":["a"]}`, `{"results":[{"id":"1","status":"success","rejected":["a"]}]}`, `{"results":[{"id":"1","rejected":null}],"summary":1}`, `{`} {
		f.Add([]byte(answer))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, err := gatewayclient.New(gatewayclient.Options{HTTP: says(answer)})
		require.NoError(t, err)
		rejected, err := c.Matrix(t.Context(), "https://x.example/_matrix/push/v1/notify", push.Notification{})
		if err == nil {
			require.True(t, json.Valid(answer))
		}
		if len(rejected) > 0 {
			require.Contains(t, strings.ToLower(string(answer)), `rejected`)
		}
		results, err := c.Sealed(t.Context(), "https://x.example/push/v1/", nil)
		if err != nil {
			require.Nil(t, results)
		}
		for _, r := range results {
			require.NotEmpty(t, r.ID)
		}
	})
}

type says []byte

func (s says) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(s)))}, nil
}
