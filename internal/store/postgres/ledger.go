package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// writeLedger is held to the end of the transaction by whoever gives out sequence numbers: so they appear in their
	// order, and a follower that has seen one will never miss a lower one. It is also the lock of all entries, which have
	// no order of their own: whoever changes or deletes some takes it first.
	writeLedger = `SELECT pg_advisory_xact_lock($1)`

	// recordDead keeps the later time of death; at the same time a certain entry beats a guarded one. With $5 only
	// entries count whose row is still held under that lease.
	recordDead = `INSERT INTO ledger (device, app, since, guarded, settings, cleared, recorded, seq)
		SELECT x.device, x.app, x.since, x.guarded, x.settings, false, store_clock(), nextval('ledger_seq') FROM (
			SELECT DISTINCT ON (i.device) i.* FROM unnest($1::bytea[], $2::int[], $3::bigint[], $4::bool[], $6::bigint[], $7::bigint[], $8::bytea[])
				AS i (device, app, since, guarded, id, lease, settings)
			WHERE NOT $5::bool OR EXISTS (SELECT 1 FROM queue_lease l WHERE l.id = i.id AND l.lease = i.lease)
			ORDER BY i.device, i.since DESC, i.guarded) x
		ON CONFLICT (device) DO UPDATE SET app = excluded.app, since = excluded.since, guarded = excluded.guarded,
			settings = excluded.settings, cleared = false, recorded = excluded.recorded, seq = excluded.seq
		WHERE ledger.cleared OR excluded.since > ledger.since OR excluded.since = ledger.since AND excluded.guarded < ledger.guarded`

	// clearDead is completed by a condition.
	clearDead     = `UPDATE ledger SET cleared = true, recorded = store_clock(), seq = nextval('ledger_seq') WHERE NOT cleared AND `
	clearDevices  = clearDead + `device = ANY($1::bytea[]) AND ($2::int IS NULL OR app = $2)`
	clearSome     = clearDead + `device IN (SELECT device FROM ledger WHERE app = $1 AND NOT cleared LIMIT $2)`
	clearGuarded  = clearDead + `app = $1 AND guarded AND ($2::bool OR settings IS DISTINCT FROM $3)`
	clearOld      = clearDead + `device IN (SELECT device FROM ledger WHERE recorded < store_clock() + $1 AND NOT cleared ORDER BY recorded LIMIT $2)`
	forgetCleared = `DELETE FROM ledger WHERE cleared AND recorded < store_clock() + $1`
	announce      = `SELECT pg_notify('` + channel + `', '')`

	deadColumns   = `l.seq, a.app_id, l.device, l.since, l.guarded, l.settings, l.recorded - store_clock(), l.cleared FROM ledger l JOIN app a ON a.no = l.app`
	selectChanges = `SELECT ` + deadColumns + ` WHERE l.seq > $1 ORDER BY l.seq LIMIT $2`

	noteSettings = `UPDATE app SET settings = $2 WHERE no = $1`
	// readSettings locks the app's line, so that two nodes do not both find the old settings.
	readSettings = `SELECT settings FROM app WHERE no = $1 FOR UPDATE`
)

// deadRows are ledger entries as the columns that travel.
type deadRows struct {
	named       []push.AppID
	entries     []push.DeadKey
	ids, leases []int64
	fenced      bool // entries count only while their rows are held
}

// add adds an entry that rests on the verdict of a held row.
func (d *deadRows) add(dead push.DeadKey, h push.Held) {
	d.fenced = true
	d.named, d.entries = append(d.named, dead.AppID), append(d.entries, dead)
	d.ids, d.leases = append(d.ids, h.ID), append(d.leases, int64(h.Lease))
}

// record adds the statements that write the entries. Their apps have numbers.
func (d *deadRows) record(p *pipeline, s *Store) {
	if len(d.entries) == 0 {
		return
	}
	var devices [][]byte
	var apps []int32
	var since []int64
	var guarded []bool
	var settings [][]byte
	for _, e := range d.entries {
		app, _ := s.apps.number(e.AppID)
		devices, apps = append(devices, e.Device[:]), append(apps, app)
		since, guarded = append(since, stamp(e.Since)), append(guarded, e.Guarded)
		settings = append(settings, orNull(e.Settings))
	}
	p.exec(writeLedger, lockLedger)
	p.exec(recordDead, devices, apps, since, guarded, d.fenced, d.ids, d.leases, settings)
	p.exec(announce)
}

// Record implements store.Ledger.
func (s *Store) Record(ctx context.Context, dead []push.DeadKey) error {
	var d deadRows
	for _, e := range dead {
		d.add(e, push.Held{})
	}
	d.fenced = false
	if err := s.ensureApps(ctx, d.named); err != nil {
		return wrap("record dead pushkeys", err)
	}
	_, err := begunAnew(func() (struct{}, error) {
		var p pipeline
		d.record(&p, s)
		return struct{}{}, s.send(ctx, &p)
	})
	return wrap("record dead pushkeys", err)
}

// Clear implements store.Ledger.
func (s *Store) Clear(ctx context.Context, _ push.AppID, device push.Hash) error {
	_, err := s.clear(ctx, clearDevices, [][]byte{device[:]}, nil)
	return wrap("clear a dead pushkey", err)
}

// clear marks entries as removed and returns how many.
func (s *Store) clear(ctx context.Context, sql string, args ...any) (int, error) {
	return begunAnew(func() (n int, err error) {
		var p pipeline
		p.exec(writeLedger, lockLedger)
		p.queue(sql, args).Exec(affected(&n))
		p.exec(announce)
		return n, s.send(ctx, &p)
	})
}

// Changes implements store.Ledger.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]push.DeadKey, error) {
	out, err := s.dead(ctx, selectChanges, after, limit)
	return out, wrap("follow the ledger", err)
}

func (s *Store) dead(ctx context.Context, sql string, args ...any) (out []push.DeadKey, err error) {
	now := s.now()
	var p pipeline
	p.query(func(rows pgx.Rows) error {
		var d push.DeadKey
		var device, settings []byte
		var since, recorded int64
		err := rows.Scan(&d.Seq, &d.AppID, &device, &since, &d.Guarded, &settings, &recorded, &d.Cleared)
		d.Settings = hash(settings)
		d.Device, d.Since, d.Recorded = hash(device), unstamp(since), ahead(recorded, now)
		out = append(out, d)
		return err
	}, sql, args...)
	return out, s.send(ctx, &p)
}

// Settings implements store.Ledger.
func (s *Store) Settings(ctx context.Context, id push.AppID, fingerprint push.Hash) error {
	if err := s.ensureApps(ctx, []push.AppID{id}); err != nil {
		return wrap("note an app's settings", err)
	}
	app, _ := s.apps.number(id)
	_, err := begunAnew(func() (struct{}, error) { return struct{}{}, s.noteSettings(ctx, app, fingerprint) })
	return wrap("note an app's settings", err)
}

func (s *Store) noteSettings(ctx context.Context, app int32, fingerprint push.Hash) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, guard); err != nil {
			return err
		}
		var noted []byte
		if err := tx.QueryRow(ctx, readSettings, app).Scan(&noted); err != nil {
			return err
		}
		b := &pgx.Batch{}
		b.Queue(writeLedger, lockLedger)
		b.Queue(clearGuarded, app, noted != nil && hash(noted) != fingerprint, fingerprint[:])
		b.Queue(announce)
		b.Queue(noteSettings, app, fingerprint[:])
		return tx.SendBatch(ctx, b).Close()
	})
}

// Prune implements store.Ledger. Removed entries stay as marks for followers and go when they are as old themselves.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	age := distance(before, s.now())
	if _, err := s.clear(ctx, forgetCleared, age); err != nil {
		return wrap("prune the ledger", err)
	}
	for {
		n, err := s.clear(ctx, clearOld, age, slice)
		if err != nil || n < slice {
			return wrap("prune the ledger", err)
		}
	}
}
