package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// check refuses what cannot run. internal/config reports the same with better paths before it comes here.
func check(cfg Config, apps []App, senders []Sender) error {
	var problems []error
	report := func(path, problem string) {
		problems = append(problems, fmt.Errorf("%s: %s", path, problem))
	}
	cfg.Check(func(path, problem string) { report("gateway."+path, problem) })
	patterns := make([]string, len(apps))
	for i, app := range apps {
		patterns[i] = app.Pattern
		if app.Provider == nil {
			report(fmt.Sprintf("apps[%d]", i), "has no provider")
		}
	}
	CheckPatterns(patterns, func(path, problem string) { report("apps"+path, problem) })
	for i, s := range senders {
		s.Check(func(path, problem string) { report(fmt.Sprintf("senders[%d].%s", i, path), problem) })
	}
	return errors.Join(problems...)
}

// Reload takes new settings atomically: either all of them or, with an error, none. Requests under way keep the old
// providers, which are closed when the last one has ended. Paused apps probe at once. An app whose fingerprint changed
// starts anew: its guarded ledger entries go, its guard forgets, and what waits for it is due now.
func (g *Gateway) Reload(cfg Config, apps []App, senders []Sender) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if err := check(cfg, apps, senders); err != nil {
		return err
	}
	// From here on nothing fails: what the store has to know is written in the background, again and again if it must.
	g.recall.resize(cfg.Dedup, cfg.MaxQueued)
	g.backlog.resize(cfg.MaxQueued)
	g.install(cfg, apps, senders)
	g.wakeWorker()
	return nil
}

// install builds the new routes, reusing the lanes of apps that stay, and retires the rest.
func (g *Gateway) install(cfg Config, apps []App, senders []Sender) {
	now := time.Now()
	g.generation++
	old, first := map[push.AppID]*lane{}, true
	if rt := g.routes.Load(); rt != nil {
		old, first = rt.byName, false
	}
	lanes := make([]*lane, len(apps))
	var retired []*binding
	kept := map[push.AppID]bool{}
	for i, app := range apps {
		name := push.AppID(app.Pattern)
		b := newBinding(app, g.fingerprint(app), g.generation, g.closeBinding)
		l := old[name]
		if l == nil {
			l = g.newLane(name, b)
			l.gate.renew(b.generation, true, now)
			if !first { // at start, the store was told before the ledger was read
				g.noteSettings(app) // which may have been others some time ago
			}
		} else {
			kept[name] = true
			retired = append(retired, g.rebind(l, b, now))
		}
		lanes[i] = l
	}
	g.routes.Store(newRoutes(cfg, lanes, senders))
	for name, l := range old {
		if !kept[name] {
			retired = append(retired, l.binding.Load())
			g.endAlertsOf(l)
		}
	}
	for _, b := range retired {
		b.retire(apps)
	}
	for _, name := range g.backlog.names() {
		g.backlog.nowDue(name, now) // also rows of apps that went by another name
	}
}

func (g *Gateway) newLane(name push.AppID, b *binding) *lane {
	l := &lane{name: name, slots: newSlots(b.MaxInFlight)}
	l.gate = newGate(func(open bool) { g.breakerChanged(name, open) })
	l.binding.Store(b)
	return l
}

// rebind gives a lane its new settings and returns the old ones.
func (g *Gateway) rebind(l *lane, b *binding, now time.Time) *binding {
	was := l.binding.Load()
	if was.Fingerprint == b.Fingerprint {
		b.guard = was.guard
	}
	l.binding.Store(b)
	if was.Fingerprint != b.Fingerprint {
		g.noteSettings(b.App)
		g.chores.wake(l.name)
	}
	l.slots.resize(b.MaxInFlight)
	l.gate.renew(b.generation, was.Fingerprint != b.Fingerprint, now)
	return was
}

// retire ends a binding that was replaced; its provider stays open if one of the new apps uses the same value.
func (b *binding) retire(apps []App) {
	if slices.ContainsFunc(apps, func(app App) bool { return same(app.Provider, b.Provider) }) {
		b.closed = func(*binding) {}
	}
	b.release()
}

// closeBinding closes a provider that nobody uses any more. It may take as long as its connections do.
func (g *Gateway) closeBinding(b *binding) {
	g.closing.Go(func() {
		if err := b.Provider.Close(); err != nil {
			g.logger.Warn("close provider", slog.String("app", b.Pattern), slog.String("error", err.Error()))
		}
	})
}

// noteSettings drops the guarded entries of an app whose settings are new: here at once, in the store after what its old
// settings have led to.
func (g *Gateway) noteSettings(app App) {
	name := push.AppID(app.Pattern)
	g.dead.removeGuarded(name)
	g.scribe.settings(name, g.fingerprint(app))
}

// wakeRows makes everything that waits for an app due now.
func (g *Gateway) wakeRows(name push.AppID) bool {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	if g.storeFailed(opWake, g.queue.WakeOn(ctx, name)) {
		return false
	}
	g.backlog.nowDue(name, time.Now())
	g.wakeWorker()
	return true
}
