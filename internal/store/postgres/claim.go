package postgres

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	anyLapsed = `SELECT 1 FROM queue_lease WHERE until <= store_clock() LIMIT 1`

	// lockDue locks lines with something due that nobody else is working on, and says which of those whose turn it is.
	// It looks for them first and locks them in the order of devices, as everybody does: SKIP LOCKED alone is no reason to
	// lock in another one, for the server waits all the same when a line changes hands in the middle of its look. (A
	// join with what was found would be a loop in a loop as long as the planner has not met many lines.)
	lockDue = `WITH turn AS MATERIALIZED (SELECT device FROM queue_device
			WHERE app = $1 AND held = 0 AND due <= store_clock() AND device <> ALL($3::bytea[]) ORDER BY due LIMIT $2),
		locked AS MATERIALIZED (SELECT d.device FROM queue_device d WHERE d.device = ANY (ARRAY(SELECT device FROM turn))
				AND d.app + 0 = $1 AND d.held = 0 AND d.due <= store_clock() ORDER BY d.device FOR UPDATE OF d SKIP LOCKED)
		SELECT device, (device IN (SELECT device FROM locked)) IS TRUE FROM turn`

	// takeRows leases the first due row of each locked device. (app + 0 keeps the planner off the index by app, which
	// would read the whole queue for each device.) It comes after the locks, so nobody changes these devices
	// any more and its view of their rows is the present one.
	takeRows = `WITH clock AS MATERIALIZED (SELECT store_clock() AS now),
		d AS MATERIALIZED (SELECT unnest($1::bytea[]) AS device),
		doomed AS MATERIALIZED (SELECT q.id FROM d JOIN queue q ON q.device = d.device
			WHERE q.badge_only AND q.deadline > 0 AND EXISTS (SELECT 1 FROM queue n WHERE n.device = q.device AND n.badge_only AND n.id > q.id)
				AND NOT EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = q.id)),
		ended AS (UPDATE queue q SET deadline = 0 FROM doomed x WHERE q.id = x.id),
		first AS MATERIALIZED (SELECT r.* FROM clock, d CROSS JOIN LATERAL (
				SELECT q.* FROM queue q WHERE q.device = d.device AND q.app + 0 = $2 AND q.due <= clock.now AND q.deadline > clock.now
					AND NOT (q.badge_only AND EXISTS (SELECT 1 FROM doomed x WHERE x.id = q.id))
				ORDER BY q.due, q.id LIMIT 1) r
			WHERE NOT EXISTS (SELECT 1 FROM queue_device o WHERE o.device = d.device AND o.app <> $2 AND o.held > 0)),
		taken AS (INSERT INTO queue_lease (id, device, app, lease, until, claimed)
			SELECT f.id, f.device, f.app, $3, clock.now + $4, true FROM first f, clock ORDER BY f.device
			ON CONFLICT (device) WHERE claimed DO NOTHING RETURNING id, device),
		held AS (UPDATE queue_device l SET held = l.held + 1 FROM taken t WHERE l.device = t.device AND l.app = $2),
		idle AS (UPDATE queue_device l SET due = coalesce((SELECT min(q.due) FROM queue q
				WHERE q.device = l.device AND q.app + 0 = $2 AND q.deadline > (SELECT now FROM clock) AND NOT EXISTS (SELECT 1 FROM doomed x WHERE x.id = q.id)), 9223372036854775807)
			WHERE l.app = $2 AND l.device IN (SELECT device FROM d WHERE (device IN (SELECT device FROM first)) IS NOT TRUE))
		SELECT f.id, f.device, f.dedup, f.badge_only, f.has_counts, f.attempts, f.stale_dead, f.accepted,
			f.due - clock.now, f.deadline - clock.now, p.body
		FROM clock, first f JOIN payload p ON p.id = f.id WHERE (f.id IN (SELECT id FROM taken)) IS TRUE`
)

// maxRounds bounds how often a claim looks behind lines with nothing to take, and rows that cannot be opened.
const maxRounds = 20

// unreadable is how long a row waits that cannot be opened: a key may be missing for a while.
const unreadable = time.Minute

// Claim implements store.Queue.
func (s *Store) Claim(ctx context.Context, id push.AppID, limit int, lease time.Duration) ([]push.Queued, error) {
	app, ok, err := s.findApp(ctx, id)
	if err != nil || !ok {
		return nil, wrap("claim", err)
	}
	var rows []push.Queued
	c := &claiming{s: s, app: app, lease: lease, passed: [][]byte{}}
	for range maxRounds {
		more, again, err := c.claim(ctx, limit-len(rows))
		if err != nil && len(rows) == 0 {
			return nil, fmt.Errorf("claim: %w", err)
		}
		opened := s.open(ctx, id, more)
		rows = append(rows, opened...)
		if err != nil || !again && len(opened) == len(more) { // what is leased already must reach the caller
			break
		}
	}
	slices.SortFunc(rows, func(a, b push.Queued) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
	return rows, nil
}

// claiming is one Claim.
type claiming struct {
	s      *Store
	app    int32
	lease  time.Duration
	passed [][]byte // devices that others were working on when it was their turn
}

// turn is what a claim found.
type turn struct {
	rows   []push.Queued
	passed [][]byte
	again  bool // there may be more behind
	lapsed bool // leases have run out
}

// claim returns rows with their payloads still sealed. again says that others may be behind those it has met: lines with
// nothing to take, which are put right now, and lines that somebody else was working on, which it looks past from now
// on. Leases that have run out are ended first.
func (c *claiming) claim(ctx context.Context, limit int) (rows []push.Queued, again bool, err error) {
	t, err := c.take(ctx, limit, false)
	if err != nil {
		return nil, false, err
	}
	if t.lapsed {
		if err := c.s.sweep(ctx); err != nil {
			return nil, false, err
		}
		if t, err = c.take(ctx, limit, true); err != nil {
			return nil, false, err
		}
	}
	c.passed = append(c.passed, t.passed...)
	return t.rows, t.again, nil
}

// take is claim in one transaction. It takes nothing while leases have run out, unless it is told to go on.
func (c *claiming) take(ctx context.Context, limit int, goOn bool) (turn, error) {
	return begunAnew(func() (turn, error) { return c.takeOnce(ctx, limit, goOn) })
}

func (c *claiming) takeOnce(ctx context.Context, limit int, goOn bool) (turn, error) {
	x, err := c.s.begin(ctx)
	if err != nil {
		return turn{}, err
	}
	defer x.close(ctx)
	devices, t, err := c.lock(ctx, x, limit)
	if err != nil || t.lapsed && !goOn {
		return turn{lapsed: t.lapsed}, err
	}
	t.lapsed, t.again = false, len(devices)+len(t.passed) == limit
	if len(devices) > 0 {
		t.rows, err = x.takeRows(ctx, devices, c.app, c.lease, c.s.now())
	}
	t.again = t.again && len(t.rows) < limit
	return t, err
}

// lock locks devices, and says which it passed over and whether leases have run out.
func (c *claiming) lock(ctx context.Context, x *session, limit int) (devices [][]byte, t turn, err error) {
	var p pipeline
	p.query(func(pgx.Rows) error { t.lapsed = true; return nil }, anyLapsed)
	p.query(func(rows pgx.Rows) error {
		var device []byte
		var mine bool
		err := rows.Scan(&device, &mine)
		if mine {
			devices = append(devices, device)
		} else {
			t.passed = append(t.passed, device)
		}
		return err
	}, lockDue, c.app, limit, c.passed)
	err = x.send(ctx, &p)
	return devices, t, err
}

// takeRows leases a row of each device and commits.
func (x *session) takeRows(ctx context.Context, devices [][]byte, app int32, lease time.Duration, now time.Time) ([]push.Queued, error) {
	var out []push.Queued
	name := newLease()
	p := pipeline{guarded: true}
	p.query(func(rows pgx.Rows) error {
		r, err := scanRow(rows, now)
		r.Lease = push.LeaseID(name)
		out = append(out, r)
		return err
	}, takeRows, devices, app, name, lease.Microseconds())
	if err := x.commit(ctx, &p); err != nil {
		return nil, err
	}
	return out, nil
}

func scanRow(rows pgx.Rows, now time.Time) (push.Queued, error) {
	var r push.Queued
	var device, dedup []byte
	var accepted, due, deadline int64
	err := rows.Scan(&r.ID, &device, &dedup, &r.BadgeOnly, &r.HasCounts, &r.Attempts, &r.StaleDead, &accepted, &due, &deadline, &r.Payload)
	r.Device, r.Dedup = hash(device), hash(dedup)
	r.Accepted, r.Due, r.Deadline = unstamp(accepted), ahead(due, now), ahead(deadline, now)
	return r, err
}

// open opens the payloads. Rows that cannot be opened are put back for a while and never stop their neighbours.
func (s *Store) open(ctx context.Context, app push.AppID, rows []push.Queued) []push.Queued {
	var opened []push.Queued
	var later []push.Settlement
	var cause error
	for _, r := range rows {
		plain, err := s.sealer.Open(payloadPlace(r.Device, r.Dedup, stamp(r.Accepted)), r.Payload)
		if err != nil {
			cause = err
			later = append(later, push.Settlement{Held: push.Held{ID: r.ID, Lease: r.Lease}, Due: s.now().Add(unreadable), Attempts: r.Attempts, StaleDead: r.StaleDead})
			continue
		}
		r.AppID, r.Payload = app, plain
		opened = append(opened, r)
	}
	if len(later) > 0 {
		s.logger.Error("queued rows cannot be opened, they wait",
			slog.String("app", string(app)), slog.Int("rows", len(later)), slog.Int64("one", later[0].ID), slog.Any("error", cause))
		if _, err := s.Settle(ctx, later); err != nil {
			s.logger.Error("cannot put rows back", slog.Any("error", err))
		}
	}
	return opened
}
