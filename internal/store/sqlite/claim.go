package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	rowColumns = `q.id, q.device, q.dedup, q.badge_only, q.has_counts, q.attempts, q.stale_dead, q.accepted, q.due, q.deadline`

	// selectDue reads on from the cursor: the rest of its instant, then later ones. (A comparison of pairs would look up
	// the instant only, and waking an app puts all its rows into one.)
	selectDue = readDue + `q.due = ?2 AND q.id > ?3 UNION ALL ` + readDue + `q.due > ?2 AND q.due <= ?4 ORDER BY q.due, q.id`
	readDue   = `SELECT ` + rowColumns + `, p.body FROM queue q JOIN payload p ON p.id = q.id WHERE q.app = ?1 AND `
	// selectOne reads one row that a claim has found by its device.
	selectOne = `SELECT ` + rowColumns + `, p.body FROM queue q JOIN payload p ON p.id = q.id
		WHERE q.id = ? AND q.due <= ?`
	// selectDevice finds the due rows of one device, from a place on.
	selectDevice = `SELECT due, id FROM queue INDEXED BY queue_dedup
		WHERE device = ? AND app = ? AND due <= ? AND deadline > ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?`
)

// readAhead is how many rows of one device are found at once.
const readAhead = 64

// maxRounds bounds how often a claim looks behind rows that cannot be opened.
const maxRounds = 20

// unreadable is how long a row waits that cannot be opened: a key may be missing for a while.
const unreadable = time.Minute

// claim is one Claim under the schedule's lock.
type claim struct {
	store  *Store
	ctx    context.Context
	app    *app
	limit  int
	now    int64
	until  int64
	rows   []push.Queued // payloads still sealed
	doomed []int64       // badge-only rows with a newer one
}

// Claim implements store.Queue.
func (s *Store) Claim(ctx context.Context, id push.AppID, limit int, lease time.Duration) ([]push.Queued, error) {
	var rows []push.Queued
	for range maxRounds {
		more, err := s.claim(ctx, id, limit-len(rows), lease)
		if err != nil && len(rows) == 0 {
			return nil, fmt.Errorf("claim: %w", err)
		}
		opened := s.open(ctx, id, more)
		rows = append(rows, opened...)
		if err != nil || len(opened) == len(more) { // what is leased already must reach the caller
			break
		}
	}
	slices.SortFunc(rows, func(a, b push.Queued) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
	return rows, nil
}

// claim returns rows with their payloads still sealed.
func (s *Store) claim(ctx context.Context, id push.AppID, limit int, lease time.Duration) ([]push.Queued, error) {
	c := &claim{store: s, ctx: ctx, limit: limit, now: s.clock.now()}
	c.until = c.now + lease.Microseconds()
	err := c.collect(id)
	if len(c.doomed) > 0 {
		s.supersede(ctx, c.doomed)
	}
	return c.rows, err
}

// collect takes rows: first of devices that earlier claims had to pass, then from the cursor on.
func (c *claim) collect(id push.AppID) error {
	s := c.store.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(c.now)
	c.app = s.apps[id]
	if c.app == nil {
		return nil
	}
	err := c.revisit()
	if err == nil && len(c.rows) < c.limit {
		err = c.scan()
	}
	if err != nil {
		for _, r := range c.rows {
			s.giveBack(r.ID)
		}
		c.rows = nil
	}
	return err
}

// revisit looks at devices with due rows behind the cursor. A device that is found free stays remembered as long as it
// has more such rows.
func (c *claim) revisit() error {
	for range len(c.app.revisit) {
		if len(c.rows) >= c.limit {
			return nil
		}
		k := c.app.next()
		if err := c.lookAt(k); err != nil {
			c.app.look(k)
			return err
		}
	}
	return nil
}

func (c *claim) lookAt(k *look) error {
	s := c.store.schedule
	if s.busy[k.device] > 0 {
		s.pass(k)
		return nil
	}
	anew := false // what an earlier look has read ahead may be out of date: only what is read now says that nothing is left
	for after := (position{math.MinInt64, 0}); ; {
		if len(k.ahead) == 0 {
			anew = true
			if err := c.readAhead(k, after); err != nil || len(k.ahead) == 0 {
				return err
			}
		}
		p := k.ahead[0]
		k.ahead = k.ahead[1:]
		if anew {
			after = p // a row that may not be taken is not read again
		}
		taken, err := c.takeOne(p.id)
		if err != nil {
			return err
		}
		if taken {
			s.pass(k) // in flight now: the rest is looked at when it is free again
			return nil
		}
	}
}

// readAhead finds the next due rows of a device; none when there are no more.
func (c *claim) readAhead(k *look, after position) error {
	return eachRow(c.ctx, c.store.stmts.device, []any{k.device[:], c.app.no, c.now, c.now, after.due, after.id, readAhead}, func(rows *sql.Rows) error {
		var p position
		if err := rows.Scan(&p.due, &p.id); err != nil {
			return err
		}
		k.ahead = append(k.ahead, p)
		return nil
	})
}

// takeOne leases one row if it is still there and due.
func (c *claim) takeOne(id int64) (taken bool, err error) {
	err = eachRow(c.ctx, c.store.stmts.one, []any{id, c.now}, func(rows *sql.Rows) error {
		r, err := c.store.scan(rows, c.app.id)
		if err != nil {
			return err
		}
		taken, err = c.take(r)
		return err
	})
	return taken, err
}

// scan reads on from the cursor until there is enough.
func (c *claim) scan() error {
	s := c.store.schedule
	at := c.app.cursor
	return eachRow(c.ctx, c.store.stmts.due, []any{c.app.no, at.due, at.id, c.now}, func(rows *sql.Rows) error {
		r, err := c.store.scan(rows, c.app.id)
		if err != nil {
			return err
		}
		p := position{c.store.clock.micros(r.Due), r.ID}
		if s.leases[r.ID] == nil && !c.expired(r) && s.busy[r.Device] > 0 {
			s.pass(&look{app: c.app, device: r.Device, first: p})
		} else if _, err := c.take(r); err != nil {
			return err
		}
		c.app.cursor = p
		if len(c.rows) >= c.limit {
			return errEnough
		}
		return nil
	})
}

func (c *claim) expired(r push.Queued) bool { return c.store.clock.micros(r.Deadline) <= c.now }

// take leases a row of a free device, unless it is in flight, too old, or a badge-only one with a newer one.
func (c *claim) take(r push.Queued) (bool, error) {
	s := c.store.schedule
	if s.leases[r.ID] != nil || c.expired(r) {
		return false, nil
	}
	if r.BadgeOnly {
		newer, err := c.newerBadge(r)
		if err != nil {
			return false, err
		}
		if newer {
			c.doomed = append(c.doomed, r.ID)
			return false, nil
		}
	}
	l := &lease{id: newLease(), app: c.app, device: r.Device, due: c.store.clock.micros(r.Due), until: c.until, badge: r.BadgeOnly}
	s.hold(r.ID, l)
	r.Lease = l.id
	c.rows = append(c.rows, r)
	return true, nil
}

// newerBadge reports whether a newer badge-only row of the device exists: it stands for this one too.
func (c *claim) newerBadge(r push.Queued) (found bool, err error) {
	err = eachRow(c.ctx, c.store.stmts.newerBadge, []any{r.Device[:], r.ID}, func(*sql.Rows) error {
		found = true
		return nil
	})
	return found, err
}

// scan reads rowColumns and the payload, still sealed.
func (s *Store) scan(rows *sql.Rows, id push.AppID) (push.Queued, error) {
	r := push.Queued{AppID: id}
	var device, dedup []byte
	var accepted, due, deadline int64
	if err := rows.Scan(&r.ID, &device, &dedup, &r.BadgeOnly, &r.HasCounts, &r.Attempts, &r.StaleDead, &accepted, &due, &deadline, &r.Payload); err != nil {
		return r, err
	}
	r.Device, r.Dedup = hash(device), hash(dedup)
	r.Accepted, r.Due, r.Deadline = unstamp(accepted), s.clock.time(due), s.clock.time(deadline)
	return r, nil
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
			later = append(later, push.Settlement{Held: push.Held{ID: r.ID, Lease: r.Lease}, Due: s.clock.read().Add(unreadable), Attempts: r.Attempts, StaleDead: r.StaleDead})
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

// supersede leaves badge-only rows to Expire, which counts them. A row it fails for is seen again after a restart, or
// ends with its deadline.
func (s *Store) supersede(ctx context.Context, ids []int64) {
	err := s.write.do(ctx, func(t *tx) error {
		for _, id := range ids {
			if err := t.exec(leaveToExpire, id); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		s.logger.Error("cannot end superseded badge updates", slog.Any("error", err))
	}
}
