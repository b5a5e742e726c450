package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// scribeMost bounds what waits for a ledger that is away; beyond it only the memory knows, until the next verdict.
	scribeMost  = 100_000
	scribeBatch = 500
)

// scribe writes what attempts found out about pushkeys, and that an app's settings changed, into the durable ledger, in
// order, many entries in one transaction. The mirror in memory is ahead of it. A store that is away is tried again until
// it takes them.
type scribe struct {
	g       *Gateway
	mu      sync.Mutex
	lines   []line
	running bool
	idle    chan struct{}
}

// line is one change of the ledger.
type line struct {
	sort        lineSort
	dead        push.DeadKey
	fingerprint push.Hash
	written     chan struct{}
}

type lineSort uint8

const (
	lineDead lineSort = iota
	lineAlive
	lineSettings
)

func newScribe(g *Gateway) *scribe {
	s := &scribe{g: g, idle: make(chan struct{})}
	close(s.idle)
	return s
}

// record writes an entry; the channel is closed when it is durable.
func (s *scribe) record(dead push.DeadKey) <-chan struct{} {
	written := make(chan struct{})
	s.add(line{dead: dead, written: written})
	return written
}

// clear removes a device's entry.
func (s *scribe) clear(app push.AppID, device push.Hash) {
	s.add(line{sort: lineAlive, dead: push.DeadKey{AppID: app, Device: device}})
}

// settings notes the fingerprint of an app's settings; when they are new, the guarded entries written before go.
func (s *scribe) settings(app push.AppID, fingerprint push.Hash) {
	s.add(line{sort: lineSettings, dead: push.DeadKey{AppID: app}, fingerprint: fingerprint})
}

func (s *scribe) add(l line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) >= scribeMost && l.sort != lineSettings {
		return
	}
	s.lines = append(s.lines, l)
	if !s.running {
		s.running, s.idle = true, make(chan struct{})
		go s.run()
	}
}

func (s *scribe) flushed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle
}

func (s *scribe) run() {
	for {
		batch := s.next()
		if len(batch) == 0 {
			return
		}
		for s.g.storeFailed(opLedger, s.write(batch)) {
			if !s.g.pauseFor(settleRetry) {
				s.stop()
				return
			}
		}
		for _, l := range batch {
			if l.written != nil {
				close(l.written)
			}
		}
	}
}

// next takes the longest run of lines of one sort, so that what happened to a device is written in its order.
func (s *scribe) next() []line {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.lines) && n < scribeBatch && s.lines[n].sort == s.lines[0].sort {
		n++
	}
	batch := s.lines[:n:n]
	s.lines = s.lines[n:]
	if n == 0 {
		s.lines, s.running = nil, false
		close(s.idle)
	}
	return batch
}

func (s *scribe) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines, s.running = nil, false
	close(s.idle)
}

func (s *scribe) write(batch []line) error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	if batch[0].sort == lineDead {
		entries := make([]push.DeadKey, len(batch))
		for i, l := range batch {
			entries[i] = l.dead
		}
		return s.g.ledger.Record(ctx, entries)
	}
	for _, l := range batch {
		if err := s.writeOne(ctx, l); err != nil {
			return err // doing it twice does no harm
		}
	}
	return nil
}

func (s *scribe) writeOne(ctx context.Context, l line) error {
	if l.sort == lineSettings {
		return s.g.ledger.Settings(ctx, l.dead.AppID, l.fingerprint)
	}
	return s.g.ledger.Clear(ctx, l.dead.AppID, l.dead.Device)
}

// followEvery is how often the ledger is read for changes of other nodes, beside their notifications (design.md 4).
const followEvery = 30 * time.Second

// changesBatch bounds one read of the ledger.
const changesBatch = 5000

// readLedger brings the mirror up to date with the entries that this node believes.
func (g *Gateway) readLedger(ctx context.Context, believes func(push.DeadKey) bool) error {
	for {
		changes, err := g.ledger.Changes(ctx, g.ledgerSeq, changesBatch)
		if err != nil {
			return err
		}
		for _, c := range changes {
			g.ledgerSeq = max(g.ledgerSeq, c.Seq)
			if c.Recorded.IsZero() {
				c.Recorded = time.Now()
			}
			if !c.Cleared && believes(c) {
				g.dead.replace(c)
			}
			if c.Cleared || !believes(c) { // asked again: a reload that dropped the guarded entries may have come between
				g.dead.remove(c.Device)
			}
		}
		if len(changes) == 0 {
			return nil
		}
	}
}

// believes reports whether an entry counts on this node. A guarded one does under the settings that it was recorded
// under: nodes take a change of settings one after the other, and what the old ones led to must not reject for those that
// have the new ones.
func (g *Gateway) believes(d push.DeadKey) bool {
	if !d.Guarded {
		return true
	}
	l := g.routes.Load().byName[d.AppID]
	return l != nil && l.binding.Load().guard.settings == d.Settings
}

// follow reads what other nodes changed, until the gateway leaves.
func (g *Gateway) follow(stop <-chan struct{}) {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-g.ledger.Changed():
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		err := g.readLedger(ctx, g.believes)
		cancel()
		g.storeFailed(opFollow, err)
	}
}
