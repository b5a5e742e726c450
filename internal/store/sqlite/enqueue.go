package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/store/keyring"
)

var errNoDeadline = errors.New("row has no deadline")

const (
	insertRow = `INSERT INTO queue (app, device, dedup, badge_only, has_counts, attempts, stale_dead, accepted, due, deadline)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device, dedup) DO NOTHING`
	insertPayload = `INSERT INTO payload (id, body) VALUES (?, ?)`
	// A row past its deadline that nobody has counted yet must not swallow a new notification: it loses its hash.
	forgetHash    = `UPDATE queue SET dedup = NULL WHERE id = ?`
	findDuplicate = `SELECT id FROM queue WHERE device = ? AND dedup = ? AND deadline <= ?`
	waitingBadges = `SELECT id, app, due FROM queue WHERE device = ? AND badge_only = 1 AND deadline > ? ORDER BY id DESC`
	leaveToExpire = `UPDATE queue SET deadline = 0 WHERE id = ?`
	deleteRow     = `DELETE FROM queue WHERE id = ?`
	deletePayload = `DELETE FROM payload WHERE id = ?`
	insertApp     = `INSERT INTO app (app_id) VALUES (?) ON CONFLICT (app_id) DO UPDATE SET app_id = excluded.app_id RETURNING no`
)

// enqueue is one Enqueue on its way through the writer.
type enqueue struct {
	store  *Store
	rows   []push.Queued // without payloads
	sealed [][]byte
	until  int64

	out   []push.Enqueued
	taken []removed
	left  []removed // reserved as well, and left to Expire
}

// removed is a row that a transaction deletes.
type removed struct {
	id  int64
	app *app
}

// Enqueue implements store.Queue.
func (s *Store) Enqueue(ctx context.Context, rows []push.Queued, lease time.Duration) ([]push.Enqueued, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	e := &enqueue{store: s, rows: slices.Clone(rows), sealed: make([][]byte, len(rows)), until: s.clock.now() + lease.Microseconds()}
	named := make([]push.AppID, len(rows))
	for i := range e.rows {
		r := &e.rows[i]
		named[i] = r.AppID
		if r.Deadline.IsZero() {
			return nil, fmt.Errorf("enqueue: %w", errNoDeadline)
		}
		e.sealed[i], r.Payload = s.sealer.Seal(payloadPlace(r.Device, r.Dedup, stamp(r.Accepted)), r.Payload), nil
	}
	if err := s.ensureApps(ctx, named); err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	if err := s.write.do(ctx, e.run, e.done); err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	return e.out, nil
}

// payloadPlace binds a payload to the row's lasting identity. The id is not known yet when a payload is sealed.
func payloadPlace(device, dedup push.Hash, accepted int64) keyring.Place {
	row := make([]byte, 0, len(device)+len(dedup)+8)
	row = append(append(row, device[:]...), dedup[:]...)
	for shift := 56; shift >= 0; shift -= 8 {
		row = append(row, byte(accepted>>shift))
	}
	return keyring.Place{Table: "payload", Column: "body", Row: row}
}

func (e *enqueue) run(t *tx) error {
	e.out = make([]push.Enqueued, len(e.rows))
	now := e.store.clock.now()
	e.store.schedule.lapse(now)
	for i, r := range e.rows {
		a := e.store.schedule.app(r.AppID)
		state := push.EnqueueStored
		if r.BadgeOnly {
			replaced, err := e.dropOlderBadges(t, r.Device, now)
			if err != nil {
				return fmt.Errorf("replace a badge: %w", err)
			}
			if replaced {
				state = push.EnqueueReplaced
			}
		}
		id, err := e.insert(t, a, r, now)
		if err != nil {
			return fmt.Errorf("insert the row: %w", err)
		}
		if id == 0 {
			e.out[i] = push.Enqueued{State: push.EnqueueDuplicate}
			continue
		}
		if err := t.exec(insertPayload, id, e.sealed[i]); err != nil {
			return fmt.Errorf("insert the payload: %w", err)
		}
		e.out[i] = push.Enqueued{State: state, ID: id, Lease: e.hold(a, r, id)}
	}
	return nil
}

// hold leases a row under way before anybody can see it.
func (e *enqueue) hold(a *app, r push.Queued, id int64) push.LeaseID {
	if !r.UnderWay {
		return 0
	}
	l := &lease{id: newLease(), app: a, device: r.Device, due: e.store.clock.micros(r.Due), until: e.until, badge: r.BadgeOnly}
	e.store.schedule.mu.Lock()
	defer e.store.schedule.mu.Unlock()
	e.store.schedule.hold(id, l)
	return l.id
}

// insert returns 0 when the row's duplicate hash already waits.
func (e *enqueue) insert(t *tx, a *app, r push.Queued, now int64) (int64, error) {
	id, err := e.insertOnce(t, a, r)
	if id != 0 || err != nil {
		return id, err
	}
	var old int64
	ok, err := t.row(findDuplicate, []any{r.Device[:], r.Dedup[:], now}, &old)
	if !ok || err != nil {
		return 0, err
	}
	if e.store.schedule.held(old) {
		return 0, nil // its last attempt still runs
	}
	if err := t.exec(forgetHash, old); err != nil {
		return 0, err
	}
	return e.insertOnce(t, a, r)
}

func (e *enqueue) insertOnce(t *tx, a *app, r push.Queued) (int64, error) {
	var dedup any
	if !r.Dedup.IsZero() {
		dedup = r.Dedup[:]
	}
	c := e.store.clock
	res, err := t.result(insertRow, a.no, r.Device[:], dedup, r.BadgeOnly, r.HasCounts, r.Attempts, r.StaleDead,
		stamp(r.Accepted), c.micros(r.Due), c.micros(r.Deadline))
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// dropOlderBadges deletes the newest waiting badge-only row of a device. The answer speaks of one: older ones, which were
// given back beside it, are left to Expire, which counts them.
func (e *enqueue) dropOlderBadges(t *tx, device push.Hash, now int64) (bool, error) {
	waiting, err := e.store.takeBadges(t, waitingBadges, device, now)
	n := min(len(waiting), 1)
	e.taken, e.left = append(e.taken, waiting[:n]...), append(e.left, waiting[n:]...)
	if err != nil {
		return false, err
	}
	for _, r := range waiting[n:] {
		if err := t.exec(leaveToExpire, r.id); err != nil {
			return false, err
		}
	}
	return n > 0, deleteRows(t, waiting[:n])
}

// takeBadges reserves the rows that query finds for a device and that are not in flight.
func (s *Store) takeBadges(t *tx, query string, device push.Hash, limit int64) ([]removed, error) {
	var found []removed
	err := t.each(query, []any{device[:], limit}, func(rows *sql.Rows) error {
		var id, no, due int64
		if err := rows.Scan(&id, &no, &due); err != nil {
			return err
		}
		if a, ok := s.schedule.reserve(id, no, device, due); ok {
			found = append(found, removed{id, a})
		}
		return nil
	})
	return found, err
}

func deleteRows(t *tx, rows []removed) error {
	for _, r := range rows {
		if err := errors.Join(t.exec(deleteRow, r.id), t.exec(deletePayload, r.id)); err != nil {
			return err
		}
	}
	return nil
}

// ensureApps gives new apps their number, in a transaction of their own: it happens once in the life of an app.
func (s *Store) ensureApps(ctx context.Context, named []push.AppID) error {
	fresh := map[push.AppID]int64{}
	for _, id := range named {
		if s.schedule.app(id) == nil {
			fresh[id] = 0
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return s.write.do(ctx, func(t *tx) error {
		for id := range fresh {
			no, err := appNumber(t, id)
			if err != nil {
				return err
			}
			fresh[id] = no
		}
		return nil
	}, func(committed bool) {
		s.schedule.mu.Lock()
		defer s.schedule.mu.Unlock()
		for id, no := range fresh {
			if committed {
				s.schedule.add(id, no)
			}
		}
	})
}

// appNumber finds or gives the number of an app.
func appNumber(t *tx, id push.AppID) (no int64, err error) {
	if _, err := t.row(insertApp, []any{string(id)}, &no); err != nil {
		return 0, fmt.Errorf("name the app: %w", err)
	}
	return no, nil
}

// done brings the schedule up to date.
func (e *enqueue) done(committed bool) {
	s := e.store.schedule
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range e.taken {
		s.finish(r, committed)
	}
	for _, r := range e.left {
		s.finish(r, false)
	}
	for i, out := range e.out {
		if out.ID == 0 {
			continue
		}
		r := e.rows[i]
		if !committed {
			if out.Lease != 0 {
				s.free(out.ID)
			}
			continue
		}
		a := s.apps[r.AppID]
		a.rows++
		a.firstID = min(a.firstID, out.ID)
		if out.Lease == 0 {
			s.waits(a, r.Device, position{e.store.clock.micros(r.Due), out.ID})
		}
	}
}
