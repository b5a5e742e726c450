package ops_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/gateway"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/ops"
	"github.com/pushgate/pushgate/internal/ops/opstest"
)

var (
	_ api.Observer     = (*ops.Metrics)(nil)
	_ gateway.Observer = (*ops.Metrics)(nil)
	_ ops.Stats        = (*gateway.Gateway)(nil)
	_ ops.Certificates = (*mtls.Server)(nil)
)

// counts is a gateway that stands still.
type counts gateway.Stats

func (c counts) Stats() gateway.Stats { return gateway.Stats(c) }

type certificates mtls.Info

func (c certificates) Info() mtls.Info { return mtls.Info(c) }

func stats() counts {
	return counts{
		Queued: 12, QueueFull: true, OldestAge: 90 * time.Second, DedupEntries: 5, LedgerEntries: 6,
		Account: gateway.Account{Accepted: 100, TakenOver: 1, Delivered: 50, Rejected: 10, DeadLettered: 9, Expired: 8, HandedOver: 7,
			Pending: 17, Superseded: 3, Suppressed: 4, Refused: 2},
		Apps: []gateway.AppStats{
			{App: "com.example.ios", Kind: "apns", InFlight: 3, Waiting: 2, Queued: 11, OldestAge: time.Minute, Breaker: "half-open",
				CertificateExpires: time.Unix(2_000_000_000, 0), TokenIssued: time.Now().Add(-time.Hour)},
			{App: "com.example.*", Kind: "fcm", Breaker: "open", Paused: true, PauseReason: "permission_denied"},
		},
	}
}

func full() *ops.Metrics {
	m := ops.NewMetrics("v1.2.3")
	m.ObserveRequest("matrixNotify", 200, 30*time.Millisecond, 512)
	m.ObserveRequest("matrixNotify", 503, time.Second, 100)
	m.ObserveRequest("unknown", 404, time.Millisecond, -1)
	m.Attempt("com.example.ios", "apns", "rejected", "Unregistered", 25*time.Second)
	m.Final("com.example.ios", "apns", "rejected", "Unregistered")
	m.Alert("com.example.*", "paused", true)
	m.Alert("com.example.ios", "guard_held", true)
	m.Alert("com.example.ios", "guard_held", false)
	m.Reloaded(true, time.Unix(1_700_000_000, 0))
	m.Reloaded(false, time.Unix(1_800_000_000, 0))
	m.WatchGateway(stats())
	m.WatchCertificates("tls", certificates{CertificateExpires: time.Unix(1_900_000_000, 0), CRLIssued: time.Unix(1_600_000_000, 0), CRLExpires: time.Unix(1_650_000_000, 0)})
	m.WatchCertificates("other", certificates{CertificateExpires: time.Unix(1_950_000_000, 0)})
	return m
}

func TestMetrics_WhatAScrapeShows(t *testing.T) {
	t.Parallel()
	text := string(opstest.Scrape(t, full()))
	for _, want := range []string{
		`pushgate_requests_total{operation="matrixNotify",status="200"} 1`,
		`pushgate_requests_total{operation="unknown",status="404"} 1`,
		`pushgate_request_duration_seconds_count{operation="matrixNotify"} 2`,
		`pushgate_request_body_bytes_total{operation="matrixNotify"} 612`,
		`pushgate_request_body_bytes_total{operation="unknown"} 0`,
		`pushgate_attempts_total{app="com.example.ios",provider="apns",reason="Unregistered",result="rejected"} 1`,
		`pushgate_attempt_duration_seconds_bucket{provider="apns",result="rejected",le="20"} 0`,
		`pushgate_attempt_duration_seconds_bucket{provider="apns",result="rejected",le="30"} 1`,
		`pushgate_notifications_total{app="com.example.ios",provider="apns",reason="Unregistered",state="rejected"} 1`,
		`pushgate_alert{alert="paused",app="com.example.*"} 1`,
		`pushgate_alert{alert="guard_held",app="com.example.ios"} 0`,
		`pushgate_config_last_reload_successful 0`,
		`pushgate_config_last_reload_success_timestamp_seconds 1.7e+09`,
		`pushgate_build_info{goversion="go`,
		`pushgate_app_in_flight{app="com.example.ios",provider="apns"} 3`,
		`pushgate_app_waiting{app="com.example.ios",provider="apns"} 2`,
		`pushgate_app_queue_depth{app="com.example.ios",provider="apns"} 11`,
		`pushgate_app_queue_oldest_age_seconds{app="com.example.ios",provider="apns"} 60`,
		`pushgate_app_breaker_state{app="com.example.ios",provider="apns"} 1`,
		`pushgate_app_breaker_state{app="com.example.*",provider="fcm"} 2`,
		`pushgate_app_paused{app="com.example.ios",provider="apns",reason=""} 0`,
		`pushgate_app_paused{app="com.example.*",provider="fcm",reason="permission_denied"} 1`,
		`pushgate_app_certificate_expiry_timestamp_seconds{app="com.example.ios",provider="apns"} 2e+09`,
		`pushgate_app_token_age_seconds{app="com.example.ios",provider="apns"} 36`,
		`pushgate_queue_depth 12`,
		`pushgate_queue_full 1`,
		`pushgate_queue_oldest_age_seconds 90`,
		`pushgate_dedup_entries 5`,
		`pushgate_ledger_entries 6`,
		`pushgate_devices_total{state="accepted"} 100`,
		`pushgate_devices_total{state="taken_over"} 1`,
		`pushgate_devices_total{state="delivered"} 50`,
		`pushgate_devices_total{state="rejected"} 10`,
		`pushgate_devices_total{state="dead_lettered"} 9`,
		`pushgate_devices_total{state="expired"} 8`,
		`pushgate_devices_total{state="handed_over"} 7`,
		`pushgate_devices_total{state="superseded"} 3`,
		`pushgate_devices_total{state="suppressed"} 4`,
		`pushgate_devices_total{state="refused"} 2`,
		`pushgate_devices_pending 17`,
		`pushgate_listener_certificate_expiry_timestamp_seconds{listener="tls"} 1.9e+09`,
		`pushgate_listener_certificate_expiry_timestamp_seconds{listener="other"} 1.95e+09`,
		`pushgate_listener_crl_issued_timestamp_seconds{listener="tls"} 1.6e+09`,
		`pushgate_listener_crl_expiry_timestamp_seconds{listener="tls"} 1.65e+09`,
		`go_goroutines `, `process_open_fds `,
	} {
		require.Contains(t, text, "\n"+want)
	}
	for _, absent := range []string{
		`pushgate_app_certificate_expiry_timestamp_seconds{app="com.example.*"`, `pushgate_app_token_age_seconds{app="com.example.*"`,
		`pushgate_listener_crl_issued_timestamp_seconds{listener="other"}`,
	} {
		require.NotContains(t, text, absent, "what there is not is not shown")
	}
}

func TestMetrics_NamesFollowTheConventions(t *testing.T) {
	t.Parallel()
	problems, err := promlint.New(strings.NewReader(string(opstest.Scrape(t, full())))).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

// TestMetrics_LabelsAreBounded fails when somebody adds a label that is not on the list of words with few values.
func TestMetrics_LabelsAreBounded(t *testing.T) {
	t.Parallel()
	known := []string{"operation", "status", "app", "provider", "result", "reason", "state", "alert", "listener", "version", "goversion", "le", "quantile"}
	for _, m := range regexp.MustCompile(`[{,]([a-z_]+)="`).FindAllStringSubmatch(string(opstest.Scrape(t, full())), -1) {
		require.Contains(t, known, m[1])
	}
}

func TestMetrics_BeforeThereIsAGateway(t *testing.T) {
	t.Parallel()
	text := string(opstest.Scrape(t, ops.NewMetrics("dev")))
	require.NotContains(t, text, "pushgate_queue_depth")
	require.Contains(t, text, `pushgate_build_info`)
}

func TestMetrics_AnAppThatShowsTwiceHidesNothingElse(t *testing.T) {
	t.Parallel()
	m := ops.NewMetrics("dev")
	twice := stats()
	twice.Apps = append(twice.Apps, twice.Apps[0])
	m.WatchGateway(twice)
	m.ObserveRequest("matrixNotify", 200, time.Millisecond, 1)
	require.Contains(t, string(opstest.Scrape(t, m)), `pushgate_requests_total{operation="matrixNotify",status="200"} 1`)
}

func TestMetrics_ConcurrentUse(t *testing.T) {
	t.Parallel()
	m := full()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				m.Attempt("app", "apns", "delivered", "", time.Millisecond)
				m.WatchCertificates(fmt.Sprint(i), certificates{CertificateExpires: time.Unix(1, 0)})
				m.WatchGateway(stats())
			}
		})
	}
	for range 20 {
		opstest.Scrape(t, m)
	}
	all.Wait()
	require.Contains(t, string(opstest.Scrape(t, m)), `pushgate_attempts_total{app="app",provider="apns",reason="",result="delivered"} 1600`)
}

func BenchmarkMetrics_OneNotification(b *testing.B) {
	m := ops.NewMetrics("bench")
	b.ReportAllocs()
	for b.Loop() {
		m.ObserveRequest("matrixNotify", 200, 30*time.Millisecond, 512)
		m.Attempt("com.example.ios", "apns", "delivered", "", 25*time.Millisecond)
		m.Final("com.example.ios", "apns", "delivered", "")
	}
}

var errStore = errors.New("c4n4ry: no connection to postgres://pushgate@db.example")

func get(t *testing.T, h http.Handler, method, path, from string) (int, http.Header, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	if from != "" {
		r.RemoteAddr = from
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	body, err := io.ReadAll(rec.Body)
	require.NoError(t, err)
	return rec.Code, rec.Header(), string(body)
}

func TestAdmin_IsReadOnly(t *testing.T) {
	t.Parallel()
	var j opstest.Journal
	h := ops.AdminHandler(full(), ops.NewHealth(j.Logger()))
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/", "/debug/pprof/symbol", "/nothing"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace, "PURGE"} {
			code, header, _ := get(t, h, method, path, "127.0.0.1:1")
			require.Equal(t, http.StatusMethodNotAllowed, code, "%s %s", method, path)
			require.Equal(t, "GET, HEAD", header.Get("Allow"))
		}
	}
	code, header, _ := get(t, h, http.MethodHead, "/healthz", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	code, _, _ = get(t, h, http.MethodGet, "/nothing", "")
	require.Equal(t, http.StatusNotFound, code)
	code, _, _ = get(t, h, http.MethodGet, "/", "")
	require.Equal(t, http.StatusNotFound, code)
}

func TestAdmin_ProfilesAreForThisMachine(t *testing.T) {
	t.Parallel()
	var j opstest.Journal
	h := ops.AdminHandler(full(), ops.NewHealth(j.Logger()))
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
		for from, want := range map[string]int{
			"127.0.0.1:1": 200, "[::1]:1": 200, "[::ffff:127.0.0.1]:1": 200, "10.0.0.1:1": 403, "192.0.2.1:1": 403, "@": 403, "": 403,
		} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr = from
			r.Header.Set("X-Forwarded-For", "127.0.0.1")
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			require.Equal(t, want, rec.Code, "%s from %q", path, from)
		}
	}
}

func TestAdmin_Health(t *testing.T) {
	t.Parallel()
	var j opstest.Journal
	var storeErr error
	g := stats()
	health := ops.NewHealth(j.Logger(), ops.GatewayCheck(&g), ops.Check{Name: "store", Run: check(&storeErr)})
	h := ops.AdminHandler(full(), health)
	ready := func() (int, string) {
		t.Helper()
		code, header, body := get(t, h, http.MethodGet, "/readyz", "")
		require.Equal(t, "application/json", header.Get("Content-Type"))
		alive, _, text := get(t, h, http.MethodGet, "/healthz", "")
		require.Equal(t, http.StatusOK, alive, "alive whatever happens")
		require.JSONEq(t, `{"alive":true}`, text)
		return code, body
	}

	code, body := ready()
	require.Equal(t, http.StatusServiceUnavailable, code, "not started yet")
	require.Contains(t, body, `"process":{"ok":false}`)

	health.SetReady(true)
	code, body = ready()
	require.Equal(t, http.StatusOK, code, "a paused app and a full queue only inform")
	require.JSONEq(t, `{"ready":true,"checks":{"process":{"ok":true},"store":{"ok":true},"gateway":{"ok":false,"informs":true,"detail":{
		"queued":12,"queue_full":true,"oldest_age_seconds":90,"apps":[
			{"app":"com.example.ios","breaker":"half-open","queued":11},
			{"app":"com.example.*","paused":true,"reason":"permission_denied","breaker":"open","queued":0}]}}}}`, body)

	g.QueueFull, g.Apps = false, []gateway.AppStats{{App: "a", Breaker: "closed"}}
	_, body = ready()
	require.Contains(t, body, `"gateway":{"ok":true,"informs":true,"detail":{"queued":12,"oldest_age_seconds":90}}`)

	storeErr = errStore
	code, body = ready()
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, `"store":{"ok":false}`)
	require.NotContains(t, body, "c4n4ry", "the cause is for the log")
	_, _ = ready()
	require.Equal(t, 1, strings.Count(string(j.Bytes()), "no connection to postgres"), "the cause is logged once, not with every probe")

	storeErr = nil
	code, _ = ready()
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, string(j.Bytes()), "works again")

	health.SetReady(false)
	code, _ = ready()
	require.Equal(t, http.StatusServiceUnavailable, code, "stopping")
}

func TestAdmin_TroubleIsListedUpToALimit(t *testing.T) {
	t.Parallel()
	var g counts
	for i := range 500 {
		g.Apps = append(g.Apps, gateway.AppStats{App: fmt.Sprint("app", i), Paused: true, Breaker: "closed"})
	}
	var j opstest.Journal
	report := ops.NewHealth(j.Logger(), ops.GatewayCheck(g)).Report(t.Context())
	require.False(t, report.Checks["gateway"].OK)
	_, _, body := get(t, ops.AdminHandler(full(), ops.NewHealth(j.Logger(), ops.GatewayCheck(g))), http.MethodGet, "/readyz", "")
	require.Equal(t, 100, strings.Count(body, `"paused":true`))
}

func TestAdminServer_HasLimits(t *testing.T) {
	t.Parallel()
	var j opstest.Journal
	s := ops.AdminServer(full(), ops.NewHealth(j.Logger()))
	for _, limit := range []time.Duration{s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout} {
		require.Positive(t, limit)
	}
	require.Positive(t, s.MaxHeaderBytes)
	require.True(t, slices.IsSorted([]time.Duration{s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout}))
}
