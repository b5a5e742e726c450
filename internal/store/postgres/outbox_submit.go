package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	// lockOnce makes submissions with one idempotency key queue up.
	lockOnce   = `SELECT pg_advisory_xact_lock($1)`
	selectOnce = `SELECT body, receipt, accepted, status FROM outbox_once WHERE key = $1 AND at + $2 > store_clock()`
	putOnce    = `INSERT INTO outbox_once (key, body, at, until, receipt, accepted, status) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (key) DO UPDATE SET body = excluded.body, at = excluded.at, until = excluded.until,
			receipt = excluded.receipt, accepted = excluded.accepted, status = excluded.status`
	lockOwner = `SELECT id FROM pusher WHERE owner = $1 ORDER BY id FOR UPDATE`
	readClock = `SELECT store_clock()`
	// replaceCounts leaves what is in flight, and takes what was until its lease ran out.
	replaceCounts = `DELETE FROM outbox WHERE pusher = $1 AND has_counts AND badge_only AND until <= $2`
	insertOutbox  = `INSERT INTO outbox (pusher, gateway, badge_only, has_counts, accepted, due, deadline, payload)
		VALUES ($1, $2, $3, $4, $5, $5, $6, $7)`
)

// submission is one Submit.
type submission struct {
	dispatch.Submission
	s      *Store
	now    int64 // by the database's clock, once the pushers are locked
	locked []int64
	d      deviceList
	out    dispatch.Submitted
	err    error // of the caller's own making
}

// Submit implements dispatch.Intake.
func (o outbox) Submit(ctx context.Context, sub dispatch.Submission) (dispatch.Submitted, error) {
	for attempt := 1; ; attempt++ {
		x := &submission{Submission: sub, s: o.s, d: deviceList{s: o.s}}
		err := x.run(ctx)
		switch {
		case err == nil && x.err == nil:
			return x.out, nil
		case err == nil:
			return dispatch.Submitted{}, x.err
		case attempt == maxTransactions || !givenUp(err):
			return dispatch.Submitted{}, fmt.Errorf("submit: %w", err)
		}
	}
}

func (x *submission) run(ctx context.Context) error {
	session, err := x.s.begin(ctx)
	if err != nil {
		return err
	}
	defer session.close(ctx)
	if err := session.send(ctx, x.look()); err != nil {
		return err
	}
	if x.out.Replayed || x.err != nil {
		return nil
	}
	// A pusher that was registered after the locks were taken comes later than this event.
	list := slices.DeleteFunc(x.d.sorted(), func(d device) bool { return !slices.Contains(x.locked, d.id) })
	var plan dispatch.Plan
	if plan, x.err = x.Plan(plain(list)); x.err != nil {
		return nil
	}
	x.out.Receipt = plan.Receipt
	return session.commit(ctx, x.write(plan, list))
}

// look locks and reads everything that Plan needs.
func (x *submission) look() *pipeline {
	var p pipeline
	if x.Once != nil {
		p.exec(lockOnce, int64(binary.BigEndian.Uint64(x.Once.Key[:])))
		p.query(x.replay, selectOnce, x.Once.Key[:], x.Once.Keep.Microseconds())
	}
	owner := x.s.codec().Owner(x.Owner)
	p.query(func(rows pgx.Rows) error {
		var id int64
		err := rows.Scan(&id)
		x.locked = append(x.locked, id)
		return err
	}, lockOwner, owner[:])
	p.query(x.d.scan, selectDevices, owner[:])
	p.query(func(rows pgx.Rows) error { return rows.Scan(&x.now) }, readClock)
	return &p
}

// replay answers a repeat.
func (x *submission) replay(rows pgx.Rows) error {
	var body []byte
	var id string
	var accepted int64
	var status int32
	if err := rows.Scan(&body, &id, &accepted, &status); err != nil {
		return err
	}
	if hash(body) != x.Once.Body {
		x.err = dispatch.ErrKeyReused
		return nil
	}
	x.out = dispatch.Submitted{Replayed: true, Receipt: dispatch.Receipt{ID: id, Accepted: registry.Time(accepted), Status: dispatch.Status(status)}}
	return nil
}

// write stores the plan.
func (x *submission) write(plan dispatch.Plan, list []device) *pipeline {
	p := pipeline{guarded: true}
	codec, here := x.s.codec(), x.s.now()
	for _, n := range plan.Rows {
		d := list[n.Device]
		if n.HasCounts {
			p.queue(replaceCounts, []any{d.id, x.now}).Exec(func(tag pgconn.CommandTag) error {
				x.out.Replaced += int(tag.RowsAffected())
				return nil
			})
		}
		p.exec(insertOutbox, d.id, d.gateway, n.BadgeOnly, n.HasCounts, x.now, x.now+distance(n.Deadline, here),
			codec.SealPayload(d.key, x.now, n.Payload))
	}
	if x.Once != nil {
		r := plan.Receipt
		p.exec(putOnce, x.Once.Key[:], x.Once.Body[:], x.now, x.now+x.Once.Keep.Microseconds(), r.ID, stamp(r.Accepted), int32(r.Status))
	}
	return &p
}
