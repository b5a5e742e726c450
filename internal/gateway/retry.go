package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// maxPanics is how often a row may crash the provider before it is dead-lettered (F17).
const maxPanics = 3

// retry makes the next attempt for a claimed row, unless it is not needed any more, and says what to do with the row.
func (g *Gateway) retry(name push.AppID, row push.Queued) settling {
	item := settling{name: name, row: row, claimed: true}
	n, err := decodeNotification(row.Payload)
	item.row.Payload = nil
	switch {
	case errors.Is(err, errNewer):
		return g.leaveToNewer(item)
	case err != nil:
		item.verdict = verdict{kind: verdictUndeliverable, reason: reasonUndecodable}
		return item
	}
	rt := g.routes.Load()
	item.lane = rt.lane(n.Device.AppID)
	if item.lane == nil {
		return g.orphan(item)
	}
	if v, over := g.needless(item, n); over {
		item.verdict = v
		return item
	}
	if !g.sendRow(&item, n, &rt.cfg) {
		item.back = true
	}
	return item
}

// needless reports whether the row's story has ended without another attempt.
func (g *Gateway) needless(item settling, n push.Notification) (verdict, bool) {
	switch row := item.row; {
	case g.recall.wasDelivered(row.Dedup):
		// An attempt whose verdict could not be written, or a copy, has reached the phone.
		return verdict{kind: verdictDelivered, reason: reasonDuplicate}, true
	case g.knownDead(item.lane, row.Device, n.Device.PushkeyTS):
		return verdict{kind: verdictDead, reason: reasonKnownDead}, true
	case row.BadgeOnly && !g.shared && !g.badges.takesOff(row):
		return verdict{kind: verdictExpired, reason: reasonSuperseded}, true
	}
	return verdict{}, false
}

// sendRow makes the attempt, unless the row's deadline has come, in line for a slot perhaps. It returns false when the row
// is as it was: the gate closed, or the gateway is leaving.
func (g *Gateway) sendRow(item *settling, n push.Notification, cfg *Config) bool {
	l := item.lane
	if !l.slots.try() {
		w := l.slots.line(false)
		select {
		case <-w.ready:
		case <-g.leaving:
			l.slots.abandon(w)
			return false
		}
	}
	defer l.slots.release()
	now := time.Now()
	if !now.Before(item.row.Deadline) {
		item.verdict = verdict{kind: verdictExpired, reason: reasonDeadline}
		return true
	}
	b, p, open := l.enter(now)
	if !open {
		g.backlog.rest(item.name, now.Add(time.Second)) // for when nobody says until when
		return false
	}
	defer b.release()
	t := trial{lane: l, binding: b, permit: p, attempts: item.row.Attempts, stale: item.row.StaleDead}
	collapse := item.row.Dedup
	if item.row.BadgeOnly {
		collapse = g.badgeHash(item.row.Device)
	}
	n.Deadline = item.row.Deadline
	g.ask(&t, n, collapse, cfg)
	item.verdict = g.judge(t, cfg)
	if item.verdict.panicked && g.panics.add(item.row.ID) >= maxPanics {
		item.verdict = verdict{kind: verdictUndeliverable, reason: reasonPoison, asked: true}
	}
	return true
}

// orphan leaves a row to whoever has its app configured: a node with newer settings, or ours after a reload.
func (g *Gateway) orphan(item settling) settling {
	if g.orphans.add(item.name) {
		g.alert(item.name, alertOrphaned, true)
	}
	g.limited.warn(g.logger, "queued for an app that is not configured", item.name, "")
	g.backlog.rest(item.name, time.Now().Add(orphanRest))
	item.back = true
	return item
}

// leaveToNewer leaves a row to a node that runs a newer version, or to ours after the upgrade that was taken back.
func (g *Gateway) leaveToNewer(item settling) settling {
	item.verdict = verdict{reason: reasonNewer, due: time.Now().Add(orphanRest)}
	g.limited.warn(g.logger, "queued by a newer version", item.name, "")
	return item
}

// crashes counts how often rows crashed a provider. It forgets everything now and then rather than grow.
type crashes struct {
	mu   sync.Mutex
	rows map[int64]int
}

func (c *crashes) add(id int64) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil || len(c.rows) > 10_000 {
		c.rows = map[int64]int{}
	}
	c.rows[id]++
	return c.rows[id]
}

// nameSet is a small set of app names.
type nameSet struct {
	mu    sync.Mutex
	names map[push.AppID]bool
}

// add reports whether the name is new.
func (s *nameSet) add(name push.AppID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names[name] {
		return false
	}
	if s.names == nil {
		s.names = map[push.AppID]bool{}
	}
	s.names[name] = true
	return true
}

// removeIf removes and returns the names that gone says.
func (s *nameSet) removeIf(gone func(push.AppID) bool) []push.AppID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var removed []push.AppID
	for name := range s.names {
		if gone(name) {
			removed = append(removed, name)
			delete(s.names, name)
		}
	}
	return removed
}
