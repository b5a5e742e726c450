package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	lockDevices = `SELECT device, app FROM queue_device WHERE device = ANY($1::bytea[]) ORDER BY device, app FOR UPDATE`

	// refresh brings locked lines up to date after their waiting rows changed.
	refresh = `WITH line AS MATERIALIZED (SELECT d.device, d.app, d.held, (SELECT q.due FROM queue q WHERE q.device = d.device AND q.app + 0 = d.app
				AND NOT EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = q.id) ORDER BY q.due LIMIT 1) AS due
			FROM unnest($1::bytea[], $2::int[]) AS i (device, app) JOIN queue_device d ON d.device = i.device AND d.app = i.app),
		empty AS (DELETE FROM queue_device d USING line n WHERE d.device = n.device AND d.app = n.app AND n.held = 0 AND n.due IS NULL)
		UPDATE queue_device d SET due = coalesce(n.due, 9223372036854775807)
			FROM line n WHERE d.device = n.device AND d.app = n.app AND NOT (n.held = 0 AND n.due IS NULL)`

	// afterDelete ends a statement that has deleted the rows "gone".
	afterDelete = `, payloads AS (DELETE FROM payload p USING gone g WHERE p.id = g.id),
		counted AS (INSERT INTO queue_count (app, delta) SELECT app, -count(*) FROM gone GROUP BY app)
		SELECT app, count(*) FROM gone GROUP BY app`

	deleteBadges = `WITH gone AS (DELETE FROM queue q USING unnest($1::bytea[], $2::int[], $3::bigint[]) AS i (device, app, before)
		WHERE q.device = i.device AND q.app + 0 = i.app AND q.badge_only AND q.accepted < i.before
			AND NOT EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = q.id) RETURNING q.id, q.app)` + afterDelete

	findExpired = `SELECT q.id, q.device FROM queue q WHERE q.deadline <= store_clock()
		AND NOT EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = q.id) ORDER BY q.deadline LIMIT $1`
	deleteExpired = `WITH gone AS (DELETE FROM queue q WHERE q.id = ANY($1::bigint[]) AND q.deadline <= store_clock()
		AND NOT EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = q.id) RETURNING q.id, q.app)` + afterDelete

	// deletePurged also ends the flight of the rows.
	deletePurged = `WITH gone AS (DELETE FROM queue q WHERE q.id = ANY($1::bigint[]) RETURNING q.id, q.app),
		leases AS (DELETE FROM queue_lease l USING gone g WHERE l.id = g.id RETURNING l.device, l.app),
		landed AS (UPDATE queue_device d SET held = d.held - x.n FROM (SELECT device, app, count(*)::int AS n FROM leases GROUP BY device, app) x
			WHERE d.device = x.device AND d.app = x.app)` + afterDelete

	findOfApp = `SELECT id, device FROM queue WHERE app = $1 AND id > $2 ORDER BY id LIMIT $3`
	findByID  = `SELECT id, device FROM queue WHERE id = ANY($1::bigint[]) AND ($2::int IS NULL OR app = $2)`
	wakeRows  = `UPDATE queue q SET due = store_clock() WHERE q.id = ANY($1::bigint[]) AND q.due > store_clock()`
	wakeFree  = wakeRows + ` AND NOT EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = q.id)`
)

// slice is how many rows one transaction of a long change touches.
const slice = 2000

// chosen is a set of rows and their devices.
type chosen struct {
	ids     []int64
	devices [][]byte
}

func (c *chosen) scan(rows pgx.Rows) error {
	var id int64
	var device []byte
	err := rows.Scan(&id, &device)
	c.ids, c.devices = append(c.ids, id), append(c.devices, device)
	return err
}

func (s *Store) choose(ctx context.Context, sql string, args ...any) (chosen, error) {
	var c chosen
	var p pipeline
	p.query(c.scan, sql, args...)
	return c, s.send(ctx, &p)
}

// lines are lines of queue_device that are locked.
type lines struct {
	devices [][]byte
	apps    []int32
}

func (l *lines) scan(rows pgx.Rows) error {
	var device []byte
	var app int32
	err := rows.Scan(&device, &app)
	l.devices, l.apps = append(l.devices, device), append(l.apps, app)
	return err
}

// change locks devices, runs one statement on rows of theirs and brings their lines up to date. Only lines that were
// there to be locked may be touched: one that appears meanwhile belongs to whoever made it.
func (s *Store) change(ctx context.Context, devices [][]byte, queue func(p *pipeline, locked lines)) error {
	x, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer x.close(ctx)
	var locked lines
	var lock pipeline
	lock.query(locked.scan, lockDevices, devices)
	if err := x.send(ctx, &lock); err != nil || len(locked.devices) == 0 {
		return err
	}
	p := pipeline{guarded: true}
	queue(&p, locked)
	p.exec(refresh, locked.devices, locked.apps)
	return x.commit(ctx, &p)
}

// remove changes devices by a statement that deletes rows and answers with numbers of rows by app.
func (s *Store) remove(ctx context.Context, devices [][]byte, sql string, args func(locked lines) []any) (map[push.AppID]int, error) {
	byNo, err := begunAnew(func() (map[int32]int, error) {
		byNo := map[int32]int{}
		err := s.change(ctx, devices, func(p *pipeline, locked lines) {
			p.query(func(rows pgx.Rows) error {
				var app int32
				var n int
				err := rows.Scan(&app, &n)
				byNo[app] += n
				return err
			}, sql, args(locked)...)
		})
		return byNo, err
	})
	if err != nil {
		return nil, err
	}
	return s.named(ctx, byNo)
}

// removeRows deletes chosen rows.
func (s *Store) removeRows(ctx context.Context, c chosen, sql string) (map[push.AppID]int, error) {
	return s.remove(ctx, c.devices, sql, func(lines) []any { return []any{c.ids} })
}

// DropBadges implements store.Queue.
func (s *Store) DropBadges(ctx context.Context, before map[push.Hash]time.Time) (map[push.AppID]int, error) {
	if len(before) == 0 {
		return map[push.AppID]int{}, nil
	}
	devices := make([][]byte, 0, len(before))
	for device := range before {
		devices = append(devices, device[:])
	}
	counts, err := s.remove(ctx, devices, deleteBadges, func(locked lines) []any {
		times := make([]int64, len(locked.devices))
		for i, device := range locked.devices {
			times[i] = stamp(before[hash(device)])
		}
		return []any{locked.devices, locked.apps, times}
	})
	return counts, wrap("drop badges", err)
}

// Expire implements store.Queue.
func (s *Store) Expire(ctx context.Context, limit int) (map[push.AppID]int, error) {
	if err := s.sweep(ctx); err != nil {
		return nil, wrap("expire", err)
	}
	found, err := s.choose(ctx, findExpired, limit)
	if err != nil || len(found.ids) == 0 {
		return map[push.AppID]int{}, wrap("expire", err)
	}
	counts, err := s.removeRows(ctx, found, deleteExpired)
	return counts, wrap("expire", err)
}

// WakeOn implements store.Queue.
func (s *Store) WakeOn(ctx context.Context, id push.AppID) error {
	_, err := s.wake(ctx, id)
	return wrap("wake an app", err)
}

// wake makes an app's rows due, a slice of them in each transaction. Stopped in between, what is awake stays awake and
// calling again does the rest.
func (s *Store) wake(ctx context.Context, id push.AppID) (int, error) {
	app, ok, err := s.findApp(ctx, id)
	if err != nil || !ok {
		return 0, err
	}
	total := 0
	for after := int64(0); ; {
		found, err := s.choose(ctx, findOfApp, app, after, slice)
		if err != nil || len(found.ids) == 0 {
			return total, err
		}
		n, err := s.wakeChosen(ctx, found, wakeRows)
		total += n
		if err != nil || len(found.ids) < slice {
			return total, err
		}
		after = found.ids[len(found.ids)-1]
	}
}

// wakeChosen makes chosen rows due and returns how many waited longer.
func (s *Store) wakeChosen(ctx context.Context, c chosen, sql string) (int, error) {
	return begunAnew(func() (n int, err error) {
		err = s.change(ctx, c.devices, func(p *pipeline, _ lines) {
			p.queue(sql, []any{c.ids}).Exec(affected(&n))
		})
		return n, err
	})
}
