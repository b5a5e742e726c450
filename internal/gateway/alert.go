package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/pushgate/pushgate/internal/push"
)

// What Observer.Alert is called with.
const (
	alertPaused      = "paused"
	alertGuard       = "guard_held"
	alertBreaker     = "breaker_open"
	alertQueueFull   = "queue_full"
	alertStoreFailed = "store_failed"
	alertOrphaned    = "orphaned"
	alertClock       = "clock"
)

func (g *Gateway) alert(app push.AppID, what string, on bool) {
	if g.observer != nil {
		g.observer.Alert(string(app), what, on)
	}
}

// pausedApp tells that a configuration fault stops an app.
func (g *Gateway) pausedApp(l *lane, fault *push.Fault) {
	g.alert(l.name, alertPaused, true)
	attrs := []any{slog.String("app", string(l.name)), slog.String("reason", fault.Reason)}
	if fault.Err != nil {
		attrs = append(attrs, slog.String("cause", fault.Err.Error()))
	}
	g.logger.Error("app paused: its credentials or settings are refused", attrs...)
}

// mended tells that a probe ended a pause.
func (g *Gateway) mended(l *lane) {
	g.alert(l.name, alertPaused, false)
	g.logger.Info("app resumed", slog.String("app", string(l.name)))
	g.backlog.nowDue(l.name, time.Now())
	g.wakeWorker()
}

// heldVerdict tells that the reject guard did not believe a verdict.
func (g *Gateway) heldVerdict(l *lane, reason string) {
	if l.held.Swap(time.Now().UnixNano()) == 0 {
		g.alert(l.name, alertGuard, true)
	}
	g.limited.warn(g.logger, "verdict held: so many dead pushkeys look like a wrong setting", l.name, reason)
}

// endAlerts ends the alerts about guards that have held nothing for a window, about orphans that are gone, and about a
// full queue that has drained without anybody asking for room.
func (g *Gateway) endAlerts(now time.Time) {
	if g.backlog.reopened() {
		g.alert("", alertQueueFull, false)
		g.logger.Info("queue has room again")
	}
	rt := g.routes.Load()
	for _, l := range rt.lanes {
		held := l.held.Load()
		if held != 0 && now.Sub(time.Unix(0, held)) > rt.cfg.RejectGuard.Window && l.held.CompareAndSwap(held, 0) {
			g.alert(l.name, alertGuard, false)
		}
	}
	for _, name := range g.orphans.removeIf(func(name push.AppID) bool { return rt.byName[name] != nil || !g.backlog.has(name) }) {
		g.alert(name, alertOrphaned, false)
	}
}

// endAlertsOf ends the alerts about an app that is not configured any more: nothing else would.
func (g *Gateway) endAlertsOf(l *lane) {
	breaker, paused := l.gate.state()
	if paused != "" {
		g.alert(l.name, alertPaused, false)
	}
	if breaker != gobreaker.StateClosed.String() {
		g.alert(l.name, alertBreaker, false)
	}
	if l.held.Swap(0) != 0 {
		g.alert(l.name, alertGuard, false)
	}
}

// breakerChanged tells that an app's provider stopped or began to answer. It is called with the breaker's lock held.
func (g *Gateway) breakerChanged(name push.AppID, open bool) {
	g.alert(name, alertBreaker, open)
	g.limited.warn(g.logger, "provider "+map[bool]string{true: "does not answer", false: "answers again"}[open], name, "")
	if !open {
		g.backlog.nowDue(name, time.Now())
	}
	g.wakeWorker()
}

// unknownApp tells that callers push to something that is not configured for them.
func (g *Gateway) unknownApp(app push.AppID) {
	g.limited.warn(g.logger, "no such app for this caller", "", "", slog.String("app_id", string(app)))
}

// storeFailed notes how a call of the store ended and reports whether it failed. Only a write proves that the store is
// back: a full disk can still be read.
func (g *Gateway) storeFailed(doing string, err error) bool {
	if err != nil {
		g.limited.warn(g.logger, "store failed", "", doing, slog.String("error", err.Error()))
		if !g.storeDown.Swap(true) {
			g.alert("", alertStoreFailed, true)
		}
		return true
	}
	switch doing {
	case opEnqueue, opSettle, opLedger, opPing:
		if g.storeDown.Load() && g.storeDown.Swap(false) {
			g.alert("", alertStoreFailed, false)
		}
	}
	return false
}

// lookForStore ends the alert about a store that is back although nobody had anything to write.
func (g *Gateway) lookForStore() {
	if !g.storeDown.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	g.storeFailed(opPing, g.queue.Ping(ctx))
}

// The calls of the store, as the log names them.
const (
	opEnqueue = "enqueue"
	opClaim   = "claim"
	opSettle  = "settle"
	opRelease = "release"
	opRenew   = "renew"
	opBacklog = "backlog"
	opExpire  = "expire"
	opBadges  = "drop badges"
	opWake    = "wake"
	opLedger  = "ledger"
	opFollow  = "follow the ledger"
	opPrune   = "prune the ledger"
	opPing    = "ping"
)

const (
	// quiet is how often one line is repeated at most.
	quiet = 30 * time.Second
	// quietMost bounds the different lines that are remembered.
	quietMost = 10_000
)

// limited writes warnings that could come with every notification: each at most every 30 s, with a count.
type limited struct {
	mu    sync.Mutex
	lines map[limitedKey]*limitedLine
}

type limitedKey struct {
	text, app, reason string
}

type limitedLine struct {
	last    time.Time
	skipped int
}

func (l *limited) warn(logger *slog.Logger, text string, app push.AppID, reason string, more ...any) {
	key, now := limitedKey{text, string(app), reason}, time.Now()
	l.mu.Lock()
	if l.lines == nil || len(l.lines) > quietMost {
		l.lines = map[limitedKey]*limitedLine{}
	}
	entry := l.lines[key]
	if entry == nil {
		entry = &limitedLine{}
		l.lines[key] = entry
	}
	if !entry.last.IsZero() && now.Sub(entry.last) < quiet {
		entry.skipped++
		l.mu.Unlock()
		return
	}
	skipped := entry.skipped
	entry.last, entry.skipped = now, 0
	l.mu.Unlock()
	var attrs []any
	if app != "" {
		attrs = append(attrs, slog.String("app", string(app)))
	}
	if reason != "" {
		attrs = append(attrs, slog.String("reason", reason))
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Int("skipped", skipped))
	}
	logger.Warn(text, append(attrs, more...)...) //nolint:sloglint // every caller's text is a constant
}
