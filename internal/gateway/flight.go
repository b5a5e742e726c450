package gateway

import (
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// patience is how long a caller's device waits for a free slot before the line is looked at: overload is refused, not
// queued (issue 7.4).
const patience = 250 * time.Millisecond

// reasonClosed is why a notification of a paused, blocked or resting app goes straight to the queue.
const reasonClosed = "app_closed"

// flight is one notification between its acceptance and the moment when it is final or durable. Twins, copies that
// arrive while it is under way, share it and its answer. Its request to the provider outlives its callers.
type flight struct {
	g        *Gateway
	cfg      *Config
	lane     *lane
	note     push.Notification
	hash     push.Hash // duplicate hash; zero for what is never suppressed
	device   push.Hash
	badge    bool
	accepted time.Time
	deadline time.Time
	// peers is how many devices of its request came before it: they are not overload to each other.
	peers int
	// abort tells a request with several devices about overload at once; nil when there is one device.
	abort chan<- struct{}
	// callers counts the requests that wait for it; recall's shard guards it.
	callers int

	// done is closed when the attempt has ended: verdict is set then.
	done chan struct{}

	mu      sync.Mutex
	flying  bool // a request to the provider is under way
	landed  bool
	verdict verdict
	// noted is closed when a dead pushkey is in the durable ledger; nil when nothing is to be written.
	noted <-chan struct{}
	// save is how far the row of a flight without a final verdict is; saved is closed when that attempt to save ends.
	save  saveState
	saved chan struct{}
	row   push.Held // set once stored under lease
}

type saveState uint8

const (
	saveNone    saveState = iota // no row
	saveRunning                  // a commit is under way
	saveWaits                    // durable, and waits for the retry worker (ours, or an earlier copy's row)
	saveHeld                     // durable, held under lease until this flight's attempt ends
)

// start begins the attempt, or ends the flight at once when the app is closed or overloaded.
func (f *flight) start(now time.Time) {
	if until := f.lane.gate.shutUntil(now); !until.IsZero() {
		f.land(verdict{reason: reasonClosed, due: f.lane.gate.due(now)})
		return
	}
	if f.lane.slots.try() {
		if b, p, ok := f.takeOff(now); ok {
			f.g.crew.do(errand{f, b, p})
		}
		return
	}
	if f.lane.slots.stuck(now, patience, f.peers) {
		f.land(verdict{kind: verdictOverload})
		return
	}
	go f.standInLine(f.lane.slots.line(true)) // in the order of the request
}

// standInLine waits for a slot: until it has one, until the line proves to be overload, or until the callers' time is
// over and the flight was given up for the queue.
func (f *flight) standInLine(w *waiter) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-w.ready:
			if b, p, ok := f.takeOff(time.Now()); ok {
				f.g.crew.do(errand{f, b, p}) // on a stack that is deep already
			}
			return
		case <-timer.C:
			if f.lane.slots.overloaded(w, f.peers) {
				f.lane.slots.abandon(w)
				f.land(verdict{kind: verdictOverload})
				return
			}
		case <-f.done:
			f.lane.slots.abandon(w)
			return
		}
	}
}

// takeOff turns a slot into a request under way. It gives the slot back when the gate has closed or the flight was
// given up meanwhile.
func (f *flight) takeOff(now time.Time) (*binding, permit, bool) {
	b, p, open := f.lane.enter(now)
	if !open {
		f.lane.slots.release()
		f.land(verdict{reason: reasonClosed, due: f.lane.gate.due(now)})
		return nil, permit{}, false
	}
	f.mu.Lock()
	f.flying = !f.landed
	f.mu.Unlock()
	if !f.flying {
		f.lane.gate.leave(p, endNotAsked, now)
		f.lane.slots.release()
		b.release()
		return nil, permit{}, false
	}
	f.g.inAir.Add(1)
	return b, p, true
}

// send makes the request and lands.
func (f *flight) send(b *binding, p permit) {
	defer f.g.inAir.Done()
	t := trial{lane: f.lane, binding: b, permit: p}
	n := f.note // twins read the original
	n.Deadline = f.deadline
	f.g.ask(&t, n, f.collapse(), f.cfg)
	f.lane.slots.release()
	v := f.g.judge(t, f.cfg)
	b.release()
	f.land(v)
}

// collapse merges what the user sees of repeated copies; badge updates of one device merge with each other.
func (f *flight) collapse() push.Hash {
	if f.badge {
		return f.g.badgeHash(f.device)
	}
	return f.hash
}

// land ends the attempt with a verdict and carries out what follows from it. Only the first call counts.
func (f *flight) land(v verdict) { f.end(v, true) }

// ground is land for a flight that has not taken off yet. One under way goes on: what its provider says must be heard.
func (f *flight) ground(v verdict) { f.end(v, false) }

func (f *flight) end(v verdict, flying bool) {
	f.mu.Lock()
	if f.landed || f.flying && !flying {
		f.mu.Unlock()
		return
	}
	f.landed, f.verdict = true, v
	save := f.save
	if save == saveNone && v.kind == verdictDead {
		f.noted = f.g.noteDead(f.lane, f.device, v)
	}
	f.mu.Unlock()
	// The account and the memories before the answer; never under the lock, which recall takes inside its own.
	if save == saveNone {
		f.g.conclude(f, v)
	}
	close(f.done)

	switch {
	case save == saveHeld:
		f.g.settleFlight(f, v)
	case save == saveWaits:
		f.g.lateDelivery(f, v)
	case save == saveNone && v.kind == verdictLater:
		// With callers left, one of them saves it. Without, they were answered 503 and repeat it.
		f.g.recall.abandoned(f)
	case save == saveNone && v.kind == verdictOverload:
		f.g.recall.landed(f)
		f.signalAbort()
	}
}

func (f *flight) signalAbort() {
	if f.abort == nil {
		return
	}
	select {
	case f.abort <- struct{}{}:
	default:
	}
}

// stranded reports whether the flight has ended with nothing that anybody remembers.
func (f *flight) stranded() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, final := f.verdict.final()
	return f.landed && !final && f.save == saveNone
}

// share is what a caller has to do about a flight once its waiting is over.
type share uint8

const (
	shareAnswered share = iota // the answer is there; a dead pushkey may still be on its way into the ledger
	shareMine                  // this caller saves the row
	shareTheirs                // another caller saves it
)

// claim decides who saves what is left. A flight that never got a slot is given up for the queue here; one under way
// goes on, and its row is held for it. The channel is what is still to be waited for, if any.
func (f *flight) claim(now time.Time) (share, <-chan struct{}) {
	f.ground(verdict{reason: "no_slot", due: now})
	f.mu.Lock()
	defer f.mu.Unlock()
	_, final := f.verdict.final()
	switch {
	case f.landed && (final || f.verdict.kind == verdictOverload), f.save == saveWaits, f.save == saveHeld:
		return shareAnswered, f.noted
	case f.save == saveRunning:
		return shareTheirs, f.saved
	default:
		f.save, f.saved = saveRunning, make(chan struct{})
		return shareMine, nil
	}
}

// rowFor builds the row to save; false when the attempt has ended for good since it was claimed.
func (f *flight) rowFor(now time.Time) (push.Queued, bool) {
	row := push.Queued{
		AppID: f.lane.name, Device: f.device, Dedup: f.hash, BadgeOnly: f.badge, HasCounts: f.note.Counts.Present(),
		Payload: encodeNotification(f.note), Accepted: f.accepted, Deadline: f.deadline, Due: now,
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, final := f.verdict.final(); f.landed && final {
		return push.Queued{}, false
	}
	row.UnderWay = !f.landed
	if f.landed {
		row.Due = f.verdict.due
		if f.verdict.asked {
			row.Attempts = 1
		}
		if f.verdict.stale {
			row.StaleDead = 1
		}
	}
	if row.Due.After(row.Deadline) {
		row.Due = row.Deadline
	}
	return row, true
}

// stored ends a save: the row is durable, held when the attempt was still under way as the row was built.
func (f *flight) stored(e push.Enqueued) {
	f.mu.Lock()
	f.save = saveWaits
	if e.Lease != 0 {
		f.save, f.row = saveHeld, push.Held{ID: e.ID, Lease: e.Lease}
	}
	landed, v, held := f.landed, f.verdict, f.save == saveHeld
	f.mu.Unlock()
	close(f.saved) // nobody makes a new one any more
	switch {
	case landed && held:
		f.g.settleFlight(f, v)
	case landed && e.State == push.EnqueueDuplicate:
		f.g.lateDelivery(f, v)
	}
}

// unsaved ends a save that failed. A verdict that came meanwhile is concluded as if nothing had been saved.
func (f *flight) unsaved() {
	f.mu.Lock()
	f.save = saveNone
	landed, v, saved := f.landed, f.verdict, f.saved
	if landed && v.kind == verdictDead {
		f.noted = f.g.noteDead(f.lane, f.device, v)
	}
	f.mu.Unlock()
	if landed {
		f.g.conclude(f, v)
	}
	close(saved)
	if landed && v.kind == verdictLater {
		f.g.recall.abandoned(f)
	}
}

// overloaded reports whether the flight was refused.
func (f *flight) overloaded() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.landed && f.verdict.kind == verdictOverload
}

// state is the answer for a caller whose pushkey was registered at that time, in whole unix seconds; 0 when it does not
// say. A twin may know of a newer registration than the attempt did: a pushkey that died before it lives for that caller,
// who has to ask again.
func (f *flight) state(registered int64) push.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	final, ended := f.verdict.final()
	switch {
	case f.landed && ended && final == finalDelivered:
		return push.StateDelivered
	case f.landed && ended && final == finalRejected:
		if registered != f.note.Device.PushkeyTS && registered > 0 && f.verdict.since.Unix() <= registered {
			return push.StateUnsettled
		}
		return push.StateRejected
	case f.landed && ended:
		return push.StateUndeliverable
	case f.save == saveWaits || f.save == saveHeld:
		return push.StateQueued
	default:
		return push.StateUnsettled
	}
}
