package gateway

import (
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// The states and reasons that the gateway itself gives, beside those of final and of the providers.
const (
	stateQueued     = "queued"
	stateRetried    = "retried"
	stateSuppressed = "suppressed"
	stateRefused    = "refused"

	reasonKnownDead   = "known_dead"
	reasonUnknownApp  = "unknown_app"
	reasonDuplicate   = "duplicate"
	reasonSuperseded  = "superseded"
	reasonDeadline    = "deadline"
	reasonPoison      = "poison"
	reasonUndecodable = "undecodable"
	reasonNewer       = "newer_version"
	reasonPurged      = "purged"
	reasonOverload    = "overload"
	reasonUnsettled   = "unsettled"

	labelUnknown = "unknown"
)

// conclude books the verdict on a flight that no row was stored for.
func (g *Gateway) conclude(f *flight, v verdict) {
	end, ended := v.final()
	if !ended {
		return
	}
	g.account.accepted.Add(1)
	g.finish(f.lane.name, f.lane.kind(), end, v.reason, 1)
	if v.kind == verdictDelivered {
		g.recall.delivered(f.hash, v.at)
		if v.shown {
			g.alive(f.lane.name, f.device)
			if f.note.Counts.Present() {
				g.badges.outdated(f.device, f.accepted, g.lookForBadges())
			}
		}
		return
	}
	g.recall.landed(f)
}

// lateDelivery remembers what came of an attempt whose notification waits in the queue through an earlier copy: if it
// was delivered, the row is dropped unsent when its turn comes.
func (g *Gateway) lateDelivery(f *flight, v verdict) {
	switch v.kind {
	case verdictDelivered:
		g.recall.delivered(f.hash, v.at)
		if v.shown {
			g.alive(f.lane.name, f.device)
		}
	case verdictDead:
		g.noteDead(f.lane, f.device, v)
	case verdictLater, verdictUndeliverable, verdictExpired, verdictOverload:
	}
}

// shown carries out what follows from a delivery out of the queue.
func (g *Gateway) shown(l *lane, row push.Queued, v verdict) {
	if !v.shown {
		return
	}
	g.alive(l.name, row.Device)
	if row.HasCounts {
		g.badges.outdatedBefore(row.Device, row.ID, row.Accepted, g.lookForBadges())
	}
}

// finish books n devices whose story ends here. Each was counted on the left side of the account before.
func (g *Gateway) finish(app push.AppID, kind string, f final, reason string, n int) {
	g.account.end(f, uint64(max(n, 0))) //nolint:gosec // never negative
	for range n {
		g.observe(app, kind, f.String(), reason)
	}
	if f == finalDeadLettered && reason != reasonUnknownApp {
		g.limited.warn(g.logger, "dead-lettered", app, reason)
	}
}

func (g *Gateway) observe(app push.AppID, kind, state, reason string) {
	if g.observer != nil {
		g.observer.Final(string(app), kind, state, reason)
	}
}

// deadKey makes the ledger entry for a verdict. app is the configured name.
func (g *Gateway) deadKey(app push.AppID, device push.Hash, v verdict) *push.DeadKey {
	entry := &push.DeadKey{AppID: app, Device: device, Since: v.since, Recorded: time.Now()}
	if v.guard != nil {
		entry.Guarded, entry.Settings = true, v.guard.settings
	}
	return entry
}

// noteDead puts a dead pushkey into the ledger, in memory at once. The channel is closed when it is durable.
func (g *Gateway) noteDead(l *lane, device push.Hash, v verdict) <-chan struct{} {
	entry := g.deadKey(l.name, device, v)
	g.dead.put(*entry)
	written := g.scribe.record(*entry)
	g.doubt(l, device, v)
	return written
}

// doubt takes a guarded entry back when the app's settings have changed since the verdict: a reload that dropped the
// guarded entries may have come between.
func (g *Gateway) doubt(l *lane, device push.Hash, v verdict) {
	if v.guard != nil && !l.guardedBy(v.guard) {
		g.alive(l.name, device)
	}
}

// knownDead answers for a device from the ledger. A newer registration clears the entry.
func (g *Gateway) knownDead(l *lane, device push.Hash, registered int64) bool {
	switch g.dead.check(device, registered) {
	case standingDead:
		return true
	case standingRenewed:
		g.alive(l.name, device)
	case standingUnlisted, standingUnsure:
	}
	return false
}

// alive clears a device's ledger entry, if there is one: it was registered anew, or the provider accepted something.
func (g *Gateway) alive(app push.AppID, device push.Hash) {
	if g.dead.remove(device) {
		g.scribe.clear(app, device)
	}
}

// kind returns what the metrics call the app's provider.
func (l *lane) kind() string { return l.binding.Load().Kind }

// kindOf is kind for a name that rows wait under; it may not be configured any more.
func (g *Gateway) kindOf(name push.AppID) string {
	if l := g.routes.Load().byName[name]; l != nil {
		return l.kind()
	}
	return labelUnknown
}

// reason returns why the flight was not delivered yet.
func (f *flight) reason() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.landed {
		return "under_way"
	}
	return f.verdict.reason
}
