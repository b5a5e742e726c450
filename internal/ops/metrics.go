package ops

import (
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are all instruments of one process. It implements the observers of internal/api and internal/gateway. It is
// safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	sources  *collector

	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec
	requestBytes   *prometheus.CounterVec

	attempts       *prometheus.CounterVec
	attemptSeconds *prometheus.HistogramVec
	notifications  *prometheus.CounterVec
	alerts         *prometheus.GaugeVec

	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge
}

// Buckets reach as far as the waits do: callers up to attempt_timeout (5 s) and a commit, attempts up to
// provider_timeout (15 s, more if configured). The client library's defaults end at 10 s.
func requestBuckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 7.5, 10}
}

func attemptBuckets() []float64 {
	return []float64{.005, .01, .025, .05, .075, .1, .25, .5, 1, 2.5, 5, 10, 15, 20, 30}
}

// NewMetrics returns the instruments of a process of the given version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), sources: newCollector()}
	m.requests = counters("requests_total", "HTTP requests by operation of the contract and status.", "operation", "status")
	m.requestSeconds = histograms("request_duration_seconds", "Time from a request's header to the end of its answer.", requestBuckets(), "operation")
	m.requestBytes = counters("request_body_bytes_total", "Bytes of request bodies, as far as they were read.", "operation")
	m.attempts = counters("attempts_total",
		"Requests to push services. result: delivered, rejected, retry, fault_message, fault_config, panic. reason: the service's word for it.",
		"app", "provider", "result", "reason")
	m.attemptSeconds = histograms("attempt_duration_seconds", "Time of one request to a push service.", attemptBuckets(), "provider", "result")
	m.notifications = counters("notifications_total",
		"What became of one device's notification. Final: delivered, rejected, dead_lettered, expired. Not final: queued, retried, suppressed, refused.",
		"app", "provider", "state", "reason")
	m.alerts = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "alert",
		Help: "1 while something asks for a person: paused, guard_held, breaker_open, queue_full, store_failed, orphaned, clock.",
	}, []string{"app", "alert"})
	m.reloadOK = gauge("config_last_reload_successful", "1 when the configuration in use is the file's, 0 when the last reload was refused.")
	m.reloadTime = gauge("config_last_reload_success_timestamp_seconds", "When the configuration in use was loaded.")
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of this process.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(
		m.requests, m.requestSeconds, m.requestBytes, m.attempts, m.attemptSeconds, m.notifications, m.alerts,
		m.reloadOK, m.reloadTime, build, m.sources,
		goCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

const namespace = "pushgate"

// goCollector adds to the usual numbers of a Go process how much of its CPU time collects garbage.
func goCollector() prometheus.Collector {
	return collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
		collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/cpu/classes/gc/total:cpu-seconds$`)}))
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

// ObserveRequest implements the observer of internal/api.
func (m *Metrics) ObserveRequest(operation string, status int, took time.Duration, bytes int64) {
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.requestSeconds.WithLabelValues(operation).Observe(took.Seconds())
	m.requestBytes.WithLabelValues(operation).Add(float64(max(bytes, 0)))
}

// Attempt implements the observer of internal/gateway: one request to a push service has ended.
func (m *Metrics) Attempt(app, kind, result, reason string, took time.Duration) {
	m.attempts.WithLabelValues(app, kind, result, reason).Inc()
	m.attemptSeconds.WithLabelValues(kind, result).Observe(took.Seconds())
}

// Final implements the observer of internal/gateway: this became of one device's notification.
func (m *Metrics) Final(app, kind, state, reason string) {
	m.notifications.WithLabelValues(app, kind, state, reason).Inc()
}

// Alert implements the observer of internal/gateway.
func (m *Metrics) Alert(app, what string, on bool) {
	m.alerts.WithLabelValues(app, what).Set(number(on))
}

// Reloaded tells whether the configuration was taken. The first load at start counts as one.
func (m *Metrics) Reloaded(ok bool, at time.Time) {
	m.reloadOK.Set(number(ok))
	if ok {
		m.reloadTime.Set(seconds(at))
	}
}

// Handler serves the metrics in the text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError, // one odd metric must not hide all others
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

func number(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// seconds is a time as Prometheus likes it.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
