package gateway

import (
	"reflect"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// defaultInFlight bounds an app that names no bound: APNs allows about a thousand streams per connection.
const defaultInFlight = 1000

// lane is the running state of one configured app. It outlives a reload; what a reload replaces is its binding.
type lane struct {
	name    push.AppID // the configured pattern: the app's name in the queue, the ledger, logs and metrics
	binding atomic.Pointer[binding]
	slots   *slots
	gate    *gate
	// held is when the guard last held a verdict back, in unix nanoseconds; 0 when that is over.
	held atomic.Int64
}

// binding is one generation of an app's settings. Requests under way hold on to theirs; the last one closes it.
type binding struct {
	App
	generation uint64
	// guard belongs to the fingerprint: bindings with the same one share it, and what older settings led to neither proves
	// nor condemns newer ones.
	guard  *guard
	refs   atomic.Int64 // one for being current, one for each request under way
	closed func(*binding)
}

func newBinding(app App, settings push.Hash, generation uint64, closed func(*binding)) *binding {
	if app.MaxInFlight <= 0 {
		app.MaxInFlight = defaultInFlight
	}
	b := &binding{App: app, generation: generation, guard: &guard{settings: settings}, closed: closed}
	b.refs.Store(1)
	return b
}

// acquire returns the current binding, or nil when the gateway has been stopped. release must be called when the request
// has ended.
func (l *lane) acquire() *binding {
	for {
		b := l.binding.Load()
		for refs := b.refs.Load(); refs > 0; refs = b.refs.Load() {
			if b.refs.CompareAndSwap(refs, refs+1) {
				return b
			}
		}
		if l.binding.Load() == b {
			return nil
		}
	}
}

// guardedBy reports whether the app's current settings are those that a guard belongs to.
func (l *lane) guardedBy(g *guard) bool { return l.binding.Load().guard == g }

// enter takes the current binding and a permit to send with it; false when the app is closed.
func (l *lane) enter(now time.Time) (*binding, permit, bool) {
	b := l.acquire()
	if b == nil {
		return nil, permit{}, false
	}
	p, open := l.gate.enter(b.generation, now)
	if !open {
		b.release()
		return nil, permit{}, false
	}
	return b, p, true
}

func (b *binding) release() {
	if b.refs.Add(-1) == 0 {
		b.closed(b)
	}
}

// deadline returns until when a notification accepted at a time is worth delivering.
func (b *binding) deadline(accepted time.Time, retention time.Duration) time.Time {
	if b.Lifetime > 0 {
		retention = min(retention, b.Lifetime)
	}
	return accepted.Add(retention)
}

// same reports whether two bindings use one provider value, which must then stay open.
func same(a, b provider.Provider) bool {
	return a != nil && b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}
