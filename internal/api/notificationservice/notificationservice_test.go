package notificationservice_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/api/notificationservice"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
)

func TestSubmit_PassesOnWhatWasSaid(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	r := certified(apitest.Post(pathNotifications, notification(`,"prio":"high","reference":"ref-1"`)), "fd.example.de")
	r.Header.Set("Idempotency-Key", "key-1")
	w := e.do(r)
	require.Equal(t, http.StatusAccepted, w.Code)
	require.JSONEq(t, `{"notification_id":"3f0c0d6a-58c6-4f0e-9a3e-0c6f3a1f9f51","channel":"erp.a","status":"accepted","accepted_at":"2026-11-21T10:05:30.123Z"}`, w.Body.String())
	n := e.service.notice
	require.Equal(t, push.RealmFachdienst, n.Owner.Realm)
	require.Equal(t, "kvnr:X110411675", n.Owner.User.Reveal())
	require.Equal(t, "erp.a", n.Channel)
	require.Equal(t, push.High, n.Priority)
	require.Equal(t, `{"n":9007199254740993,"f":1.10}`, string(n.Payload))
	require.Equal(t, push.NewText("ref-1"), n.Reference)
	require.Equal(t, "key-1", n.Key)
	require.Equal(t, dispatch.Sender{Name: "fd.example.de", Channels: []string{"erp.*", "epa.new"}}, e.service.from)
}

func TestSubmit_NormalIsTheDefaultAndLow(t *testing.T) {
	t.Parallel()
	for _, members := range []string{``, `,"prio":"normal"`} {
		e := newEdge(t, nil)
		require.Equal(t, http.StatusAccepted, e.post(pathNotifications, notification(members)).Code)
		require.Equal(t, push.Low, e.service.notice.Priority)
		require.False(t, e.service.notice.Reference.Present())
		require.Empty(t, e.service.notice.Key)
	}
}

func TestSubmit_StatusWords(t *testing.T) {
	t.Parallel()
	for status, word := range map[dispatch.Status]string{
		dispatch.StatusAccepted: "accepted", dispatch.StatusQueued: "queued", dispatch.StatusNoActiveChannel: "no_active_channel",
	} {
		e := newEdge(t, nil)
		e.service.status = status
		require.Contains(t, e.post(pathNotifications, notification("")).Body.String(), `"status":"`+word+`"`)
		require.Contains(t, e.post(pathMatrix, `{"user_id":"@a:b","counts":{"unread":0}}`).Body.String(), `"status":"`+word+`"`)
	}
}

func TestCaller(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		names  []string // nil: no certificate
		status int
		code   string
	}{
		{"no certificate", nil, http.StatusUnauthorized, "UNAUTHENTICATED"},
		{"unknown name", []string{"evil.example.de"}, http.StatusForbidden, "FORBIDDEN"},
		{"a sender without channels", []string{"gateway-only.example.de"}, http.StatusForbidden, "FORBIDDEN"},
		{"a name is no suffix", []string{"x.fd.example.de"}, http.StatusForbidden, "FORBIDDEN"},
		{"a certificate without names", []string{}, http.StatusForbidden, "FORBIDDEN"},
		{"one of several names, in any case", []string{"other", "Fd.Example.De"}, http.StatusAccepted, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []*http.Request{
				apitest.Post(pathNotifications, notification("")),
				apitest.Post(pathMatrix, `{"user_id":"@a:b","counts":{"unread":0}}`),
				httptest.NewRequest(http.MethodGet, "/notification-service/v1/users/X1/channels?id_type=kvnr", nil),
			} {
				e := newEdge(t, nil)
				if tt.names != nil {
					r = certified(r, tt.names...)
				}
				w := e.do(r)
				want := tt.status
				if want == http.StatusAccepted && r.Method == http.MethodGet {
					want = http.StatusOK
				}
				require.Equal(t, want, w.Code)
				require.Contains(t, w.Body.String(), tt.code)
				require.Equal(t, tt.code == "", e.service.calls == 1)
			}
		})
	}
}

// A certificate that was presented but not verified is none.
func TestCaller_UnverifiedCertificate(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	r := certified(apitest.Post(pathNotifications, notification("")), "fd.example.de")
	r.TLS.PeerCertificates, r.TLS.VerifiedChains = r.TLS.VerifiedChains[0], nil
	require.Equal(t, http.StatusUnauthorized, e.do(r).Code)
	require.Zero(t, e.service.calls)
}

func TestCaller_AnybodyIsForDev(t *testing.T) {
	t.Parallel()
	e := newEdge(t, func(o *notificationservice.Options) { o.Anybody, o.Senders = true, nil })
	require.Equal(t, http.StatusAccepted, e.do(apitest.Post(pathNotifications, notification(""))).Code)
	require.True(t, e.service.from.May("whatever"))
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		status int
		code   string
		retry  string
	}{
		{&push.Error{Kind: push.NotFound, Code: dispatch.CodeUserNotFound, Msg: "m"}, 404, "USER_NOT_FOUND", ""},
		{&push.Error{Kind: push.Invalid, Code: dispatch.CodeUnknown, Msg: "m"}, 422, "UNKNOWN_CHANNEL", ""},
		{&push.Error{Kind: push.Invalid, Code: dispatch.CodeKeyReused, Msg: "m"}, 422, "IDEMPOTENCY_KEY_REUSED", ""},
		{&push.Error{Kind: push.Invalid, Code: dispatch.CodeInvalid, Msg: "m"}, 400, "INVALID_PARAM", ""},
		{&push.Error{Kind: push.TooLarge, Code: dispatch.CodeTooLarge, Msg: "m"}, 413, "PAYLOAD_TOO_LARGE", ""},
		{&push.Error{Kind: push.Forbidden, Code: dispatch.CodeForbidden, Msg: "m"}, 403, "FORBIDDEN", ""},
		{&push.Error{Kind: push.Limited, RetryAfter: time.Second}, 429, "RATE_LIMITED", "1"},
		{&push.Error{Kind: push.Unavailable, Code: dispatch.CodeUnavailable, Msg: "m", RetryAfter: 90 * time.Second}, 503, "SERVICE_UNAVAILABLE", "90"},
		{errors.New("planted secret"), 500, "INTERNAL_ERROR", ""},
		{&push.Error{Kind: push.Internal, Code: "planted secret", Msg: "planted secret"}, 500, "INTERNAL_ERROR", ""},
	} {
		e := newEdge(t, nil)
		e.service.err = tt.err
		for _, w := range []*httptest.ResponseRecorder{e.post(pathNotifications, notification("")), e.post(pathMatrix, `{"user_id":"@a:b","counts":{}}`)} {
			require.Equal(t, tt.status, w.Code)
			require.Contains(t, w.Body.String(), `"errorCode":"`+tt.code+`"`)
			require.Equal(t, tt.retry, w.Header().Get("Retry-After"))
			require.NotContains(t, w.Body.String(), "planted")
		}
	}
}

func TestSubmit_RefusesWhatBreaksTheContract(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"not JSON":             `{`,
		"no user":              `{"channel":"erp.a","payload":{}}`,
		"an unknown id_type":   `{"user":{"id_type":"x","value":"1"},"channel":"erp.a","payload":{}}`,
		"an empty value":       `{"user":{"id_type":"kvnr","value":""},"channel":"erp.a","payload":{}}`,
		"no channel":           `{"user":{"id_type":"kvnr","value":"1"},"payload":{}}`,
		"no payload":           `{"user":{"id_type":"kvnr","value":"1"},"channel":"erp.a"}`,
		"payload null":         `{"user":{"id_type":"kvnr","value":"1"},"channel":"erp.a","payload":null}`,
		"payload is a list":    `{"user":{"id_type":"kvnr","value":"1"},"channel":"erp.a","payload":[]}`,
		"low is no priority":   notification(`,"prio":"low"`),
		"a long reference":     notification(`,"reference":"` + strings.Repeat("x", 129) + `"`),
		"a member twice":       notification(`,"channel":"erp.b"`),
		"Channel is not it":    `{"user":{"id_type":"kvnr","value":"1"},"Channel":"erp.a","payload":{}}`,
		"a member twice below": `{"user":{"id_type":"kvnr","value":"1"},"channel":"erp.a","payload":{"a":1,"a":2}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, nil)
			w := e.post(pathNotifications, body)
			require.Equalf(t, http.StatusBadRequest, w.Code, "%s", w.Body)
			require.Contains(t, w.Body.String(), `"errorCode":"INVALID_PARAM"`)
			require.Zero(t, e.service.calls)
		})
	}
}

func TestSubmit_Sizes(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	body := strings.Replace(notification(""), `"f":1.10`, `"f":"`+strings.Repeat("x", 3<<10)+`"`, 1)
	require.Equal(t, http.StatusAccepted, e.post(pathNotifications, body).Code, "3 KB must pass the edge")
	w := e.post(pathNotifications, strings.Replace(body, "x", strings.Repeat("x", 64<<10), 1))
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Contains(t, w.Body.String(), "PAYLOAD_TOO_LARGE")
	r := certified(apitest.Post(pathNotifications, notification("")), "fd.example.de")
	r.Header.Set("Content-Encoding", "gzip")
	require.Equal(t, http.StatusUnsupportedMediaType, e.do(r).Code)
	long := certified(apitest.Post(pathNotifications, notification("")), "fd.example.de")
	long.Header.Set("Idempotency-Key", strings.Repeat("k", 65))
	require.Equal(t, http.StatusBadRequest, e.do(long).Code)
}

func TestMatrixEvent(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	w := e.post(pathMatrix, `{"user_id":"@bob:b","event_id":"$e","room_id":"!r","type":"m.room.message","sender":"@a:b","sender_display_name":"A",
		"room_name":"R","room_alias":"#r","membership":"join","user_is_target":true,"prio":"low","content":{"n":1.10},"counts":{"unread":0,"missed_calls":3},"tweaks":{"sound":"bing"}}`)
	require.Equal(t, http.StatusAccepted, w.Code)
	require.NotContains(t, w.Body.String(), "channel")
	n := e.service.matrix
	require.Equal(t, "@bob:b", n.User.Reveal())
	require.Equal(t, push.Low, n.Priority)
	require.Equal(t, push.Event{
		ID: push.NewText("$e"), RoomID: push.NewText("!r"), Type: push.NewText("m.room.message"), Sender: push.NewText("@a:b"),
		SenderDisplayName: push.NewText("A"), RoomName: push.NewText("R"), RoomAlias: push.NewText("#r"), Membership: push.NewText("join"),
		UserIsTarget: true, Content: push.Object(`{"n":1.10}`),
	}, *n.Event)
	require.EqualValues(t, 0, *n.Counts.Unread)
	require.EqualValues(t, 3, *n.Counts.MissedCalls)
	require.Equal(t, `{"sound":"bing"}`, string(n.Tweaks))

	require.Equal(t, http.StatusAccepted, e.post(pathMatrix, `{"user_id":"@bob:b","counts":{"unread":5}}`).Code)
	require.True(t, e.service.matrix.Event.ID.Empty())
	require.Equal(t, push.High, e.service.matrix.Priority)
	require.Nil(t, e.service.matrix.Tweaks)
	for _, body := range []string{`{}`, `{"user_id":""}`, `{"user_id":"@a:b","counts":{"unread":-1}}`, `{"user_id":"@a:b","event_id":""}`, `{"user_id":"@a:b","counts":{"unread":1.5}}`} {
		require.Equal(t, http.StatusBadRequest, e.post(pathMatrix, body).Code, body)
	}
}

func TestChannels(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	get := func(path string) *httptest.ResponseRecorder {
		return e.do(certified(httptest.NewRequest(http.MethodGet, path, nil), "fd.example.de"))
	}
	w := get("/notification-service/v1/users/1-2%2F3/channels?id_type=telematik-id&include_inactive=true")
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"user":{"id_type":"telematik-id","value":"1-2/3"},"has_registered_devices":true,"registered_device_count":2,
		"channels":[{"id":"erp.a","status":"enabled"},{"id":"erp.b","status":"not_set"}]}`, w.Body.String())
	require.Equal(t, "telematik-id:1-2/3", e.service.owner.User.Reveal())
	require.Equal(t, push.RealmFachdienst, e.service.owner.Realm)
	require.True(t, e.service.inactive)
	require.Equal(t, http.StatusOK, get("/notification-service/v1/users/X1/channels?id_type=kvnr").Code)
	require.False(t, e.service.inactive)
	for _, query := range []string{"", "?id_type=x", "?id_type=kvnr&include_inactive=maybe"} {
		require.Equal(t, http.StatusBadRequest, get("/notification-service/v1/users/X1/channels"+query).Code, query)
	}
	e.service.err = &push.Error{Kind: push.NotFound, Code: dispatch.CodeUserNotFound, Msg: "the user has no registered device"}
	require.Equal(t, http.StatusNotFound, get("/notification-service/v1/users/X1/channels?id_type=kvnr").Code)
}

func TestUnrecognized(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodGet, pathNotifications, nil),
		httptest.NewRequest(http.MethodPost, "/notification-service/v1/nothing", nil),
	} {
		w := httptest.NewRecorder()
		e.engine.ServeHTTP(w, r)
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, w.Code)
		require.Contains(t, w.Body.String(), `"errorCode":"NOT_FOUND"`)
	}
}

// Nothing about a person reaches the log, whatever goes wrong.
func TestLog_NamesNobody(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	body := strings.ReplaceAll(notification(`,"reference":"canary"`), "X110411675", "canary")
	e.post(pathNotifications, body)
	e.service.err = errors.New("database away")
	e.post(pathNotifications, strings.Replace(body, `"n":`, `"canary":`, 1))
	e.post(pathNotifications, strings.Replace(body, `"kvnr"`, `"canary"`, 1))
	e.do(certified(httptest.NewRequest(http.MethodGet, "/notification-service/v1/users/canary/channels?id_type=kvnr", nil), "fd.example.de"))
	require.NotEmpty(t, e.log.String())
	require.NotContains(t, e.log.String(), "canary")
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	_, err := notificationservice.New(notificationservice.Options{})
	require.Error(t, err)
	_, err = notificationservice.New(notificationservice.Options{Service: &service{}, MaxRequestKB: 1})
	require.Error(t, err)
}

func FuzzSubmit(f *testing.F) {
	f.Add([]byte(notification(`,"prio":"high"`)))
	f.Add([]byte(notification(`,"Channel":1`)))
	f.Add([]byte(`{"user":{"id_type":"kvnr","value":"\ud800"},"channel":"erp.a","payload":{"\u0000":1e400}}`))
	fuzz(f, pathNotifications)
}

func FuzzMatrixEvent(f *testing.F) {
	f.Add([]byte(`{"user_id":"@a:b","event_id":"$e","room_id":"!r","content":{"a":[1,{}]},"tweaks":null,"counts":{"unread":1.0}}`))
	f.Add([]byte(`{"user_id":"@a:b","counts":{"unread":99999999999999999999}}`))
	fuzz(f, pathMatrix)
}

// fuzz: every body is answered as the contract says, and one that is refused reaches nobody.
func fuzz(f *testing.F, path string) {
	e := newEdge(f, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		e.t = t
		e.log.Reset()
		before := e.service.calls
		w := e.post(path, string(body))
		require.Contains(t, []int{http.StatusAccepted, http.StatusBadRequest, http.StatusRequestEntityTooLarge}, w.Code)
		require.Equal(t, w.Code == http.StatusAccepted, e.service.calls == before+1)
	})
}
