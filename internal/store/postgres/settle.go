package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// lockLeased locks the devices of rows in flight.
	lockLeased = `SELECT 1 FROM queue_device WHERE (device, app) IN (SELECT l.device, l.app FROM queue_lease l WHERE l.id = ANY($1::bigint[]))
		ORDER BY device, app FOR UPDATE`

	// endLeases ends leases and their rows' flight. action: 0 deletes the row, 1 moves it, 2 leaves it as it is. With
	// $6 only leases that have run out end, so that one that was renewed meanwhile stays.
	endLeases = `WITH clock AS MATERIALIZED (SELECT store_clock() AS now),
		i AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[], $5::int[], $7::int[])
			AS u (id, lease, action, due, attempts, stale_dead)),
		mine AS (DELETE FROM queue_lease l USING i WHERE l.id = i.id AND l.lease = i.lease AND (NOT $6::bool OR l.until <= (SELECT now FROM clock))
			RETURNING l.id, l.lease, l.device, l.app, i.action, i.due, i.attempts, i.stale_dead),
		final AS MATERIALIZED (SELECT m.*, q.due AS old_due, m.action = 0 AS ended FROM mine m JOIN queue q ON q.id = m.id),
		gone AS (DELETE FROM queue q USING final f WHERE q.id = f.id AND f.ended),
		payloads AS (DELETE FROM payload p USING final f WHERE p.id = f.id AND f.ended),
		moved AS (UPDATE queue q SET due = clock.now + f.due, attempts = f.attempts, stale_dead = f.stale_dead
			FROM final f, clock WHERE q.id = f.id AND NOT f.ended AND f.action = 1),
		counted AS (INSERT INTO queue_count (app, delta) SELECT app, -count(*) FROM final WHERE ended GROUP BY app),
		line AS MATERIALIZED (SELECT f.device, f.app, count(*)::int AS n,
				least(min(CASE WHEN f.ended THEN NULL WHEN f.action = 1 THEN clock.now + f.due ELSE f.old_due END),
					(SELECT q.due FROM queue q WHERE q.device = f.device AND q.app + 0 = f.app AND NOT EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = q.id)
						ORDER BY q.due LIMIT 1)) AS due
			FROM final f, clock GROUP BY f.device, f.app),
		empty AS (DELETE FROM queue_device d USING line n WHERE d.device = n.device AND d.app = n.app AND d.held = n.n AND n.due IS NULL),
		waiting AS (UPDATE queue_device d SET held = d.held - n.n, due = coalesce(n.due, 9223372036854775807)
			FROM line n WHERE d.device = n.device AND d.app = n.app AND NOT (d.held = n.n AND n.due IS NULL))
		SELECT id, lease FROM mine`

	lapsedLeases = `SELECT id, lease FROM queue_lease WHERE until <= store_clock() ORDER BY until LIMIT $1`

	renewLeases = `UPDATE queue_lease l SET until = store_clock() + $3 FROM unnest($1::bigint[], $2::bigint[]) AS i (id, lease)
		WHERE l.id = i.id AND l.lease = i.lease RETURNING l.id, l.lease`
)

// The actions of endLeases.
const (
	actionEnd int32 = iota
	actionMove
	actionKeep
)

// sweepSlice is how many lapsed leases one transaction ends.
const sweepSlice = 1000

// ending is a call of endLeases as the columns that travel.
type ending struct {
	ids, leases, due         []int64
	actions, attempts, stale []int32
	lapsedOnly               bool
	rows                     map[push.Held]int // index in the call
}

func newEnding() *ending { return &ending{rows: map[push.Held]int{}} }

// add adds a row; a second settlement of one row under one lease is left out.
func (e *ending) add(i int, h push.Held, action int32, due int64, attempts, stale int) {
	if _, ok := e.rows[h]; ok {
		return
	}
	e.rows[h] = i
	e.ids, e.leases = append(e.ids, h.ID), append(e.leases, int64(h.Lease))
	e.actions, e.due = append(e.actions, action), append(e.due, due)
	e.attempts, e.stale = append(e.attempts, int32(attempts)), append(e.stale, int32(stale))
}

// lock adds the statement that locks the rows' devices, end the one that ends their leases; mine hears the index of
// each row whose lease was still good.
func (e *ending) lock(p *pipeline) { p.exec(lockLeased, e.ids) }

func (e *ending) end(p *pipeline, mine func(i int)) {
	p.query(func(rows pgx.Rows) error {
		var h push.Held
		err := rows.Scan(&h.ID, &h.Lease)
		mine(e.rows[h])
		return err
	}, endLeases, e.ids, e.leases, e.actions, e.due, e.attempts, e.lapsedOnly, e.stale)
}

// Settle implements store.Queue.
func (s *Store) Settle(ctx context.Context, done []push.Settlement) ([]bool, error) {
	if len(done) == 0 {
		return nil, nil
	}
	e, now := newEnding(), s.now()
	var dead deadRows
	for i, d := range done {
		action, due := actionEnd, int64(0)
		if !d.Due.IsZero() {
			action, due = actionMove, distance(d.Due, now)
		}
		e.add(i, d.Held, action, due, d.Attempts, d.StaleDead)
		if d.Dead != nil {
			dead.add(*d.Dead, d.Held)
		}
	}
	if err := s.ensureApps(ctx, dead.named); err != nil {
		return nil, wrap("settle", err)
	}
	mine, err := begunAnew(func() ([]bool, error) {
		mine := make([]bool, len(done))
		var p pipeline
		e.lock(&p)
		dead.record(&p, s)
		e.end(&p, func(i int) { mine[i] = true })
		return mine, s.send(ctx, &p)
	})
	if err != nil {
		return nil, wrap("settle", err)
	}
	return mine, nil
}

// Release implements store.Queue.
func (s *Store) Release(ctx context.Context, held []push.Held) error {
	if len(held) == 0 {
		return nil
	}
	e := newEnding()
	for i, h := range held {
		e.add(i, h, actionKeep, 0, 0, 0)
	}
	return wrap("release", s.endAll(ctx, e))
}

// endAll ends leases when it does not matter which of them were still good.
func (s *Store) endAll(ctx context.Context, e *ending) error {
	_, err := begunAnew(func() (struct{}, error) {
		var p pipeline
		e.lock(&p)
		e.end(&p, func(int) {})
		return struct{}{}, s.send(ctx, &p)
	})
	return err
}

// sweep ends the leases that have run out.
func (s *Store) sweep(ctx context.Context) error {
	for {
		e := newEnding()
		e.lapsedOnly = true
		var find pipeline
		find.query(func(rows pgx.Rows) error {
			var h push.Held
			err := rows.Scan(&h.ID, &h.Lease)
			e.add(0, h, actionKeep, 0, 0, 0)
			return err
		}, lapsedLeases, sweepSlice)
		if err := s.send(ctx, &find); err != nil {
			return wrap("end lapsed leases", err)
		}
		if len(e.ids) == 0 {
			return nil
		}
		if err := s.endAll(ctx, e); err != nil {
			return wrap("end lapsed leases", err)
		}
		if len(e.ids) < sweepSlice {
			return nil
		}
	}
}

// Renew implements store.Queue.
func (s *Store) Renew(ctx context.Context, held []push.Held, lease time.Duration) ([]bool, error) {
	if len(held) == 0 {
		return nil, nil
	}
	ids, leases := make([]int64, len(held)), make([]int64, len(held))
	for i, h := range held {
		ids[i], leases[i] = h.ID, int64(h.Lease)
	}
	good, err := begunAnew(func() (map[push.Held]bool, error) {
		good := map[push.Held]bool{}
		var p pipeline
		p.exec(lockLeased, ids)
		p.query(func(rows pgx.Rows) error {
			var h push.Held
			err := rows.Scan(&h.ID, &h.Lease)
			good[h] = true
			return err
		}, renewLeases, ids, leases, lease.Microseconds())
		return good, s.send(ctx, &p)
	})
	if err != nil {
		return nil, wrap("renew", err)
	}
	mine := make([]bool, len(held))
	for i, h := range held {
		mine[i] = good[h]
	}
	return mine, nil
}
