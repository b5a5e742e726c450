package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	listColumns  = `id, app, device, dedup, badge_only, has_counts, attempts, stale_dead, accepted, due, deadline`
	listRows     = `SELECT ` + listColumns + ` FROM queue NOT INDEXED WHERE id > ? AND (? OR app = ?) ORDER BY id LIMIT ?`
	showRow      = `SELECT ` + listColumns + ` FROM queue WHERE id = ?`
	findRow      = `SELECT id, app, device, due FROM queue WHERE id = ? AND (? OR app = ?)`
	someRows     = `SELECT id, app, device, due FROM queue WHERE app = ? LIMIT ?`
	wakeRow      = `UPDATE queue SET due = ? WHERE id = ?`
	listDead     = `SELECT seq, app, device, since, guarded, settings, recorded, cleared FROM ledger WHERE seq > ? AND cleared = 0 AND (? OR app = ?) ORDER BY seq LIMIT ?`
	someDead     = `SELECT device FROM ledger WHERE app = ? AND cleared = 0 LIMIT ?`
	deadOfDevice = `SELECT device FROM ledger WHERE device = ? AND cleared = 0 AND (? OR app = ?)`
)

// adminSlice is how many rows one transaction of an administrator's command touches.
const adminSlice = 5000

// filter returns the number of an app to filter by, and whether every app is meant. An app without a number matches
// nothing.
func (s *Store) filter(id push.AppID) (no int64, all bool) {
	if id == "" {
		return 0, true
	}
	if a := s.schedule.app(id); a != nil {
		return a.no, false
	}
	return math.MinInt64, false
}

// ListQueued implements store.Admin.
func (s *Store) ListQueued(ctx context.Context, id push.AppID, after int64, limit int) ([]push.Queued, error) {
	no, all := s.filter(id)
	out, err := s.list(ctx, listRows, after, all, no, limit)
	if err != nil {
		return nil, fmt.Errorf("list the queue: %w", err)
	}
	return out, nil
}

// ShowQueued implements store.Admin.
func (s *Store) ShowQueued(ctx context.Context, id int64) (push.Queued, bool, error) {
	out, err := s.list(ctx, showRow, id)
	if err != nil || len(out) == 0 {
		return push.Queued{}, false, wrap("show a row", err)
	}
	return out[0], true, nil
}

func (s *Store) list(ctx context.Context, text string, args ...any) ([]push.Queued, error) {
	var out []push.Queued
	err := query(ctx, s.read, text, args, func(rows *sql.Rows) error {
		var r push.Queued
		var no, accepted, due, deadline int64
		var device, dedup []byte
		if err := rows.Scan(&r.ID, &no, &device, &dedup, &r.BadgeOnly, &r.HasCounts, &r.Attempts, &r.StaleDead, &accepted, &due, &deadline); err != nil {
			return err
		}
		r.AppID, r.Device, r.Dedup = s.schedule.name(no), hash(device), hash(dedup)
		r.Accepted, r.Due, r.Deadline = unstamp(accepted), s.clock.time(due), s.clock.time(deadline)
		r.Lease = s.schedule.leaseOf(r.ID)
		out = append(out, r)
		return nil
	})
	return out, err
}

// RetryQueued implements store.Admin.
func (s *Store) RetryQueued(ctx context.Context, id push.AppID, ids []int64) (int, error) {
	if len(ids) == 0 {
		n, err := s.wake(ctx, id)
		return n, wrap("retry rows", err)
	}
	x := &retry{store: s, ids: slices.Clone(ids), now: s.clock.now()}
	x.no, x.all = s.filter(id)
	if err := s.write.do(ctx, x.run, x.done); err != nil {
		return 0, fmt.Errorf("retry rows: %w", err)
	}
	return len(x.moved), nil
}

// retry makes single rows due.
type retry struct {
	store *Store
	ids   []int64
	no    int64
	all   bool
	now   int64
	moved []moved
}

// moved is a row with a new time.
type moved struct {
	id, app int64
	device  push.Hash
}

func (x *retry) run(t *tx) error {
	for _, id := range x.ids {
		if x.store.schedule.held(id) {
			continue
		}
		m := moved{id: id}
		var device []byte
		var due int64
		ok, err := t.row(findRow, []any{id, x.all, x.no}, &m.id, &m.app, &device, &due)
		if err != nil {
			return err
		}
		if !ok || due <= x.now {
			continue
		}
		if err := t.exec(wakeRow, x.now, id); err != nil {
			return err
		}
		m.device = hash(device)
		x.moved = append(x.moved, m)
	}
	return nil
}

func (x *retry) done(bool) {
	s := x.store.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range x.moved {
		s.waits(s.apps[s.byNo[m.app]], m.device, position{x.now, m.id})
	}
}

// PurgeQueued implements store.Admin.
func (s *Store) PurgeQueued(ctx context.Context, id push.AppID, ids []int64) (map[push.AppID]int, error) {
	total := map[push.AppID]int{}
	if len(ids) == 0 {
		no, all := s.filter(id)
		for found := adminSlice; found == adminSlice && !all; {
			counts, err := s.remove(ctx, func(t *tx) ([]removed, error) {
				rows, err := s.seizeRows(t, someRows, no, adminSlice)
				found = len(rows)
				return rows, err
			})
			if err != nil {
				return total, fmt.Errorf("purge rows: %w", err)
			}
			add(total, counts)
		}
		return total, nil
	}
	no, all := s.filter(id)
	for part := range slices.Chunk(slices.Clone(ids), adminSlice) {
		counts, err := s.remove(ctx, func(t *tx) (found []removed, err error) {
			for _, row := range part {
				more, err := s.seizeRows(t, findRow, row, all, no)
				found = append(found, more...)
				if err != nil {
					return found, err
				}
			}
			return found, nil
		})
		if err != nil {
			return total, fmt.Errorf("purge rows: %w", err)
		}
		add(total, counts)
	}
	return total, nil
}

// seizeRows takes rows whether in flight or not.
func (s *Store) seizeRows(t *tx, text string, args ...any) (found []removed, err error) {
	err = t.each(text, args, func(rows *sql.Rows) error {
		var id, no, due int64
		var device []byte
		if err := rows.Scan(&id, &no, &device, &due); err != nil {
			return err
		}
		if a, ok := s.schedule.seize(id, no, hash(device), due); ok {
			found = append(found, removed{id, a})
		}
		return nil
	})
	return found, err
}

func add(total, more map[push.AppID]int) {
	for id, n := range more {
		total[id] += n
	}
}

// ListDead implements store.Admin.
func (s *Store) ListDead(ctx context.Context, id push.AppID, after int64, limit int) ([]push.DeadKey, error) {
	no, all := s.filter(id)
	var out []push.DeadKey
	err := query(ctx, s.read, listDead, []any{after, all, no, limit}, func(rows *sql.Rows) error {
		d, err := s.scanDead(rows)
		out = append(out, d)
		return err
	})
	return out, wrap("list dead pushkeys", err)
}

// ForgetDead implements store.Admin.
func (s *Store) ForgetDead(ctx context.Context, id push.AppID, chosen []push.Hash) (int, error) {
	chosen = slices.Clone(chosen)
	no, all := s.filter(id)
	total := 0
	for found := adminSlice; found == adminSlice; {
		err := s.write.do(ctx, func(t *tx) (err error) {
			var dead []push.Hash
			if len(chosen) == 0 && !all {
				dead, err = devices(t, someDead, no, adminSlice)
			}
			for _, device := range chosen {
				one, err := devices(t, deadOfDevice, device[:], all, no)
				if err != nil {
					return err
				}
				dead = append(dead, one...)
			}
			if err != nil {
				return err
			}
			found = len(dead)
			return s.clear(t, dead)
		}, nil)
		if err != nil {
			return total, fmt.Errorf("forget dead pushkeys: %w", err)
		}
		total += found
		if len(chosen) > 0 {
			break
		}
	}
	return total, nil
}

// wrap says what was being done; nil stays nil.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
