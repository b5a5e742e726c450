package ops

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushgate/pushgate/internal/gateway"
	"github.com/pushgate/pushgate/internal/mtls"
)

// Stats is what the gateway counts by itself. It reads memory only.
type Stats interface {
	Stats() gateway.Stats
}

// Certificates is what a TLS listener knows about its files.
type Certificates interface {
	Info() mtls.Info
}

// WatchGateway makes every scrape read g. A later call replaces it.
func (m *Metrics) WatchGateway(g Stats) {
	m.sources.mu.Lock()
	defer m.sources.mu.Unlock()
	m.sources.gateway = g
}

// WatchCertificates makes every scrape read the certificates of a listener. The name is the label; a later call with
// the same name replaces the earlier one.
func (m *Metrics) WatchCertificates(listener string, c Certificates) {
	m.sources.mu.Lock()
	defer m.sources.mu.Unlock()
	m.sources.listeners[listener] = c
}

// collector turns what others count into metrics at the moment of a scrape.
type collector struct {
	mu        sync.Mutex
	gateway   Stats
	listeners map[string]Certificates
	now       func() time.Time

	inFlight, waiting, queued, oldest, breaker, paused, expires, tokenAge *prometheus.Desc

	queue, queueFull, queueOldest, dedup, ledger, account, pending *prometheus.Desc

	listenerExpires, crlIssued, crlExpires *prometheus.Desc
}

func newCollector() *collector {
	app := func(name, help string, more ...string) *prometheus.Desc {
		return desc("app_"+name, help, append([]string{"app", "provider"}, more...)...)
	}
	return &collector{
		listeners: map[string]Certificates{},
		now:       time.Now,

		inFlight: app("in_flight", "Requests under way at the push service."),
		waiting:  app("waiting", "Devices that wait for a free slot."),
		queued:   app("queue_depth", "Rows of the durable queue."),
		oldest:   app("queue_oldest_age_seconds", "Age of the oldest row of the durable queue."),
		breaker:  app("breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open."),
		paused:   app("paused", "1 while a configuration fault stops the app; reason is the service's word for it.", "reason"),
		expires:  app("certificate_expiry_timestamp_seconds", "When the app's certificate ends."),
		tokenAge: app("token_age_seconds", "Age of the access token in use."),

		queue:       desc("queue_depth", "Rows of the durable queue, of all apps."),
		queueFull:   desc("queue_full", "1 while requests are refused because the queue is full."),
		queueOldest: desc("queue_oldest_age_seconds", "Age of the oldest row of the durable queue."),
		dedup:       desc("dedup_entries", "Entries of the memory that suppresses duplicates."),
		ledger:      desc("ledger_entries", "Known dead pushkeys."),
		account: desc("devices_total", "Devices this process answered for. accepted + taken_over = delivered + rejected + dead_lettered + "+
			"expired + handed_over + pushgate_devices_pending; superseded is part of expired; suppressed and refused stand outside.", "state"),
		pending: desc("devices_pending", "Devices this process still answers for."),

		listenerExpires: desc("listener_certificate_expiry_timestamp_seconds", "When the first certificate of the listener's chain ends.", "listener"),
		crlIssued:       desc("listener_crl_issued_timestamp_seconds", "When the oldest revocation list was issued.", "listener"),
		crlExpires:      desc("listener_crl_expiry_timestamp_seconds", "When the first revocation list is due for renewal.", "listener"),
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.inFlight, c.waiting, c.queued, c.oldest, c.breaker, c.paused, c.expires, c.tokenAge,
		c.queue, c.queueFull, c.queueOldest, c.dedup, c.ledger, c.account, c.pending,
		c.listenerExpires, c.crlIssued, c.crlExpires,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	source := c.gateway
	listeners := make(map[string]Certificates, len(c.listeners))
	for name, l := range c.listeners {
		listeners[name] = l
	}
	c.mu.Unlock()
	s := sink{out}
	if source != nil {
		stats := source.Stats()
		c.collectGateway(s, stats)
		for _, a := range stats.Apps {
			c.collectApp(s, a)
		}
	}
	for name, l := range listeners {
		info := l.Info()
		s.time(c.listenerExpires, info.CertificateExpires, name)
		s.time(c.crlIssued, info.CRLIssued, name)
		s.time(c.crlExpires, info.CRLExpires, name)
	}
}

func (c *collector) collectGateway(s sink, g gateway.Stats) {
	s.gauge(c.queue, float64(g.Queued))
	s.gauge(c.queueFull, number(g.QueueFull))
	s.gauge(c.queueOldest, g.OldestAge.Seconds())
	s.gauge(c.dedup, float64(g.DedupEntries))
	s.gauge(c.ledger, float64(g.LedgerEntries))
	for _, n := range []struct {
		state string
		count uint64
	}{
		{"accepted", g.Account.Accepted}, {"taken_over", g.Account.TakenOver}, {"delivered", g.Account.Delivered},
		{"rejected", g.Account.Rejected}, {"dead_lettered", g.Account.DeadLettered}, {"expired", g.Account.Expired},
		{"handed_over", g.Account.HandedOver}, {"superseded", g.Account.Superseded}, {"suppressed", g.Account.Suppressed},
		{"refused", g.Account.Refused},
	} {
		s.out <- prometheus.MustNewConstMetric(c.account, prometheus.CounterValue, float64(n.count), n.state)
	}
	s.gauge(c.pending, float64(g.Account.Pending))
}

func (c *collector) collectApp(s sink, a gateway.AppStats) {
	s.gauge(c.inFlight, float64(a.InFlight), a.App, a.Kind)
	s.gauge(c.waiting, float64(a.Waiting), a.App, a.Kind)
	s.gauge(c.queued, float64(a.Queued), a.App, a.Kind)
	s.gauge(c.oldest, a.OldestAge.Seconds(), a.App, a.Kind)
	s.gauge(c.breaker, breakerNumber(a.Breaker), a.App, a.Kind)
	s.gauge(c.paused, number(a.Paused), a.App, a.Kind, a.PauseReason)
	s.time(c.expires, a.CertificateExpires, a.App, a.Kind)
	if !a.TokenIssued.IsZero() {
		s.gauge(c.tokenAge, c.now().Sub(a.TokenIssued).Seconds(), a.App, a.Kind)
	}
}

func breakerNumber(state string) float64 {
	switch state {
	case "open":
		return 2
	case "half-open":
		return 1
	default:
		return 0
	}
}

// sink spells out metrics.
type sink struct {
	out chan<- prometheus.Metric
}

func (s sink) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// time leaves out what there is not.
func (s sink) time(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		s.gauge(d, seconds(t), labels...)
	}
}
