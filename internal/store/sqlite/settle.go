package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	moveRow = `UPDATE queue SET due = ?, attempts = ?, stale_dead = ? WHERE id = ?`
	// newerBadge also finds newer rows in flight: whatever becomes of them, the older one must not follow. Claim asks.
	newerBadge = `SELECT 1 FROM queue WHERE device = ? AND badge_only = 1 AND id > ? LIMIT 1`
)

// settle is one Settle on its way through the writer.
type settle struct {
	store *Store
	rows  []push.Settlement
	mine  []bool
	gone  []bool // deleted, by index
}

// Settle implements store.Queue.
func (s *Store) Settle(ctx context.Context, done []push.Settlement) ([]bool, error) {
	if len(done) == 0 {
		return nil, nil
	}
	x := &settle{store: s, rows: slices.Clone(done), gone: make([]bool, len(done))}
	for i := range x.rows {
		if d := x.rows[i].Dead; d != nil {
			dead := *d
			x.rows[i].Dead = &dead
		}
	}
	if err := s.ensureLedgerApps(ctx, x.rows); err != nil {
		return nil, fmt.Errorf("settle: %w", err)
	}
	if err := s.write.do(ctx, x.run, x.done); err != nil {
		return nil, fmt.Errorf("settle: %w", err)
	}
	return x.mine, nil
}

func (x *settle) run(t *tx) error {
	held := make([]push.Held, len(x.rows))
	for i, r := range x.rows {
		held[i] = r.Held
	}
	x.mine = x.store.schedule.pin(held)
	var dead []push.DeadKey
	for i, r := range x.rows {
		if !x.mine[i] {
			continue
		}
		if err := x.one(t, i, r); err != nil {
			return err
		}
		if r.Dead != nil {
			dead = append(dead, *r.Dead)
		}
	}
	return x.store.record(t, dead)
}

// one ends or moves a row.
func (x *settle) one(t *tx, i int, r push.Settlement) error {
	if r.Due.IsZero() {
		x.gone[i] = true
		if err := deleteRows(t, []removed{{id: r.ID}}); err != nil {
			return fmt.Errorf("end the row: %w", err)
		}
		return nil
	}
	if err := t.exec(moveRow, x.store.clock.micros(r.Due), r.Attempts, r.StaleDead, r.ID); err != nil {
		return fmt.Errorf("move the row: %w", err)
	}
	return nil
}

// done ends the leases of what was settled.
func (x *settle) done(committed bool) {
	s := x.store.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range x.rows {
		switch {
		case i >= len(x.mine) || !x.mine[i]:
		case !committed:
			s.unpin(r.ID)
		case x.gone[i]:
			s.finish(removed{r.ID, s.leases[r.ID].app}, true)
		default:
			l := s.leases[r.ID]
			s.waits(l.app, l.device, position{x.store.clock.micros(r.Due), r.ID})
			s.free(r.ID)
		}
	}
}

// Renew implements store.Queue.
func (s *Store) Renew(_ context.Context, held []push.Held, lease time.Duration) ([]bool, error) {
	until := s.clock.now() + lease.Microseconds()
	s.schedule.mu.Lock()
	defer s.schedule.mu.Unlock()
	mine := make([]bool, len(held))
	for i, h := range held {
		if l, ok := s.schedule.leases[h.ID]; ok && l.id == h.Lease {
			l.until, mine[i] = until, true
			s.schedule.expiry = min(s.schedule.expiry, until)
		}
	}
	return mine, nil
}

// Release implements store.Queue.
func (s *Store) Release(_ context.Context, held []push.Held) error {
	s.schedule.mu.Lock()
	defer s.schedule.mu.Unlock()
	for _, h := range held {
		if l, ok := s.schedule.leases[h.ID]; ok && l.id == h.Lease && !l.pinned {
			s.schedule.giveBack(h.ID)
		}
	}
	return nil
}

// ensureLedgerApps gives the apps of ledger entries their number.
func (s *Store) ensureLedgerApps(ctx context.Context, rows []push.Settlement) error {
	var named []push.AppID
	for _, r := range rows {
		if r.Dead != nil {
			named = append(named, r.Dead.AppID)
		}
	}
	return s.ensureApps(ctx, named)
}
