package postgres

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	// lapseOutbox lets go of rows whose lease has run out. The lease's name stays: who held it may still settle. It takes
	// rows without their pushers, so it is a transaction of its own: one that went on to pushers would lock the wrong way
	// round.
	lapseOutbox = `WITH lapsed AS MATERIALIZED (SELECT id FROM outbox WHERE until > 0 AND until <= store_clock() FOR UPDATE SKIP LOCKED)
		UPDATE outbox o SET until = 0 FROM lapsed l WHERE o.id = l.id`
	// lockHeads locks the pushers whose turn it is, looking at so many due rows, and says how many these were. It locks in
	// the order of pushers although it skips what is locked: the server waits all the same when a row changes hands in the
	// middle of its look.
	lockHeads = `WITH due AS MATERIALIZED (SELECT o.pusher, o.due, o.id FROM outbox o
			WHERE o.gateway = $1 AND o.until = 0 AND o.due <= store_clock() AND o.deadline > store_clock()
				AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.pusher = o.pusher AND b.until > 0)
			ORDER BY o.due, o.id LIMIT $2),
		head AS MATERIALIZED (SELECT pusher, min(due) AS due, min(id) AS id FROM due GROUP BY pusher ORDER BY 2, 3 LIMIT $3)
		SELECT p.id, (SELECT count(*) FROM due) FROM head h JOIN pusher p ON p.id = h.pusher ORDER BY p.id FOR NO KEY UPDATE OF p SKIP LOCKED`
	// takeHeads leases the first due row of each locked pusher. It comes after the locks, so that its view of these rows is
	// the present one. (IS TRUE keeps the planner off the index by gateway, which would read the gateway's whole backlog
	// for each pusher.)
	takeHeads = `WITH clock AS MATERIALIZED (SELECT store_clock() AS now),
		head AS MATERIALIZED (SELECT r.id FROM clock, unnest($1::bigint[]) AS u (pusher) CROSS JOIN LATERAL (
				SELECT o.id FROM outbox o WHERE o.pusher = u.pusher AND (o.gateway = $2) IS TRUE AND o.until = 0
					AND o.due <= clock.now AND o.deadline > clock.now ORDER BY o.due, o.id LIMIT 1) r
			WHERE NOT EXISTS (SELECT 1 FROM outbox b WHERE b.pusher = u.pusher AND b.until > 0)),
		taken AS (UPDATE outbox o SET lease = $3, until = clock.now + $4 FROM clock, head h WHERE o.id = h.id RETURNING o.*)
		SELECT t.id, t.attempts, t.refusals, t.badge_only, t.has_counts, t.accepted, t.deadline - clock.now, t.payload,
			p.owner, p.pushkey, p.app_id, p.device, p.body, p.created, p.updated, coalesce(k.month, 0), k.body
		FROM clock, taken t JOIN pusher p ON p.id = t.pusher LEFT JOIN month_key k ON k.pusher = p.id ORDER BY t.due, t.id`
	nextOutbox = `SELECT due - store_clock() FROM outbox WHERE gateway = $1 AND until = 0 AND deadline > store_clock() ORDER BY due, id LIMIT 1`
)

// headsAhead is how many due rows a claim looks at for each that it wants. Where they belong to too few pushers, it looks
// at all.
const headsAhead = 10

// claimed is a row as it is stored.
type claimed struct {
	dispatch.Row
	stored   registry.Row
	accepted int64
	month    int32
	keys     []byte
}

// outboxClaim is one Claim.
type outboxClaim struct {
	o       outbox
	gateway push.Hash
	limit   int
	lease   time.Duration

	at   int64
	rows []claimed
	next time.Time
}

// Claim implements dispatch.Outbox.
func (o outbox) Claim(ctx context.Context, g dispatch.Gateway, limit int, lease time.Duration) (dispatch.Claimed, error) {
	for attempt := 1; ; attempt++ {
		c := &outboxClaim{o: o, gateway: o.s.codec().Gateway(g.Realm, g.URL), limit: max(limit, 0), lease: lease}
		enough, err := c.run(ctx, c.limit*headsAhead)
		if err == nil && !enough {
			_, err = c.run(ctx, math.MaxInt32)
		}
		if err == nil {
			return dispatch.Claimed{Rows: o.open(ctx, c.rows), Next: c.next, At: registry.Time(c.at)}, nil
		}
		if attempt == maxTransactions || !givenUp(err) {
			return dispatch.Claimed{}, wrap("claim from the outbox", err)
		}
	}
}

// run is the claim, looking at so many due rows. It is not enough where these belong to too few pushers: then nothing is
// claimed, and to look at more means to begin anew, so that pushers are locked in their order.
func (c *outboxClaim) run(ctx context.Context, window int) (enough bool, err error) {
	x, err := c.o.s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer x.close(ctx)
	var p pipeline
	p.exec(lapseOutbox)
	p.exec("COMMIT")
	p.exec("BEGIN")
	p.exec(guard)
	p.query(func(rows pgx.Rows) error { return rows.Scan(&c.at) }, readClock)
	pushers, more := c.lock(&p, window)
	if err := x.send(ctx, &p); err != nil {
		return false, err
	}
	if len(*pushers) < c.limit && *more && window < math.MaxInt32 {
		return false, nil
	}
	return true, x.commit(ctx, c.take(*pushers))
}

// lock locks pushers and says whether there are more due rows than it looked at.
func (c *outboxClaim) lock(p *pipeline, window int) (pushers *[]int64, more *bool) {
	pushers, more = new([]int64), new(bool)
	p.query(func(rows pgx.Rows) error {
		var id int64
		var seen int
		err := rows.Scan(&id, &seen)
		*pushers, *more = append(*pushers, id), seen >= window
		return err
	}, lockHeads, c.gateway[:], window, c.limit)
	return pushers, more
}

// take leases a row of each pusher and looks for the next.
func (c *outboxClaim) take(pushers []int64) *pipeline {
	now, lease := c.o.s.now(), newLease()
	p := pipeline{guarded: true}
	if len(pushers) > 0 {
		p.query(func(rows pgx.Rows) error {
			r, err := scanOutbox(rows, now)
			r.Lease = push.LeaseID(lease)
			c.rows = append(c.rows, r)
			return err
		}, takeHeads, pushers, c.gateway[:], lease, c.lease.Microseconds())
	}
	p.query(func(rows pgx.Rows) error {
		var due int64
		err := rows.Scan(&due)
		c.next = ahead(due, now)
		return err
	}, nextOutbox, c.gateway[:])
	return &p
}

func scanOutbox(rows pgx.Rows, now time.Time) (claimed, error) {
	var c claimed
	var owner, pushkey []byte
	var deadline int64
	err := rows.Scan(&c.ID, &c.Attempts, &c.Refusals, &c.BadgeOnly, &c.HasCounts, &c.accepted, &deadline, &c.Payload,
		&owner, &pushkey, &c.stored.AppID, &c.stored.Device, &c.stored.Body, &c.stored.Created, &c.stored.Updated, &c.month, &c.keys)
	c.stored.Owner, c.stored.Pushkey = hash(owner), hash(pushkey)
	c.Accepted, c.Deadline = registry.Time(c.accepted), ahead(deadline, now)
	return c, err
}

// open opens what was claimed. A row that cannot be opened is put back for a while and never stops its neighbours.
func (o outbox) open(ctx context.Context, rows []claimed) []dispatch.Row {
	var out []dispatch.Row
	var later []dispatch.Settlement
	for _, c := range rows {
		if err := c.unseal(o.s.codec()); err != nil {
			o.s.logger.Error("outbox row cannot be opened, it waits", slog.Int64("row", c.ID), slog.String("app_id", c.stored.AppID), slog.Any("error", err))
			later = append(later, dispatch.Settlement{Held: c.Held, Due: o.s.now().Add(unreadable), Attempts: c.Attempts, Refusals: c.Refusals})
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
