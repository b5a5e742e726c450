package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	selectApps  = `SELECT no, app_id FROM app`
	countRows   = `SELECT app, count(*), min(id) FROM queue INDEXED BY queue_due GROUP BY app`
	selectFirst = `SELECT id, accepted FROM queue NOT INDEXED WHERE id >= ? AND app = ? ORDER BY id LIMIT 1`
	// selectNext reads on from the cursor as selectDue does, without payloads.
	selectNext    = readNext + `due = ?2 AND id > ?3 UNION ALL ` + readNext + `due > ?2 ORDER BY due, id`
	readNext      = `SELECT id, device, due, deadline FROM queue WHERE app = ?1 AND `
	selectWaiting = `SELECT id, app, device, dedup, badge_only, deadline FROM queue`
)

// statements are those of the reading pool.
type statements struct {
	due, one, device, newerBadge, first, next, waiting, changes *sql.Stmt
}

func prepare(ctx context.Context, db *sql.DB) (statements, error) {
	var st statements
	for query, stmt := range map[string]**sql.Stmt{
		selectDue: &st.due, selectOne: &st.one, selectDevice: &st.device, newerBadge: &st.newerBadge,
		selectFirst: &st.first, selectNext: &st.next, selectWaiting: &st.waiting, selectChanges: &st.changes,
	} {
		var err error
		if *stmt, err = db.PrepareContext(ctx, query); err != nil { //nolint:sqlclosecheck // kept as long as the pool
			return st, fmt.Errorf("prepare a statement: %w", err)
		}
	}
	return st, nil
}

// loadSchedule counts what a former process left. Nothing is in flight.
func loadSchedule(ctx context.Context, db *sql.DB) (*schedule, error) {
	s := newSchedule()
	if err := query(ctx, db, selectApps, nil, func(rows *sql.Rows) error {
		var no int64
		var id push.AppID
		if err := rows.Scan(&no, &id); err != nil {
			return err
		}
		s.add(id, no)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the apps: %w", err)
	}
	if err := query(ctx, db, countRows, nil, func(rows *sql.Rows) error {
		var no, first int64
		var n int
		if err := rows.Scan(&no, &n, &first); err != nil {
			return err
		}
		a := s.apps[s.byNo[no]]
		a.rows, a.firstID = n, first
		return nil
	}); err != nil {
		return nil, fmt.Errorf("count the queue: %w", err)
	}
	return s, nil
}

func query(ctx context.Context, db *sql.DB, text string, args []any, scan func(rows *sql.Rows) error) error {
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Backlog implements store.Queue. Counts are kept in memory; the two times cost one look into an index each.
func (s *Store) Backlog(ctx context.Context) ([]push.Backlog, error) {
	now := s.clock.now()
	s.schedule.mu.Lock()
	defer s.schedule.mu.Unlock()
	s.schedule.sweep(now)
	var out []push.Backlog
	for _, a := range s.schedule.apps {
		if a.rows <= 0 {
			continue
		}
		b, err := s.backlogOf(ctx, a, now)
		if err != nil {
			return nil, fmt.Errorf("backlog: %w", err)
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b push.Backlog) int { return cmp.Compare(a.AppID, b.AppID) })
	return out, nil
}

func (s *Store) backlogOf(ctx context.Context, a *app, now int64) (push.Backlog, error) {
	b := push.Backlog{AppID: a.id, Rows: a.rows}
	err := eachRow(ctx, s.stmts.first, []any{a.firstID, a.no}, func(rows *sql.Rows) error {
		var accepted int64
		err := rows.Scan(&a.firstID, &accepted)
		b.Oldest = unstamp(accepted)
		return err
	})
	if err != nil {
		return b, err
	}
	b.Next, err = s.nextDue(ctx, a, now)
	return b, err
}

// nextDue returns when a claim can next find something.
func (s *Store) nextDue(ctx context.Context, a *app, now int64) (time.Time, error) {
	var next int64
	err := eachRow(ctx, s.stmts.next, []any{a.no, a.cursor.due, a.cursor.id}, func(rows *sql.Rows) error {
		var id, due, deadline int64
		var device []byte
		if err := rows.Scan(&id, &device, &due, &deadline); err != nil {
			return err
		}
		if deadline <= now || s.schedule.busy[hash(device)] > 0 {
			return nil
		}
		next = due
		return errEnough
	})
	if err != nil {
		return time.Time{}, err
	}
	for _, k := range a.revisit {
		if next == 0 || k.first.due < next {
			next = k.first.due
		}
	}
	return s.clock.time(next), nil
}

// Waiting implements store.Queue.
func (s *Store) Waiting(ctx context.Context, each func(row push.Queued)) error {
	err := eachRow(ctx, s.stmts.waiting, nil, func(rows *sql.Rows) error {
		var r push.Queued
		var no, deadline int64
		var device, dedup []byte
		if err := rows.Scan(&r.ID, &no, &device, &dedup, &r.BadgeOnly, &deadline); err != nil {
			return err
		}
		r.AppID, r.Device, r.Dedup, r.Deadline = s.schedule.name(no), hash(device), hash(dedup), s.clock.time(deadline)
		each(r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what waits: %w", err)
	}
	return nil
}
