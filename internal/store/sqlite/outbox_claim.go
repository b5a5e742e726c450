package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	// lapseOutbox lets go of rows whose lease has run out. The lease's name stays: who held it may still settle.
	lapseOutbox = `UPDATE outbox SET until = 0 WHERE until > 0 AND until <= ?`
	dueOutbox   = `SELECT o.id, o.pusher FROM outbox o INDEXED BY outbox_due
		WHERE o.gateway = ? AND o.until = 0 AND o.due <= ? AND o.deadline > ?
			AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.pusher = o.pusher AND b.until > 0)
		ORDER BY o.due, o.id`
	takeOutbox = `UPDATE outbox SET lease = ?, until = ? WHERE id = ?`
	readOutbox = `SELECT o.attempts, o.refusals, o.badge_only, o.has_counts, o.accepted, o.deadline, o.payload,
			p.owner, p.pushkey, p.app_id, p.device, p.body, p.created, p.updated, coalesce(k.month, 0), k.body
		FROM outbox o JOIN pusher p ON p.id = o.pusher LEFT JOIN month_key k ON k.pusher = p.id WHERE o.id = ?`
	nextOutbox  = `SELECT due FROM outbox INDEXED BY outbox_due WHERE gateway = ? AND until = 0 AND deadline > ? ORDER BY due, id LIMIT 1`
	renewOutbox = `UPDATE OR IGNORE outbox SET until = ? WHERE id = ? AND lease = ? AND lease <> 0`
	freeOutbox  = `UPDATE outbox SET lease = 0, until = 0 WHERE id = ? AND lease = ? AND lease <> 0`
	// endsOutbox also finds newer rows in flight: whatever becomes of them, the older counts must not follow.
	endsOutbox = `SELECT o.badge_only = 1 AND EXISTS (SELECT 1 FROM outbox n WHERE n.pusher = o.pusher AND n.id > o.id AND n.has_counts = 1)
		FROM outbox o WHERE o.id = ? AND o.lease = ? AND o.lease <> 0`
	deleteOutbox = `DELETE FROM outbox WHERE id = ?`
	moveOutbox   = `UPDATE outbox SET due = ?, attempts = ?, refusals = ?, lease = 0, until = 0 WHERE id = ?`
	expireOutbox = `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE deadline <= ?1 AND until <= ?1 ORDER BY deadline LIMIT ?2)`
	expireOnce   = `DELETE FROM outbox_once WHERE key IN (SELECT key FROM outbox_once WHERE until <= ? ORDER BY until LIMIT ?)`
)

// oncePerRow is how many keys of submissions are forgotten for each row that may expire: bounded, as a day with very many
// must not hold up the rows.
const oncePerRow = 10

// outboxUnreadable is how long a row waits that cannot be opened: a key may be missing for a while.
const outboxUnreadable = time.Minute

// claimed is a row as it is stored.
type claimed struct {
	dispatch.Row
	stored   registry.Row
	accepted int64
	month    int32
	keys     []byte
}

// Claim implements dispatch.Outbox.
func (o outbox) Claim(ctx context.Context, g dispatch.Gateway, limit int, lease time.Duration) (dispatch.Claimed, error) {
	gateway := o.s.codec().Gateway(g.Realm, g.URL)
	var rows []claimed
	var now, next int64
	err := o.s.write.do(ctx, func(t *tx) error {
		now = o.s.clock.now()
		if err := t.exec(lapseOutbox, now); err != nil {
			return fmt.Errorf("end leases: %w", err)
		}
		ids, err := dueIn(t, gateway, now, limit)
		if err != nil {
			return fmt.Errorf("look for due rows: %w", err)
		}
		for _, id := range ids {
			row, err := o.take(t, id, now+lease.Microseconds())
			if err != nil {
				return fmt.Errorf("take a row: %w", err)
			}
			rows = append(rows, row)
		}
		_, err = t.row(nextOutbox, []any{gateway[:], now}, &next)
		return wrap("look for the next row", err)
	}, nil)
	if err != nil {
		return dispatch.Claimed{}, fmt.Errorf("claim from the outbox: %w", err)
	}
	return dispatch.Claimed{Rows: o.open(ctx, rows), Next: o.s.clock.time(next), At: registry.Time(now)}, nil
}

// dueIn returns due rows of pushers with none in flight, the first of each.
func dueIn(t *tx, gateway push.Hash, now int64, limit int) ([]int64, error) {
	var ids []int64
	taken := map[int64]bool{}
	if limit <= 0 {
		return nil, nil
	}
	err := t.each(dueOutbox, []any{gateway[:], now, now}, func(rows *sql.Rows) error {
		var id, pusher int64
		if err := rows.Scan(&id, &pusher); err != nil {
			return err
		}
		if taken[pusher] {
			return nil
		}
		taken[pusher] = true
		if ids = append(ids, id); len(ids) == limit {
			return errEnough
		}
		return nil
	})
	return ids, err
}

func (o outbox) take(t *tx, id, until int64) (claimed, error) {
	var c claimed
	var owner, pushkey []byte
	var deadline int64
	c.Held = push.Held{ID: id, Lease: newLease()}
	if err := t.exec(takeOutbox, int64(c.Lease), until, id); err != nil {
		return c, err
	}
	_, err := t.row(readOutbox, []any{id}, &c.Attempts, &c.Refusals, &c.BadgeOnly, &c.HasCounts, &c.accepted, &deadline, &c.Payload,
		&owner, &pushkey, &c.stored.AppID, &c.stored.Device, &c.stored.Body, &c.stored.Created, &c.stored.Updated, &c.month, &c.keys)
	c.stored.Owner, c.stored.Pushkey = hash(owner), hash(pushkey)
	c.Accepted, c.Deadline = registry.Time(c.accepted), o.s.clock.time(deadline)
	return c, err
}

// open opens what was claimed. A row that cannot be opened is put back for a while and never stops its neighbours.
func (o outbox) open(ctx context.Context, rows []claimed) []dispatch.Row {
	var out []dispatch.Row
	var later []dispatch.Settlement
	for _, c := range rows {
		if err := c.unseal(o.s.codec()); err != nil {
			o.s.logger.Error("outbox row cannot be opened, it waits", slog.Int64("row", c.ID), slog.String("app_id", c.stored.AppID), slog.Any("error", err))
			later = append(later, dispatch.Settlement{Held: c.Held, Due: o.s.clock.read().Add(outboxUnreadable), Attempts: c.Attempts, Refusals: c.Refusals})
			continue
		}
		out = append(out, c.Row)
	}
	if len(later) > 0 {
		if _, err := o.Settle(ctx, later); err != nil {
			o.s.logger.Error("cannot put rows back", slog.Any("error", err))
		}
	}
	return out
}

func (c *claimed) unseal(codec registry.Codec) (err error) {
	if c.Pusher, err = codec.Open(c.stored); err != nil {
		return err
	}
	if c.keys != nil {
		if c.Pusher.Encryption, err = codec.OpenKeys(c.stored.Key, c.month, c.keys); err != nil {
			return err
		}
	}
	c.Payload, err = codec.OpenPayload(c.stored.Key, c.accepted, c.Payload)
	return err
}

// Renew implements dispatch.Outbox. A lease that has run out is not renewed while another row of the pusher is in flight.
func (o outbox) Renew(ctx context.Context, held []push.Held, lease time.Duration) ([]bool, error) {
	mine := make([]bool, len(held))
	err := o.s.write.do(ctx, func(t *tx) error {
		until := o.s.clock.now() + lease.Microseconds()
		for i, h := range held {
			res, err := t.result(renewOutbox, until, h.ID, int64(h.Lease))
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			mine[i] = n > 0
		}
		return nil
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("renew leases of the outbox: %w", err)
	}
	return mine, nil
}

// Settle implements dispatch.Outbox.
func (o outbox) Settle(ctx context.Context, done []dispatch.Settlement) ([]bool, error) {
	mine := make([]bool, len(done))
	err := o.s.write.do(ctx, func(t *tx) error {
		for i, d := range done {
			var end bool
			var err error
			if mine[i], err = t.row(endsOutbox, []any{d.ID, int64(d.Lease)}, &end); err != nil {
				return err
			}
			switch {
			case !mine[i]:
			case end || d.Due.IsZero():
				err = t.exec(deleteOutbox, d.ID)
			default:
				err = t.exec(moveOutbox, o.s.clock.micros(d.Due), d.Attempts, d.Refusals, d.ID)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("settle rows of the outbox: %w", err)
	}
	return mine, nil
}

// Release implements dispatch.Outbox.
func (o outbox) Release(ctx context.Context, held []push.Held) error {
	return wrap("release rows of the outbox", o.s.write.do(ctx, func(t *tx) error {
		for _, h := range held {
			if err := t.exec(freeOutbox, h.ID, int64(h.Lease)); err != nil {
				return err
			}
		}
		return nil
	}, nil))
}

// Expire implements dispatch.Outbox.
func (o outbox) Expire(ctx context.Context, limit int) (int, error) {
	var n int64
	err := o.s.write.do(ctx, func(t *tx) error {
		now := o.s.clock.now()
		if err := t.exec(expireOnce, now, limit*oncePerRow); err != nil {
			return err
		}
		res, err := t.result(expireOutbox, now, limit)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	}, nil)
	if err != nil {
		return 0, fmt.Errorf("expire rows of the outbox: %w", err)
	}
	return int(n), nil
}
