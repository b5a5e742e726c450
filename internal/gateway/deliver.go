package gateway

import (
	"context"
	"time"
	"unsafe"

	"github.com/pushgate/pushgate/internal/push"
)

// The texts that may leave the house.
const (
	textUnknownApp    = "Unknown app_id."
	textUndeliverable = "The notification cannot be delivered."
	textUnsettled     = "The notification could not be delivered or stored."
	textOverloaded    = "Push Gateway under maintenance or overloaded."
)

const (
	// saveTimeout bounds the commit after the attempts (design.md 2).
	saveTimeout = time.Second
	// What a refused caller is asked to wait: a line shortens within moments, a store or a full queue does not.
	afterOverload = time.Second
	afterTrouble  = 5 * time.Second
)

// request is one call of Deliver.
type request struct {
	g       *Gateway
	routes  *routes
	caller  push.Caller
	notes   []push.Notification
	began   time.Time
	out     []push.Delivery
	flights []*flight // by index of out; nil once answered
	open    int       // flights that are not nil
	abort   chan struct{}
	one     [1]*flight // most requests have one device
}

// Deliver attempts all notifications at once, commits what is left in one transaction, and answers one Delivery for
// each, in order. The error is a *push.Error of kind Unavailable with RetryAfter when a device is neither final nor
// durably queued: the caller repeats the whole request, and what was delivered is not delivered again. It takes at most
// attempt_timeout plus a second. The context is not used: a caller that hangs up changes nothing.
func (g *Gateway) Deliver(_ context.Context, caller push.Caller, ns []push.Notification) ([]push.Delivery, error) {
	r := &request{
		g: g, routes: g.routes.Load(), caller: caller, notes: ns, began: time.Now(),
		out: make([]push.Delivery, len(ns)),
	}
	if r.flights = r.one[:]; len(ns) != 1 {
		r.flights, r.abort = make([]*flight, len(ns)), make(chan struct{}, 1)
	}
	for i := range ns {
		r.begin(i, ns[i])
	}
	if r.open == 0 {
		return r.out, nil
	}
	defer r.leave()
	if overloaded := r.await(); overloaded {
		r.giveUp()
		return nil, r.refuse(reasonOverload, textOverloaded, afterOverload)
	}
	r.save()
	if unsettled := r.answer(); unsettled {
		return nil, r.refuse(reasonUnsettled, textUnsettled, afterTrouble)
	}
	return r.out, nil
}

// begin answers what needs no attempt and starts the rest.
func (r *request) begin(i int, n push.Notification) {
	g, app := r.g, n.Device.AppID
	if !r.routes.permits(r.caller, app) {
		r.unknown(i, app, false)
		return
	}
	l := r.routes.lane(app)
	if l == nil {
		r.unknown(i, app, r.routes.cfg.UnknownAppID == UnknownReject)
		return
	}
	device := g.deviceHash(n.Device)
	if g.knownDead(l, device, n.Device.PushkeyTS) {
		g.account.accepted.Add(1)
		g.finish(l.name, l.kind(), finalRejected, reasonKnownDead, 1)
		r.out[i].State = push.StateRejected
		return
	}
	f := &flight{
		g: g, cfg: &r.routes.cfg, lane: l, note: n, hash: g.duplicateHash(n), device: device, badge: badgeOnly(n),
		accepted: r.began, deadline: l.binding.Load().deadline(r.began, r.routes.cfg.Retention),
		peers: r.open, abort: r.abort, done: make(chan struct{}),
	}
	known := seenNever
	if !f.hash.IsZero() {
		known, f = g.enter(f)
	}
	switch known {
	case seenDelivered:
		r.out[i].State = push.StateDelivered
	case seenQueued:
		r.out[i].State = push.StateQueued
	case seenUnderWay, seenNever:
		r.flights[i] = f
		r.open++
		if known == seenNever {
			f.start(r.began)
			return
		}
	}
	g.account.suppressed.Add(1)
	g.observe(l.name, l.kind(), stateSuppressed, reasonDuplicate)
}

// unknown answers for an app_id that is not configured, or not for this caller. It never touches the ledger.
func (r *request) unknown(i int, app push.AppID, reject bool) {
	r.g.account.accepted.Add(1)
	if reject {
		r.out[i].State = push.StateRejected
		r.g.finish(labelUnknown, labelUnknown, finalRejected, reasonUnknownApp, 1)
	} else {
		r.out[i] = push.Delivery{State: push.StateUnknownApp, Text: textUnknownApp}
		r.g.finish(labelUnknown, labelUnknown, finalDeadLettered, reasonUnknownApp, 1)
	}
	r.g.unknownApp(app)
}

// await waits until every flight has ended, or until the callers' time is over. It returns true as soon as one of them
// proves to be overload.
func (r *request) await() (overloaded bool) {
	var timer *time.Timer
	for _, f := range r.flights {
		if f == nil {
			continue
		}
		select {
		case <-f.done:
		default:
			if timer == nil {
				timer = r.g.borrowTimer(time.Until(r.began.Add(r.routes.cfg.AttemptTimeout)))
				defer r.g.returnTimer(timer)
			}
			select {
			case <-f.done:
			case <-r.abort:
				return true
			case <-timer.C:
				return r.anyOverloaded()
			}
		}
		if f.overloaded() {
			return true
		}
	}
	return false
}

// borrowTimer and returnTimer save the hot path two allocations. A stopped timer's channel is empty (Go 1.23).
func (g *Gateway) borrowTimer(d time.Duration) *time.Timer {
	t, ok := g.timers.Get().(*time.Timer)
	if !ok {
		return time.NewTimer(d)
	}
	t.Reset(d)
	return t
}

func (g *Gateway) returnTimer(t *time.Timer) {
	t.Stop()
	g.timers.Put(t)
}

func (r *request) anyOverloaded() bool {
	for _, f := range r.flights {
		if f != nil && f.overloaded() {
			return true
		}
	}
	return false
}

// save commits what is left, in one transaction, and waits for what other requests commit; a second for all.
func (r *request) save() {
	var mine []*flight
	var waits []<-chan struct{}
	now := time.Now()
	for _, f := range r.flights {
		if f == nil {
			continue
		}
		who, others := f.claim(now)
		if who == shareMine {
			mine = append(mine, f)
		}
		if others != nil {
			waits = append(waits, others)
		}
	}
	if len(mine) > 0 {
		waits = append(waits, r.g.saveFlights(mine, now))
	}
	if len(waits) == 0 {
		return
	}
	timer := time.NewTimer(saveTimeout)
	defer timer.Stop()
	for _, done := range waits {
		select {
		case <-done:
		case <-timer.C:
			return
		}
	}
}

// answer fills in what became of the flights.
func (r *request) answer() (unsettled bool) {
	for i, f := range r.flights {
		if f == nil {
			continue
		}
		switch r.out[i].State = f.state(r.notes[i].Device.PushkeyTS); r.out[i].State {
		case push.StateUndeliverable:
			r.out[i].Text = textUndeliverable
		case push.StateUnsettled:
			unsettled = true
		case push.StateDelivered, push.StateQueued, push.StateRejected, push.StateUnknownApp:
		}
	}
	return unsettled
}

// refuse turns the request down. What was delivered stays remembered, so the repeat rings nobody twice.
func (r *request) refuse(reason, text string, after time.Duration) error {
	for i, f := range r.flights {
		if f == nil {
			continue
		}
		if r.out[i].State = f.state(r.notes[i].Device.PushkeyTS); r.out[i].State == push.StateUnsettled {
			r.g.account.refused.Add(1)
			r.g.observe(f.lane.name, f.lane.kind(), stateRefused, reason)
		}
	}
	return &push.Error{Kind: push.Unavailable, Msg: text, RetryAfter: after}
}

// giveUp takes the devices that have no slot yet out of the line.
func (r *request) giveUp() {
	for _, f := range r.flights {
		if f != nil {
			f.ground(verdict{kind: verdictOverload})
		}
	}
}

func (r *request) leave() {
	for _, f := range r.flights {
		if f != nil {
			r.g.recall.leave(f)
		}
	}
}

// enter looks the flight's hash up; see recall.enter.
func (g *Gateway) enter(f *flight) (seen, *flight) { return g.recall.enter(f.hash, f, f.accepted) }

// badgeOnly reports whether n only updates a badge: nothing to show, so a newer one makes it superfluous. A notification
// without an event id that still says what happened is not one of them.
func badgeOnly(n push.Notification) bool {
	return n.BadgeOnly() && n.Event.Type.Empty() && len(n.Event.Content) == 0
}

// The purposes of hashes. They are part of what is stored, so they never change.
const (
	purposeDevice   = "device"
	purposeEvent    = "event"
	purposeSealed   = "sealed"
	purposeBadge    = "badge"
	purposeSettings = "settings"
)

func (g *Gateway) deviceHash(d push.Device) push.Hash {
	return g.hasher.Hash(purposeDevice, string(d.AppID), d.Pushkey.Reveal())
}

// duplicateHash tells copies apart from new notifications: by event id and data, or by ciphertext. Zero means that
// nothing does: badge updates, and events without an id.
func (g *Gateway) duplicateHash(n push.Notification) push.Hash {
	d := &n.Device
	switch {
	case n.Sealed != nil:
		return g.hasher.Hash(purposeSealed, string(d.AppID), d.Pushkey.Reveal(), n.Sealed.Ciphertext.Reveal())
	case n.Event != nil && !n.Event.ID.Empty():
		return g.hasher.Hash(purposeEvent, string(d.AppID), d.Pushkey.Reveal(), n.Event.ID.Reveal(), viewOf(d.Data))
	default:
		return push.Hash{}
	}
}

// viewOf looks at bytes as a text without copying them; they must not change while it is in use.
func viewOf(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // read only, and gone when Hash returns
}

func (g *Gateway) badgeHash(device push.Hash) push.Hash {
	return g.hasher.Hash(purposeBadge, string(device[:]))
}
