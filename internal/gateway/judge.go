package gateway

import (
	"errors"
	"time"

	"github.com/pushgate/pushgate/internal/backoff"
	"github.com/pushgate/pushgate/internal/push"
)

const (
	// maxStale is how often a 410 that is not later than pushkey_ts is tried later before it is dead-lettered.
	maxStale = 3
	// reconnect is the first delay after a broken connection: another one may work at once (F6: within 2 s).
	reconnect = time.Second
	// reasonUnknown stands for what no list names.
	reasonUnknown = "unknown"
	reasonPanic   = "panic"
	reasonStale   = "dead_before_registration"
)

// verdict is what an attempt means for one notification. Its zero value is "later", the harmless one.
type verdict struct {
	kind   verdictKind
	reason string
	// at is when the provider answered.
	at time.Time
	// due is when the next attempt may be, for a later verdict.
	due time.Time
	// asked is true when the attempt counts: a request was made, or tried to be.
	asked bool
	// stale marks one more 410 that is not later than pushkey_ts.
	stale bool
	// panicked marks a provider that crashed on this notification.
	panicked bool
	// shown is true when the provider really accepted something for the phone.
	shown bool
	// since is the time in the ledger entry of a dead pushkey. guard is what a guarded verdict rests on, nil when the
	// verdict is certain.
	since time.Time
	guard *guard
}

// verdictKind is what becomes of the notification.
type verdictKind uint8

const (
	verdictLater verdictKind = iota
	verdictDelivered
	verdictDead
	verdictUndeliverable
	// verdictExpired ends a row that is not worth sending any more; it never comes from a provider.
	verdictExpired
	// verdictOverload refuses a caller whose device found no slot; it never comes from a provider.
	verdictOverload
)

// final returns how the account books a verdict that ends the notification.
func (v verdict) final() (final, bool) {
	switch v.kind {
	case verdictDelivered:
		return finalDelivered, true
	case verdictDead:
		return finalRejected, true
	case verdictUndeliverable:
		return finalDeadLettered, true
	case verdictExpired:
		return finalExpired, true
	case verdictLater, verdictOverload:
		return 0, false
	default:
		return 0, false
	}
}

// trial is one attempt that has ended: what was tried and what came back.
type trial struct {
	lane     *lane
	binding  *binding
	permit   permit
	device   push.Device
	attempts int // before this one
	stale    int // before this one
	began    time.Time
	ended    time.Time
	outcome  push.Outcome
	err      error
	panicked bool
}

// judge turns a trial into a verdict, and tells gate and guard what it says about the app.
func (g *Gateway) judge(t trial, cfg *Config) verdict {
	now := t.ended
	v, end := g.weigh(t, cfg, now)
	v.asked, v.at = true, now
	if v.shown {
		t.binding.guard.prove()
		t.lane.gate.flowing()
	}
	if t.lane.gate.leave(t.permit, end, now) {
		g.mended(t.lane)
	}
	if v.kind == verdictLater && v.due.IsZero() {
		v.due = now.Add(backoff.Ladder(cfg.Retry).Delay(t.attempts + 1))
	}
	return v
}

func (g *Gateway) weigh(t trial, cfg *Config, now time.Time) (verdict, ending) {
	if t.panicked {
		return verdict{reason: reasonPanic, panicked: true}, endNotAsked
	}
	if t.err != nil {
		return g.weighFault(t, now)
	}
	reason := t.outcome.Reason
	if reason == "" {
		reason = reasonUnknown
	}
	switch t.outcome.Verdict {
	case push.Delivered:
		if reason == push.ReasonNothingToSend {
			return verdict{kind: verdictDelivered, reason: reason}, endNotAsked
		}
		t.binding.guard.record(cfg.RejectGuard, now, false)
		return verdict{kind: verdictDelivered, reason: reason, shown: true}, endAnswer
	case push.Rejected:
		t.binding.guard.record(cfg.RejectGuard, now, !t.outcome.Certain)
		return g.weighDead(t, cfg, reason, now), endAnswer
	case push.RetryAfter:
		return g.weighLater(t, cfg, reason, now)
	default:
		return verdict{reason: reasonUnknown}, endAnswer
	}
}

// weighFault reads an error about us. It can never lead to a rejected pushkey.
func (g *Gateway) weighFault(t trial, now time.Time) (verdict, ending) {
	fault, ok := errors.AsType[*push.Fault](t.err)
	if ok && fault.Reason == "" {
		fault = &push.Fault{Kind: fault.Kind, Reason: reasonUnknown, Err: fault.Err}
	}
	switch {
	case !ok:
		return verdict{reason: reasonUnknown}, endNotAsked
	case fault.Kind == push.FaultMessage:
		return verdict{kind: verdictUndeliverable, reason: fault.Reason}, endNotAsked
	default:
		if t.lane.gate.pause(t.permit.generation, fault.Reason, now) {
			g.pausedApp(t.lane, fault)
		}
		// Due at once: the gate holds it back until a probe succeeds, and another node may have better credentials.
		return verdict{reason: fault.Reason, due: now}, endFault
	}
}

// weighDead decides whether "dead" may be believed (design.md 2, the ways a pushkey is dead).
func (g *Gateway) weighDead(t trial, cfg *Config, reason string, now time.Time) verdict {
	o := t.outcome
	if registered := t.device.PushkeyTS; registered > 0 && !o.Since.IsZero() && o.Since.Unix() <= registered {
		// It died before this registration, as far as whole seconds can tell: the answer is about an earlier life.
		if t.stale >= maxStale {
			return verdict{kind: verdictUndeliverable, reason: reasonStale, stale: true}
		}
		return verdict{reason: reasonStale, stale: true}
	}
	if !o.Certain && (!t.lane.guardedBy(t.binding.guard) || !t.binding.guard.believes(cfg.RejectGuard, now)) {
		g.heldVerdict(t.lane, reason)
		return verdict{reason: reason}
	}
	// A time of death in the future would outlive every renewal (F12, F21), and ours must not be later than the question.
	since := g.watch.sure(t.began)
	if !o.Since.IsZero() && o.Since.Before(since) {
		since = o.Since
	}
	v := verdict{kind: verdictDead, reason: reason, since: since}
	if !o.Certain {
		v.guard = t.binding.guard
	}
	return v
}

// weighLater finds the time of the next attempt. A zero due is filled in by the ladder.
func (g *Gateway) weighLater(t trial, cfg *Config, reason string, now time.Time) (verdict, ending) {
	o, v, end := t.outcome, verdict{reason: reason}, endAnswer
	if o.Transport {
		end = endNoAnswer
	}
	if o.Delay > 0 {
		v.due = now.Add(backoff.Jitter(o.Delay))
	}
	switch o.Scope {
	case push.ScopeApp:
		// A single 5xx without a time does not stop an app: when they repeat, the breaker does.
		if o.Delay > 0 || !o.Transport {
			t.lane.gate.block(t.permit.generation, o.Delay, backoff.Ladder(cfg.Retry), now)
		}
	case push.ScopeConnection:
		if o.Delay <= 0 && t.attempts == 0 {
			v.due = now.Add(backoff.Jitter(reconnect))
		}
	case push.ScopeDevice:
	}
	return v, end
}
