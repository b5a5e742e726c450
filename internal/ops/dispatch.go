package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushgate/pushgate/internal/dispatch"
)

// DispatchMetrics are the instruments of the sending side. It implements dispatch.Observer.
type DispatchMetrics struct {
	events, finals, removed, calls *prometheus.CounterVec
	callSeconds                    *prometheus.HistogramVec
}

var _ dispatch.Observer = (*DispatchMetrics)(nil)

// Dispatcher is what a scrape reads of the sending side.
type Dispatcher interface {
	Load() dispatch.Load
}

// Dispatch adds the instruments of a process that sends. It is called at most once; d may be asked for at any time.
func (m *Metrics) Dispatch(d func() Dispatcher) *DispatchMetrics {
	o := &DispatchMetrics{
		events:      counters("events_total", "Events submitted. state: accepted, queued, no_active_channel, refused, replayed.", "realm", "state"),
		finals:      counters("outbox_total", "How rows of the outbox ended: delivered, rejected, dropped, expired, superseded.", "realm", "state", "reason"),
		removed:     counters("pushers_removed_total", "Pushers removed because a gateway rejected their pushkey.", "realm"),
		calls:       counters("gateway_calls_total", "Calls of gateways. operation: sealed, plain, matrix. result: ok or what went wrong.", "operation", "result"),
		callSeconds: histograms("gateway_call_duration_seconds", "Time of one call of a gateway.", attemptBuckets(), "operation"),
	}
	m.registry.MustRegister(o.events, o.finals, o.removed, o.calls, o.callSeconds)
	load := func(name, help string, value func(dispatch.Load) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, func() float64 {
			now := d()
			if now == nil {
				return 0
			}
			return value(now.Load())
		}))
	}
	load("outbox_rows", "Rows that wait to be sent, as far as this process knows.", func(l dispatch.Load) float64 { return float64(l.Rows) })
	load("outbox_rows_held", "Rows that this process is sending.", func(l dispatch.Load) float64 { return float64(l.Held) })
	load("outbox_gateways_paused", "Gateways that rest after failures.", func(l dispatch.Load) float64 { return float64(l.Paused) })
	load("outbox_full", "1 while events are refused because the outbox, or what one host may hold of it, is full.", func(l dispatch.Load) float64 {
		if l.Full {
			return 1
		}
		return 0
	})
	return o
}

// Event implements dispatch.Observer.
func (o *DispatchMetrics) Event(realm, state string) { o.events.WithLabelValues(realm, state).Inc() }

// Call implements dispatch.Observer.
func (o *DispatchMetrics) Call(operation, result string, took time.Duration) {
	o.calls.WithLabelValues(operation, result).Inc()
	o.callSeconds.WithLabelValues(operation).Observe(took.Seconds())
}

// Final implements dispatch.Observer.
func (o *DispatchMetrics) Final(realm, state, reason string, n int) {
	o.finals.WithLabelValues(realm, state, reason).Add(float64(n))
}

// Removed implements dispatch.Observer.
func (o *DispatchMetrics) Removed(realm string, n int) {
	o.removed.WithLabelValues(realm).Add(float64(n))
}
