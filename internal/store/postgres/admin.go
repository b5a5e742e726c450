package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	listColumns = `SELECT q.id, a.app_id, q.device, q.dedup, q.badge_only, q.has_counts, q.attempts, q.stale_dead, q.accepted,
			q.due - store_clock(), q.deadline - store_clock(), coalesce(l.lease, 0)
		FROM queue q JOIN app a ON a.no = q.app LEFT JOIN queue_lease l ON l.id = q.id AND l.until > store_clock() `
	listAll   = listColumns + `WHERE q.id > $1 ORDER BY q.id LIMIT $2`
	listOfApp = listColumns + `WHERE q.id > $1 AND q.app = $3 ORDER BY q.id LIMIT $2`
	showRow   = listColumns + `WHERE q.id = $1`

	listDead      = `SELECT ` + deadColumns + ` WHERE l.seq > $1 AND NOT l.cleared ORDER BY l.seq LIMIT $2`
	listDeadOfApp = `SELECT ` + deadColumns + ` WHERE l.seq > $1 AND NOT l.cleared AND l.app = $3 ORDER BY l.seq LIMIT $2`
)

// affected notes how many rows a statement changed.
func affected(n *int) func(tag pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		*n = int(tag.RowsAffected())
		return nil
	}
}

// ListQueued implements store.Admin.
func (s *Store) ListQueued(ctx context.Context, id push.AppID, after int64, limit int) ([]push.Queued, error) {
	if id == "" {
		out, err := s.list(ctx, listAll, after, limit)
		return out, wrap("list the queue", err)
	}
	app, ok, err := s.findApp(ctx, id)
	if err != nil || !ok {
		return nil, wrap("list the queue", err)
	}
	out, err := s.list(ctx, listOfApp, after, limit, app)
	return out, wrap("list the queue", err)
}

// ShowQueued implements store.Admin.
func (s *Store) ShowQueued(ctx context.Context, id int64) (push.Queued, bool, error) {
	out, err := s.list(ctx, showRow, id)
	if err != nil || len(out) == 0 {
		return push.Queued{}, false, wrap("show a row", err)
	}
	return out[0], true, nil
}

func (s *Store) list(ctx context.Context, sql string, args ...any) (out []push.Queued, err error) {
	now := s.now()
	var p pipeline
	p.query(func(rows pgx.Rows) error {
		var r push.Queued
		var device, dedup []byte
		var accepted, due, deadline int64
		err := rows.Scan(&r.ID, &r.AppID, &device, &dedup, &r.BadgeOnly, &r.HasCounts, &r.Attempts, &r.StaleDead, &accepted, &due, &deadline, &r.Lease)
		r.Device, r.Dedup = hash(device), hash(dedup)
		r.Accepted, r.Due, r.Deadline = unstamp(accepted), ahead(due, now), ahead(deadline, now)
		out = append(out, r)
		return err
	}, sql, args...)
	return out, s.send(ctx, &p)
}

// RetryQueued implements store.Admin.
func (s *Store) RetryQueued(ctx context.Context, id push.AppID, ids []int64) (int, error) {
	if len(ids) == 0 {
		n, err := s.wake(ctx, id)
		return n, wrap("retry rows", err)
	}
	total := 0
	err := s.byID(ctx, id, ids, func(c chosen) error {
		n, err := s.wakeChosen(ctx, c, wakeFree)
		total += n
		return err
	})
	return total, wrap("retry rows", err)
}

// PurgeQueued implements store.Admin.
func (s *Store) PurgeQueued(ctx context.Context, id push.AppID, ids []int64) (map[push.AppID]int, error) {
	total := map[push.AppID]int{}
	purge := func(c chosen) error {
		counts, err := s.removeRows(ctx, c, deletePurged)
		for app, n := range counts {
			total[app] += n
		}
		return err
	}
	if len(ids) > 0 {
		return total, wrap("purge rows", s.byID(ctx, id, ids, purge))
	}
	app, ok, err := s.findApp(ctx, id)
	for err == nil && ok {
		var c chosen
		if c, err = s.choose(ctx, findOfApp, app, 0, slice); err != nil || len(c.ids) == 0 {
			break
		}
		err = purge(c)
	}
	return total, wrap("purge rows", err)
}

// byID runs do for the rows with these ids, of the app unless it is empty, a slice at a time.
func (s *Store) byID(ctx context.Context, id push.AppID, ids []int64, do func(c chosen) error) error {
	var filter *int32
	if id != "" {
		app, ok, err := s.findApp(ctx, id)
		if err != nil || !ok {
			return err
		}
		filter = &app
	}
	for part := range slices.Chunk(ids, slice) {
		c, err := s.choose(ctx, findByID, part, filter)
		if err != nil {
			return err
		}
		if len(c.ids) == 0 {
			continue
		}
		if err := do(c); err != nil {
			return err
		}
	}
	return nil
}

// ListDead implements store.Admin.
func (s *Store) ListDead(ctx context.Context, id push.AppID, after int64, limit int) ([]push.DeadKey, error) {
	if id == "" {
		out, err := s.dead(ctx, listDead, after, limit)
		return out, wrap("list dead pushkeys", err)
	}
	app, ok, err := s.findApp(ctx, id)
	if err != nil || !ok {
		return nil, wrap("list dead pushkeys", err)
	}
	out, err := s.dead(ctx, listDeadOfApp, after, limit, app)
	return out, wrap("list dead pushkeys", err)
}

// ForgetDead implements store.Admin.
func (s *Store) ForgetDead(ctx context.Context, id push.AppID, devices []push.Hash) (int, error) {
	var filter *int32
	if id != "" {
		app, ok, err := s.findApp(ctx, id)
		if err != nil || !ok {
			return 0, wrap("forget dead pushkeys", err)
		}
		filter = &app
	}
	if len(devices) > 0 {
		unique := map[push.Hash][]byte{}
		for i := range devices {
			unique[devices[i]] = devices[i][:]
		}
		n, err := s.clear(ctx, clearDevices, slices.Collect(maps.Values(unique)), filter)
		return n, wrap("forget dead pushkeys", err)
	}
	total := 0
	for filter != nil {
		n, err := s.clear(ctx, clearSome, *filter, slice)
		total += n
		if err != nil || n < slice {
			return total, wrap("forget dead pushkeys", err)
		}
	}
	return total, nil
}
