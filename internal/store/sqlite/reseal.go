package sqlite

import (
	"context"
	"database/sql"
	"log/slog"

	"github.com/pushgate/pushgate/internal/store/registry"
)

// After a rotation the registry is sealed again under the current key, a slice of rows in each transaction, while the
// store is in use. Rows of the queue and the outbox are left to end by themselves within a day.

const (
	stalePushers = `SELECT id, owner, pushkey, app_id, device, body FROM pusher
		WHERE id > ? AND (substr(body, 1, 5) <> ? OR substr(device, 1, 5) <> ?) ORDER BY id LIMIT ?`
	resealPusher = `UPDATE pusher SET device = ?, body = ? WHERE id = ?`
	staleKeys    = `SELECT p.id, p.owner, p.pushkey, p.app_id, m.month, m.body FROM month_key m JOIN pusher p ON p.id = m.pusher
		WHERE m.pusher > ? AND substr(m.body, 1, 5) <> ? ORDER BY m.pusher LIMIT ?`
	resealKeys = `UPDATE month_key SET body = ? WHERE pusher = ?`
)

// resealSlice is how many rows one transaction seals again: a few milliseconds of the writer's time.
const resealSlice = 200

// resealing is one table's rows on their way to the current key.
type resealing struct {
	store *Store
	after int64 // the last id that was looked at
	found int   // in the last slice
	total int
	lost  int // rows that no configured key opens
}

// reseal runs until everything is sealed under the current key or ctx ends.
func (s *Store) reseal(ctx context.Context) {
	pushers, keys := &resealing{store: s}, &resealing{store: s}
	err := pushers.all(ctx, pushers.pushers)
	if err == nil {
		err = keys.all(ctx, keys.keys)
	}
	switch total, lost := pushers.total+keys.total, pushers.lost+keys.lost; {
	case ctx.Err() != nil:
	case err != nil:
		s.logger.Error("cannot seal the registry under the current key, the next start goes on", slog.Any("error", err))
	case lost > 0:
		s.logger.Warn("the registry holds rows that no configured key opens", slog.Int("rows", lost))
	default:
		s.logger.Info("the registry is sealed under the current key: old_key_files may go when what waits now has ended, within a day", slog.Int("rows", total))
	}
}

// all runs slices until one is not full.
func (r *resealing) all(ctx context.Context, slice func(t *tx) error) error {
	for r.found = resealSlice; r.found == resealSlice; {
		r.found = 0
		if err := r.store.write.do(ctx, slice, nil); err != nil {
			return err
		}
	}
	return nil
}

func (r *resealing) pushers(t *tx) error {
	c, current := r.store.codec(), r.store.sealer.Current()
	var rows []numbered
	if err := t.each(stalePushers, []any{r.after, current, current, resealSlice}, func(found *sql.Rows) error {
		var n numbered
		var owner, pushkey []byte
		err := found.Scan(&n.id, &owner, &pushkey, &n.AppID, &n.Device, &n.Body)
		n.Owner, n.Pushkey = hash(owner), hash(pushkey)
		rows = append(rows, n)
		return err
	}); err != nil {
		return err
	}
	for _, n := range rows {
		sealed, err := c.Reseal(n.Row)
		if r.seen(n.id, err) {
			if err := t.exec(resealPusher, blob(sealed.Device), sealed.Body, n.id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *resealing) keys(t *tx) error {
	c, current := r.store.codec(), r.store.sealer.Current()
	var rows []numbered
	if err := t.each(staleKeys, []any{r.after, current, resealSlice}, func(found *sql.Rows) error {
		var n numbered
		var owner, pushkey []byte
		err := found.Scan(&n.id, &owner, &pushkey, &n.AppID, &n.month, &n.Body)
		n.Owner, n.Pushkey = hash(owner), hash(pushkey)
		rows = append(rows, n)
		return err
	}); err != nil {
		return err
	}
	for _, n := range rows {
		sealed, err := c.ResealKeys(n.Key, n.month, n.Body)
		if r.seen(n.id, err) {
			if err := t.exec(resealKeys, sealed, n.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// numbered is a row with its number; month is that of a key chain.
type numbered struct {
	registry.Row
	id    int64
	month int32
}

// seen counts a row, and reports whether it could be opened.
func (r *resealing) seen(id int64, err error) bool {
	r.after = id
	r.found++
	if err != nil {
		r.lost++
		return false
	}
	r.total++
	return true
}
