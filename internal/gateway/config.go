package gateway

import (
	"fmt"
	"time"
)

// Config is the gateway section of the configuration file.
type Config struct {
	// Matrix and Gematik say which operations the edge serves; RequireClientCert makes gematik operations answer 401
	// without a verified client certificate. The gateway only carries them.
	Matrix            bool `yaml:"matrix"`
	Gematik           bool `yaml:"gematik"`
	RequireClientCert bool `yaml:"require_client_cert"`
	// AttemptTimeout bounds how long a caller waits for providers; Synapse gives up after 60 s.
	AttemptTimeout time.Duration `yaml:"attempt_timeout"`
	// ProviderTimeout bounds one request to a provider; FCM asks for at least 10 s.
	ProviderTimeout time.Duration `yaml:"provider_timeout"`
	// MaxRequestKB and MaxNotificationKB bound bodies; the gematik API demands at least 256 KB. The edge enforces them.
	MaxRequestKB      int `yaml:"max_request_kb"`
	MaxNotificationKB int `yaml:"max_notification_kb"`
	// Retention is how long a notification may wait for its delivery; gematik A_27757 puts the ceiling at 24 h.
	Retention time.Duration `yaml:"retention"`
	Retry     Retry         `yaml:"retry"`
	Dedup     Dedup         `yaml:"dedup"`
	// MaxQueued bounds the rows of the durable queue: 503 from 90 % on, until it is down to 70 %. One app may hold half.
	MaxQueued int `yaml:"max_queued"`
	// UnknownAppID is fail (dead-letter, reject nothing) or reject (as Sygnal does).
	UnknownAppID string      `yaml:"unknown_app_id"`
	RejectGuard  RejectGuard `yaml:"reject_guard"`
}

// Retry is the ladder of delays between attempts: Initial, doubling, at most Max, each stretched by up to 20 %.
type Retry struct {
	Initial time.Duration `yaml:"initial"`
	Max     time.Duration `yaml:"max"`
}

// Dedup bounds the memory of what was delivered. Window renews with each repeat.
type Dedup struct {
	Window     time.Duration `yaml:"window"`
	MaxEntries int           `yaml:"max_entries"`
}

// RejectGuard says when an ambiguous "dead pushkey" answer is believed: only after a success with the app's current
// settings, and only while such answers make up less than Share of the last Min sends (of Window, if those are more).
type RejectGuard struct {
	Enabled bool          `yaml:"enabled"`
	Share   float64       `yaml:"share"`
	Min     int           `yaml:"min"`
	Window  time.Duration `yaml:"window"`
}

// The values of unknown_app_id.
const (
	UnknownFail   = "fail"
	UnknownReject = "reject"
)

// Bounds that follow from other parts: a lease lasts at most 60 s, and gematik's ceiling is 24 h.
const (
	maxRetention    = 24 * time.Hour
	minRequestKB    = 256
	maxGuardSends   = 1 << 16
	maxDedupEntries = 1 << 28
)

// DefaultConfig returns the values of design.md 5.
func DefaultConfig() Config {
	return Config{
		Matrix: true, Gematik: true,
		AttemptTimeout: 5 * time.Second, ProviderTimeout: 15 * time.Second,
		MaxRequestKB: 1024, MaxNotificationKB: 64,
		Retention:    24 * time.Hour,
		Retry:        Retry{Initial: 10 * time.Second, Max: 15 * time.Minute},
		Dedup:        Dedup{Window: 2 * time.Hour, MaxEntries: 1_000_000},
		MaxQueued:    1_000_000,
		UnknownAppID: UnknownFail,
		RejectGuard:  RejectGuard{Enabled: true, Share: 0.2, Min: 50, Window: 5 * time.Minute},
	}
}

// Check reports every problem with its path below the gateway section.
func (c Config) Check(report func(path, problem string)) {
	positive := func(path string, d time.Duration) {
		if d <= 0 {
			report(path, "must be longer than 0")
		}
	}
	positive("attempt_timeout", c.AttemptTimeout)
	positive("provider_timeout", c.ProviderTimeout)
	positive("retention", c.Retention)
	positive("retry.initial", c.Retry.Initial)
	positive("retry.max", c.Retry.Max)
	positive("dedup.window", c.Dedup.Window)
	if c.ProviderTimeout < c.AttemptTimeout {
		report("provider_timeout", "must not be shorter than attempt_timeout")
	}
	if c.Retention > maxRetention {
		report("retention", fmt.Sprintf("must not be longer than %s (gematik A_27757)", maxRetention))
	}
	if c.Retry.Max < c.Retry.Initial {
		report("retry.max", "must not be shorter than retry.initial")
	}
	if c.MaxRequestKB < minRequestKB {
		report("max_request_kb", fmt.Sprintf("must be at least %d", minRequestKB))
	}
	if c.MaxNotificationKB < 1 || c.MaxNotificationKB > c.MaxRequestKB {
		report("max_notification_kb", "must be between 1 and max_request_kb")
	}
	if c.Dedup.MaxEntries < 1 || c.Dedup.MaxEntries > maxDedupEntries {
		report("dedup.max_entries", fmt.Sprintf("must be between 1 and %d", maxDedupEntries))
	}
	if c.MaxQueued < 1 {
		report("max_queued", "must be at least 1")
	}
	if c.UnknownAppID != UnknownFail && c.UnknownAppID != UnknownReject {
		report("unknown_app_id", "must be fail or reject")
	}
	c.RejectGuard.check(report)
}

func (r RejectGuard) check(report func(path, problem string)) {
	if !r.Enabled {
		return
	}
	// NaN compares false with everything, so the test is for what is allowed.
	if inRange := r.Share > 0 && r.Share <= 1; !inRange {
		report("reject_guard.share", "must be above 0 and at most 1")
	}
	if r.Min < 1 || r.Min > maxGuardSends {
		report("reject_guard.min", fmt.Sprintf("must be between 1 and %d", maxGuardSends))
	}
	if r.Window <= 0 {
		report("reject_guard.window", "must be longer than 0")
	}
}

// Sender is one line of senders: who may push to which apps. San is a subject alternative name (DNS or URI) of the
// caller's client certificate, AppIDs are exact names or patterns with * and ?. Channels belongs to the notification
// service; the gateway only carries it.
type Sender struct {
	San      string   `yaml:"san"`
	AppIDs   []string `yaml:"app_ids"`
	Channels []string `yaml:"channels"`
}

// Check reports every problem with its path below this sender.
func (s Sender) Check(report func(path, problem string)) {
	if s.San == "" {
		report("san", "is required")
	}
	if len(s.AppIDs) == 0 && len(s.Channels) == 0 {
		report("app_ids", "at least one of app_ids and channels is required")
	}
	for i, id := range s.AppIDs {
		if id == "" {
			report(fmt.Sprintf("app_ids[%d]", i), "must not be empty")
		}
	}
	for i, ch := range s.Channels {
		if ch == "" {
			report(fmt.Sprintf("channels[%d]", i), "must not be empty")
		}
	}
}
