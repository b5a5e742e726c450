package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// selectBacklog adds up the counts and looks once into an index for each of the two times.
	selectBacklog = `SELECT a.app_id, n.rows, coalesce((SELECT q.accepted FROM queue q WHERE q.app = a.no ORDER BY q.id LIMIT 1), 0),
			(SELECT d.due - store_clock() FROM queue_device d WHERE d.app = a.no AND d.held = 0 AND d.due < 9223372036854775807 ORDER BY d.due LIMIT 1)
		FROM (SELECT app, sum(delta)::bigint AS rows FROM queue_count GROUP BY app) n JOIN app a ON a.no = n.app
		WHERE n.rows > 0 ORDER BY a.app_id COLLATE "C"`

	countLines = `SELECT count(*) FROM (SELECT 1 FROM queue_count LIMIT $1) x`
	// fold replaces many counts by their sums. Others may do the same: each takes what nobody else has.
	fold = `WITH old AS (SELECT id FROM queue_count ORDER BY id LIMIT 10000 FOR UPDATE SKIP LOCKED),
		gone AS (DELETE FROM queue_count c USING old o WHERE c.id = o.id RETURNING c.app, c.delta)
		INSERT INTO queue_count (app, delta) SELECT app, sum(delta) FROM gone GROUP BY app HAVING sum(delta) <> 0`

	selectWaiting = `SELECT q.id, a.app_id, q.device, q.dedup, q.badge_only, q.deadline - store_clock() FROM queue q JOIN app a ON a.no = q.app`
)

// foldAbove is how many counts Backlog adds up before it folds them.
const foldAbove = 1000

// Backlog implements store.Queue.
func (s *Store) Backlog(ctx context.Context) ([]push.Backlog, error) {
	var out []push.Backlog
	var lapsed bool
	var lines int
	now := s.now()
	var p pipeline
	p.query(func(pgx.Rows) error { lapsed = true; return nil }, anyLapsed)
	p.query(func(rows pgx.Rows) error { return rows.Scan(&lines) }, countLines, foldAbove+1)
	p.query(func(rows pgx.Rows) error {
		var b push.Backlog
		var oldest int64
		var next *int64
		err := rows.Scan(&b.AppID, &b.Rows, &oldest, &next)
		b.Oldest = unstamp(oldest)
		if next != nil {
			b.Next = ahead(*next, now)
		}
		out = append(out, b)
		return err
	}, selectBacklog)
	if err := s.send(ctx, &p); err != nil {
		return nil, wrap("backlog", err)
	}
	if lines > foldAbove {
		var p pipeline
		p.exec(fold)
		if err := s.send(ctx, &p); err != nil {
			return nil, wrap("fold the counts", err)
		}
	}
	if lapsed {
		if err := s.sweep(ctx); err != nil {
			return nil, wrap("backlog", err)
		}
		return s.Backlog(ctx)
	}
	return out, nil
}

// Waiting implements store.Queue.
func (s *Store) Waiting(ctx context.Context, each func(row push.Queued)) error {
	now := s.now()
	rows, err := s.pool.Query(ctx, selectWaiting)
	if err != nil {
		return wrap("read what waits", err)
	}
	return wrap("read what waits", eachRow(rows, func(rows pgx.Rows) error {
		var r push.Queued
		var device, dedup []byte
		var deadline int64
		if err := rows.Scan(&r.ID, &r.AppID, &device, &dedup, &r.BadgeOnly, &deadline); err != nil {
			return err
		}
		r.Device, r.Dedup, r.Deadline = hash(device), hash(dedup), ahead(deadline, now)
		each(r)
		return nil
	}))
}

// errNoApp cannot happen: a row's app keeps its name.
var errNoApp = errors.New("a row belongs to an app without a name")

// named turns numbers of rows by app number into numbers by app.
func (s *Store) named(ctx context.Context, byNo map[int32]int) (map[push.AppID]int, error) {
	out := map[push.AppID]int{}
	for no, n := range byNo {
		id, ok, err := s.apps.name(ctx, s, no)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errNoApp
		}
		out[id] += n
	}
	return out, nil
}
