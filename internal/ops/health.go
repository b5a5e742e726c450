package ops

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// checkTimeout bounds all checks of one question together; probes give a few seconds.
const checkTimeout = 2 * time.Second

// Check is one thing that readiness looks at.
type Check struct {
	Name string
	// Run returns details for the answer and an error when the thing does not work. The details are shown to whoever
	// reaches the admin listener: nothing from a notification. The error is only logged.
	Run func(ctx context.Context) (detail any, err error)
	// Informs marks a check whose failure is shown and leaves the process ready.
	Informs bool
}

// Health answers whether the process may have traffic. It starts as not ready. It is safe for concurrent use.
type Health struct {
	log    *slog.Logger
	checks []Check

	mu     sync.Mutex
	ready  bool
	failed map[string]bool
}

// NewHealth returns a Health with these checks.
func NewHealth(log *slog.Logger, checks ...Check) *Health {
	return &Health{log: log, checks: checks, failed: map[string]bool{}}
}

// SetReady opens and closes the door: true once everything has started, false as the first step of stopping.
func (h *Health) SetReady(ready bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = ready
}

// Report is the answer of /readyz.
type Report struct {
	Ready  bool              `json:"ready"`
	Checks map[string]Result `json:"checks"`
}

// Result is the outcome of one check.
type Result struct {
	OK      bool `json:"ok"`
	Informs bool `json:"informs,omitempty"` // a failure leaves the process ready
	Detail  any  `json:"detail,omitempty"`
}

// Report runs all checks.
func (h *Health) Report(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	h.mu.Lock()
	open := h.ready
	h.mu.Unlock()
	r := Report{Ready: open, Checks: map[string]Result{"process": {OK: open}}}
	for _, c := range h.checks {
		detail, err := c.Run(ctx)
		h.note(c, err)
		r.Checks[c.Name] = Result{OK: err == nil, Informs: c.Informs, Detail: detail}
		if err != nil && !c.Informs {
			r.Ready = false
		}
	}
	return r
}

// note logs the cause when a check begins to fail and when it works again, not with every probe.
func (h *Health) note(c Check, err error) {
	h.mu.Lock()
	was := h.failed[c.Name]
	h.failed[c.Name] = err != nil
	h.mu.Unlock()
	name := slog.String("check", c.Name)
	switch {
	case err != nil && !was && c.Informs:
		h.log.Warn("check shows trouble, the process stays ready", name, slog.Any("error", err))
	case err != nil && !was:
		h.log.Error("check fails, the process is not ready", name, slog.Any("error", err))
	case err == nil && was:
		h.log.Info("check works again", name)
	}
}

// troubledApp is one app of GatewayCheck's details.
type troubledApp struct {
	App     string `json:"app"`
	Paused  bool   `json:"paused,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Breaker string `json:"breaker,omitempty"`
	Queued  int    `json:"queued"`
}

// gatewayDetail is what GatewayCheck shows.
type gatewayDetail struct {
	Queued           int           `json:"queued"`
	QueueFull        bool          `json:"queue_full,omitempty"`
	OldestAgeSeconds int64         `json:"oldest_age_seconds,omitempty"`
	Apps             []troubledApp `json:"apps,omitempty"`
}

// maxTroubled bounds the answer where everything is down.
const maxTroubled = 100

// GatewayCheck shows paused apps, open breakers and the queue. It only informs: what waits for a paused app is safe, and
// taking the process out of service would stop all other apps too. A full queue says so to its callers itself.
func GatewayCheck(g Stats) Check {
	return Check{Name: "gateway", Informs: true, Run: func(context.Context) (any, error) {
		s := g.Stats()
		d := gatewayDetail{Queued: s.Queued, QueueFull: s.QueueFull, OldestAgeSeconds: int64(s.OldestAge.Seconds())}
		for _, a := range s.Apps {
			t := troubledApp{App: a.App, Paused: a.Paused, Reason: a.PauseReason, Queued: a.Queued}
			if a.Breaker != "closed" {
				t.Breaker = a.Breaker
			}
			if (t.Paused || t.Breaker != "") && len(d.Apps) < maxTroubled {
				d.Apps = append(d.Apps, t)
			}
		}
		if len(d.Apps) > 0 || d.QueueFull {
			return d, errTrouble
		}
		return d, nil
	}}
}
