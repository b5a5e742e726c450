package notificationservice_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wire "github.com/pushgate/pushgate/gen/notificationservice"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/api/notificationservice"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

const (
	pathNotifications = "/notification-service/v1/notifications"
	pathMatrix        = "/notification-service/v1/matrix-events"
	pathChannels      = "/notification-service/v1/users/{userId}/channels"
)

// service is a Service that remembers what it was asked and answers as told.
type service struct {
	calls    int
	from     dispatch.Sender
	notice   dispatch.Notice
	matrix   dispatch.MatrixNotice
	owner    push.Owner
	inactive bool
	status   dispatch.Status
	err      error
}

func (s *service) receipt() (dispatch.Receipt, error) {
	s.calls++
	if s.err != nil {
		return dispatch.Receipt{}, s.err
	}
	return dispatch.Receipt{ID: "3f0c0d6a-58c6-4f0e-9a3e-0c6f3a1f9f51", Accepted: time.UnixMilli(1795255530123).UTC(), Status: s.status}, nil
}

func (s *service) Submit(_ context.Context, from dispatch.Sender, n dispatch.Notice) (dispatch.Receipt, error) {
	s.from, s.notice = from, n
	return s.receipt()
}

func (s *service) SubmitMatrix(_ context.Context, from dispatch.Sender, n dispatch.MatrixNotice) (dispatch.Receipt, error) {
	s.from, s.matrix = from, n
	return s.receipt()
}

func (s *service) Channels(_ context.Context, from dispatch.Sender, owner push.Owner, inactive bool) (dispatch.Overview, error) {
	s.calls++
	s.from, s.owner, s.inactive = from, owner, inactive
	return dispatch.Overview{Devices: 2, Channels: []pusher.Channel{{ID: "erp.a", Status: pusher.ChannelEnabled}, {ID: "erp.b"}}}, s.err
}

type edge struct {
	t       testing.TB
	engine  *api.Engine
	service *service
	judge   *apitest.Judge
	log     *bytes.Buffer
}

func senders() []dispatch.Sender {
	return []dispatch.Sender{
		{Name: "FD.example.de", Channels: []string{"erp.*"}},
		{Name: "fd.example.de", Channels: []string{"epa.new"}},
		{Name: "gateway-only.example.de"},
	}
}

func newEdge(t testing.TB, change func(*notificationservice.Options)) *edge {
	t.Helper()
	e := &edge{t: t, service: &service{status: dispatch.StatusAccepted}, judge: apitest.NewJudge(t, wire.GetSpec), log: &bytes.Buffer{}}
	o := notificationservice.Options{Service: e.service, Senders: senders()}
	if change != nil {
		change(&o)
	}
	a, err := notificationservice.New(o)
	require.NoError(t, err)
	e.engine, err = api.New(api.Options{Logger: slog.New(slog.NewJSONHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	require.NoError(t, err)
	require.NoError(t, e.engine.Mount(a))
	return e
}

// certified gives the request a verified client certificate with these names.
func certified(r *http.Request, names ...string) *http.Request {
	leaf := &x509.Certificate{DNSNames: names}
	r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}
	return r
}

// do serves a request and holds the answer against the contract.
func (e *edge) do(r *http.Request) *httptest.ResponseRecorder {
	e.t.Helper()
	w := httptest.NewRecorder()
	e.engine.ServeHTTP(w, r)
	path := r.URL.Path
	if strings.HasSuffix(path, "/channels") {
		path = pathChannels
	}
	e.judge.Answer(e.t, r.Method, path, w)
	return w
}

func (e *edge) post(path, body string) *httptest.ResponseRecorder {
	e.t.Helper()
	return e.do(certified(apitest.Post(path, body), "fd.example.de"))
}

func notification(members string) string {
	return `{"user":{"id_type":"kvnr","value":"X110411675"},"channel":"erp.a","payload":{"n":9007199254740993,"f":1.10}` + members + `}`
}
