package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
)

const (
	// lockPushersOf locks the pushers of rows, so that what follows has them to itself.
	lockPushersOf = `SELECT p.id FROM pusher p WHERE p.id IN (SELECT pusher FROM outbox WHERE id = ANY($1::bigint[])) ORDER BY p.id FOR NO KEY UPDATE OF p`
	// renewOutbox does not renew a lease that has run out while another row of the pusher is in flight.
	renewOutbox = `UPDATE outbox o SET until = store_clock() + $3 FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS u (id, lease, n)
		WHERE o.id = u.id AND o.lease = u.lease AND o.lease <> 0
			AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.pusher = o.pusher AND b.until > 0 AND b.id <> o.id)
		RETURNING u.n`
	releaseOutbox = `UPDATE outbox o SET lease = 0, until = 0 FROM unnest($1::bigint[], $2::bigint[]) AS u (id, lease)
		WHERE o.id = u.id AND o.lease = u.lease AND o.lease <> 0`
	// settleOutbox also finds newer counts in flight: whatever becomes of them, the older must not follow.
	settleOutbox = `WITH clock AS MATERIALIZED (SELECT store_clock() AS now),
		mine AS MATERIALIZED (SELECT u.n, o.id, u.due, u.attempts, u.refusals, u.ends OR o.badge_only AND EXISTS (
				SELECT 1 FROM outbox n WHERE n.pusher = o.pusher AND n.id > o.id AND n.has_counts) AS ends
			FROM unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::bigint[], $5::integer[], $6::integer[])
				WITH ORDINALITY AS u (id, lease, ends, due, attempts, refusals, n)
			JOIN outbox o ON o.id = u.id AND o.lease = u.lease WHERE u.lease <> 0),
		gone AS (DELETE FROM outbox o USING mine m WHERE o.id = m.id AND m.ends RETURNING m.n),
		moved AS (UPDATE outbox o SET due = clock.now + m.due, attempts = m.attempts, refusals = m.refusals, lease = 0, until = 0
			FROM mine m, clock WHERE o.id = m.id AND NOT m.ends RETURNING m.n)
		SELECT n FROM gone UNION ALL SELECT n FROM moved`
	// expireOutbox waits for nobody, so it needs no lock on pushers.
	expireOutbox = `WITH doomed AS MATERIALIZED (SELECT id FROM outbox WHERE deadline <= store_clock() AND until <= store_clock()
			ORDER BY deadline LIMIT $1 FOR UPDATE SKIP LOCKED)
		DELETE FROM outbox o USING doomed d WHERE o.id = d.id`
	expireOnce = `DELETE FROM outbox_once WHERE key IN (SELECT key FROM outbox_once WHERE until <= store_clock() ORDER BY until LIMIT $1
		FOR UPDATE SKIP LOCKED)`
)

// split turns held rows into what a statement takes.
func split(held []push.Held) (ids, leases []int64) {
	ids, leases = make([]int64, len(held)), make([]int64, len(held))
	for i, h := range held {
		ids[i], leases[i] = h.ID, int64(h.Lease)
	}
	return ids, leases
}

// changed runs a statement with the pushers of ids locked, and says which of them, counted from one, it returned.
func (o outbox) changed(ctx context.Context, statement string, ids []int64, args ...any) ([]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	out := make([]bool, len(ids))
	err := o.s.registryTx(ctx, func(p *pipeline) {
		clear(out)
		p.exec(lockPushersOf, ids)
		p.query(func(rows pgx.Rows) error {
			var n int
			err := rows.Scan(&n)
			if err == nil {
				out[n-1] = true
			}
			return err
		}, statement, append([]any{ids}, args...)...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Renew implements dispatch.Outbox.
func (o outbox) Renew(ctx context.Context, held []push.Held, lease time.Duration) ([]bool, error) {
	ids, leases := split(held)
	mine, err := o.changed(ctx, renewOutbox, ids, leases, lease.Microseconds())
	return mine, wrap("renew leases of the outbox", err)
}

// Settle implements dispatch.Outbox.
func (o outbox) Settle(ctx context.Context, done []dispatch.Settlement) ([]bool, error) {
	now, held := o.s.now(), make([]push.Held, len(done))
	ends, due := make([]bool, len(done)), make([]int64, len(done))
	attempts, refusals := make([]int32, len(done)), make([]int32, len(done))
	for i, d := range done {
		held[i], ends[i], due[i] = d.Held, d.Due.IsZero(), distance(d.Due, now)
		attempts[i], refusals[i] = int32(d.Attempts), int32(d.Refusals)
	}
	ids, leases := split(held)
	mine, err := o.changed(ctx, settleOutbox, ids, leases, ends, due, attempts, refusals)
	return mine, wrap("settle rows of the outbox", err)
}

// Release implements dispatch.Outbox.
func (o outbox) Release(ctx context.Context, held []push.Held) error {
	if len(held) == 0 {
		return nil
	}
	ids, leases := split(held)
	return wrap("release rows of the outbox", o.s.registryTx(ctx, func(p *pipeline) {
		p.exec(lockPushersOf, ids)
		p.exec(releaseOutbox, ids, leases)
	}))
}

// oncePerRow is how many keys of submissions are forgotten for each row that may expire: bounded, as a day with very many
// must not hold up the rows.
const oncePerRow = 10

// Expire implements dispatch.Outbox.
func (o outbox) Expire(ctx context.Context, limit int) (int, error) {
	var n int64
	err := o.s.registryTx(ctx, func(p *pipeline) {
		p.exec(expireOnce, limit*oncePerRow)
		p.queue(expireOutbox, []any{limit}).Exec(func(tag pgconn.CommandTag) error {
			n = tag.RowsAffected()
			return nil
		})
	})
	if err != nil {
		return 0, wrap("expire rows of the outbox", err)
	}
	return int(n), nil
}
