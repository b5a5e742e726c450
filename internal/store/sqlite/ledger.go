package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

const (
	// recordDead keeps the later time of death; at the same time a certain entry beats a guarded one.
	recordDead = `INSERT INTO ledger (device, app, since, guarded, settings, cleared, recorded, seq) VALUES (?, ?, ?, ?, ?, 0, ?, ?)
		ON CONFLICT (device) DO UPDATE SET app = excluded.app, since = excluded.since, guarded = excluded.guarded,
			settings = excluded.settings, cleared = 0, recorded = excluded.recorded, seq = excluded.seq
		WHERE ledger.cleared = 1 OR excluded.since > ledger.since
			OR excluded.since = ledger.since AND excluded.guarded < ledger.guarded`
	clearDead     = `UPDATE ledger SET cleared = 1, recorded = ?, seq = ? WHERE device = ? AND cleared = 0`
	guardedDead   = `SELECT device FROM ledger WHERE app = ? AND guarded = 1 AND cleared = 0 AND (? OR settings IS NOT ?)`
	selectChanges = `SELECT seq, app, device, since, guarded, settings, recorded, cleared FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?`
	oldDead       = `SELECT device FROM ledger WHERE recorded < ? AND cleared = 0 ORDER BY recorded LIMIT ?`
	forgetCleared = `DELETE FROM ledger WHERE recorded < ? AND cleared = 1`
	readSettings  = `SELECT settings FROM app WHERE no = ?`
	noteSettings  = `UPDATE app SET settings = ? WHERE no = ?`
)

// metaSeq holds the last sequence number: the newest entry may have been pruned, and numbers must never come twice.
const metaSeq = "ledger_seq"

// pruneSlice is how many entries one transaction of Prune removes.
const pruneSlice = 5000

// numbering hands out sequence numbers in one transaction.
type numbering struct {
	t    *tx
	last int64
}

func number(t *tx) (*numbering, error) {
	value, ok, err := meta{t}.Get(t.ctx, metaSeq)
	if err != nil || !ok {
		return &numbering{t: t}, err
	}
	return &numbering{t: t, last: int64(binary.BigEndian.Uint64(value))}, nil
}

func (n *numbering) next() int64 { n.last++; return n.last }

func (n *numbering) save() error {
	return meta{n.t}.Put(n.t.ctx, metaSeq, binary.BigEndian.AppendUint64(nil, uint64(n.last)))
}

// Record implements store.Ledger.
func (s *Store) Record(ctx context.Context, dead []push.DeadKey) error {
	dead = slices.Clone(dead)
	named := make([]push.AppID, len(dead))
	for i, d := range dead {
		named[i] = d.AppID
	}
	if err := s.ensureApps(ctx, named); err != nil {
		return fmt.Errorf("record dead pushkeys: %w", err)
	}
	if err := s.write.do(ctx, func(t *tx) error { return s.record(t, dead) }, nil); err != nil {
		return fmt.Errorf("record dead pushkeys: %w", err)
	}
	return nil
}

// record writes entries whose apps have a number.
func (s *Store) record(t *tx, dead []push.DeadKey) error {
	if len(dead) == 0 {
		return nil
	}
	n, err := number(t)
	if err != nil {
		return fmt.Errorf("number the entries: %w", err)
	}
	now := s.clock.now()
	for _, d := range dead {
		a := s.schedule.app(d.AppID)
		var settings any // NULL for entries that are certain
		if !d.Settings.IsZero() {
			settings = d.Settings[:]
		}
		if err := t.exec(recordDead, d.Device[:], a.no, stamp(d.Since), d.Guarded, settings, now, n.next()); err != nil {
			return fmt.Errorf("write an entry: %w", err)
		}
	}
	return n.save()
}

// Clear implements store.Ledger.
func (s *Store) Clear(ctx context.Context, _ push.AppID, device push.Hash) error {
	if err := s.write.do(ctx, func(t *tx) error { return s.clear(t, []push.Hash{device}) }, nil); err != nil {
		return fmt.Errorf("clear a dead pushkey: %w", err)
	}
	return nil
}

func (s *Store) clear(t *tx, devices []push.Hash) error {
	if len(devices) == 0 {
		return nil
	}
	n, err := number(t)
	if err != nil {
		return fmt.Errorf("number the entries: %w", err)
	}
	now := s.clock.now()
	for _, device := range devices {
		if err := t.exec(clearDead, now, n.next(), device[:]); err != nil {
			return fmt.Errorf("clear an entry: %w", err)
		}
	}
	return n.save()
}

// Changes implements store.Ledger.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]push.DeadKey, error) {
	var out []push.DeadKey
	err := eachRow(ctx, s.stmts.changes, []any{after, limit}, func(rows *sql.Rows) error {
		d, err := s.scanDead(rows)
		out = append(out, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("follow the ledger: %w", err)
	}
	return out, nil
}

func (s *Store) scanDead(rows *sql.Rows) (push.DeadKey, error) {
	var d push.DeadKey
	var no, since, recorded int64
	var device, settings []byte
	if err := rows.Scan(&d.Seq, &no, &device, &since, &d.Guarded, &settings, &recorded, &d.Cleared); err != nil {
		return d, err
	}
	d.Settings = hash(settings)
	d.AppID, d.Device, d.Since, d.Recorded = s.schedule.name(no), hash(device), unstamp(since), s.clock.time(recorded)
	return d, nil
}

// Changed implements store.Ledger: no other process can change this file.
func (s *Store) Changed() <-chan struct{} { return nil }

// Settings implements store.Ledger.
func (s *Store) Settings(ctx context.Context, id push.AppID, fingerprint push.Hash) error {
	err := s.ensureApps(ctx, []push.AppID{id})
	if err == nil {
		no := s.schedule.app(id).no
		err = s.write.do(ctx, func(t *tx) error { return s.noteSettings(t, no, fingerprint) }, nil)
	}
	if err != nil {
		return fmt.Errorf("note an app's settings: %w", err)
	}
	return nil
}

func (s *Store) noteSettings(t *tx, no int64, fingerprint push.Hash) error {
	var noted []byte
	if _, err := t.row(readSettings, []any{no}, &noted); err != nil {
		return err
	}
	guarded, err := devices(t, guardedDead, no, noted != nil && hash(noted) != fingerprint, fingerprint[:])
	if err != nil {
		return err
	}
	if err := s.clear(t, guarded); err != nil {
		return err
	}
	return t.exec(noteSettings, fingerprint[:], no)
}

func devices(t *tx, query string, args ...any) (found []push.Hash, err error) {
	err = t.each(query, args, func(rows *sql.Rows) error {
		var device []byte
		if err := rows.Scan(&device); err != nil {
			return err
		}
		found = append(found, hash(device))
		return nil
	})
	return found, err
}

// Prune implements store.Ledger. Removed entries stay as marks for followers and go when they are as old themselves.
func (s *Store) Prune(ctx context.Context, before time.Time) error {
	limit := s.clock.micros(before)
	for removed := pruneSlice; removed == pruneSlice; {
		err := s.write.do(ctx, func(t *tx) error {
			old, err := devices(t, oldDead, limit, pruneSlice)
			if err != nil {
				return err
			}
			removed = len(old)
			if err := t.exec(forgetCleared, limit); err != nil {
				return err
			}
			return s.clear(t, old)
		}, nil)
		if err != nil {
			return fmt.Errorf("prune the ledger: %w", err)
		}
	}
	return nil
}
