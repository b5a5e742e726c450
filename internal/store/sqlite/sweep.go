package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	selectExpired  = `SELECT id, app, device, due FROM queue WHERE deadline <= ? ORDER BY deadline, id`
	badgesAccepted = `SELECT id, app, due FROM queue WHERE device = ? AND badge_only = 1 AND accepted < ?`
	// wakeSome moves a slice of an app's rows, so that waking a million does not stop the writer for seconds.
	wakeSome = `UPDATE queue SET due = ? WHERE id IN (SELECT id FROM queue WHERE app = ? AND due > ? ORDER BY due DESC LIMIT ?)`
)

// wakeSlice is how many rows one transaction of WakeOn moves.
const wakeSlice = 5000

// removal is a transaction that deletes rows that wait.
type removal struct {
	store *Store
	find  func(t *tx) ([]removed, error)
	taken []removed
}

func (x *removal) run(t *tx) (err error) {
	x.store.schedule.lapse(x.store.clock.now())
	x.taken, err = x.find(t)
	if err != nil {
		return err
	}
	return deleteRows(t, x.taken)
}

func (x *removal) done(committed bool) {
	x.store.schedule.mu.Lock()
	defer x.store.schedule.mu.Unlock()
	for _, r := range x.taken {
		x.store.schedule.finish(r, committed)
	}
}

// remove deletes what find has reserved, and counts it.
func (s *Store) remove(ctx context.Context, find func(t *tx) ([]removed, error)) (map[push.AppID]int, error) {
	x := &removal{store: s, find: find}
	if err := s.write.do(ctx, x.run, x.done); err != nil {
		return nil, err
	}
	counts := map[push.AppID]int{}
	for _, r := range x.taken {
		counts[r.app.id]++
	}
	return counts, nil
}

// Expire implements store.Queue.
func (s *Store) Expire(ctx context.Context, limit int) (map[push.AppID]int, error) {
	counts, err := s.remove(ctx, func(t *tx) ([]removed, error) {
		var found []removed
		err := t.each(selectExpired, []any{s.clock.now()}, func(rows *sql.Rows) error {
			if len(found) >= limit {
				return errEnough
			}
			r, ok, err := s.reserveRow(rows)
			if ok {
				found = append(found, r)
			}
			return err
		})
		return found, err
	})
	if err != nil {
		return nil, fmt.Errorf("expire: %w", err)
	}
	return counts, nil
}

// reserveRow takes the row (id, app, device, due) unless it is in flight.
func (s *Store) reserveRow(rows *sql.Rows) (removed, bool, error) {
	var id, no, due int64
	var device []byte
	if err := rows.Scan(&id, &no, &device, &due); err != nil {
		return removed{}, false, err
	}
	a, ok := s.schedule.reserve(id, no, hash(device), due)
	return removed{id, a}, ok, nil
}

// DropBadges implements store.Queue.
func (s *Store) DropBadges(ctx context.Context, before map[push.Hash]time.Time) (map[push.AppID]int, error) {
	if len(before) == 0 {
		return map[push.AppID]int{}, nil
	}
	before = maps.Clone(before)
	counts, err := s.remove(ctx, func(t *tx) ([]removed, error) {
		var found []removed
		for device, accepted := range before {
			more, err := s.takeBadges(t, badgesAccepted, device, stamp(accepted))
			found = append(found, more...)
			if err != nil {
				return found, err
			}
		}
		return found, nil
	})
	if err != nil {
		return nil, fmt.Errorf("drop badges: %w", err)
	}
	return counts, nil
}

// WakeOn implements store.Queue.
func (s *Store) WakeOn(ctx context.Context, id push.AppID) error {
	_, err := s.wake(ctx, id)
	return wrap("wake an app", err)
}

// wake makes an app's rows due, a slice of them in each transaction. Stopped in between, what is awake stays awake and
// calling again does the rest.
func (s *Store) wake(ctx context.Context, id push.AppID) (total int, err error) {
	a := s.schedule.app(id)
	if a == nil {
		return 0, nil
	}
	now := s.clock.now()
	for moved := int64(wakeSlice); moved == wakeSlice; total += int(moved) {
		err := s.write.do(ctx, func(t *tx) error {
			res, err := t.result(wakeSome, now, a.no, now, wakeSlice)
			if err != nil {
				return err
			}
			moved, err = res.RowsAffected()
			return err
		}, func(bool) { s.schedule.woken(a, now) })
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
