package postgres

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/store/registry"
)

// After a rotation the registry is sealed again under the current key, a slice of rows in each transaction, while the
// store is in use. Rows of the queue and the outbox are left to end by themselves within a day. Several nodes may do so
// at once: a row that another node has sealed is not stale any more.

const (
	stalePushers = `SELECT id, owner, pushkey, app_id, device, body, 0 FROM pusher
		WHERE id > $1 AND (substr(body, 1, 5) <> $2 OR substr(device, 1, 5) <> $2) ORDER BY id LIMIT $3 FOR UPDATE`
	resealPushers = `UPDATE pusher p SET device = i.device, body = i.body
		FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS i (id, device, body) WHERE p.id = i.id`
	// staleKeys locks the pushers, as everybody does before they change their keys. A key chain may have been stepped while
	// that lock was waited for: it is sealed anew only as it was read.
	staleKeys = `SELECT p.id, p.owner, p.pushkey, p.app_id, NULL::bytea, m.body, m.month FROM month_key m JOIN pusher p ON p.id = m.pusher
		WHERE m.pusher > $1 AND substr(m.body, 1, 5) <> $2 ORDER BY p.id LIMIT $3 FOR UPDATE OF p`
	resealKeys = `UPDATE month_key m SET body = i.body FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS i (id, was, body)
		WHERE m.pusher = i.id AND m.body = i.was`
)

// resealSlice is how many rows one transaction seals again.
const resealSlice = 200

// resealing is one table's rows on their way to the current key.
type resealing struct {
	store *Store
	find  string
	after int64 // the last id that was looked at
	total int
	lost  int // rows that no configured key opens
}

// numbered is a row with its number; month is that of a key chain.
type numbered struct {
	registry.Row
	id    int64
	month int32
}

// reseal runs until everything is sealed under the current key or ctx ends.
func (s *Store) reseal(ctx context.Context) {
	pushers, keys := &resealing{store: s, find: stalePushers}, &resealing{store: s, find: staleKeys}
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

// all runs slices until one is not full. write adds the statement that stores what has been sealed.
func (r *resealing) all(ctx context.Context, write func(p *pipeline, rows []numbered)) error {
	for {
		before := *r
		n, err := begunAnew(func() (int, error) {
			*r = before
			return r.slice(ctx, write)
		})
		if err != nil || n < resealSlice {
			return err
		}
	}
}

func (r *resealing) slice(ctx context.Context, write func(p *pipeline, rows []numbered)) (int, error) {
	x, err := r.store.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer x.close(ctx)
	var rows []numbered
	var find pipeline
	find.query(func(found pgx.Rows) error {
		var n numbered
		var owner, pushkey []byte
		err := found.Scan(&n.id, &owner, &pushkey, &n.AppID, &n.Device, &n.Body, &n.month)
		n.Owner, n.Pushkey = hash(owner), hash(pushkey)
		rows = append(rows, n)
		return err
	}, r.find, r.after, r.store.sealer.Current(), resealSlice)
	if err := x.send(ctx, &find); err != nil || len(rows) == 0 {
		return 0, err
	}
	r.after = rows[len(rows)-1].id
	p := pipeline{guarded: true}
	write(&p, rows)
	return len(rows), x.commit(ctx, &p)
}

func (r *resealing) pushers(p *pipeline, rows []numbered) {
	var ids []int64
	var devices, bodies [][]byte
	for _, n := range rows {
		if sealed, err := r.store.codec().Reseal(n.Row); r.seen(err) {
			ids, devices, bodies = append(ids, n.id), append(devices, sealed.Device), append(bodies, sealed.Body)
		}
	}
	p.exec(resealPushers, ids, devices, bodies)
}

func (r *resealing) keys(p *pipeline, rows []numbered) {
	var ids []int64
	var was, bodies [][]byte
	for _, n := range rows {
		if sealed, err := r.store.codec().ResealKeys(n.Key, n.month, n.Body); r.seen(err) {
			ids, was, bodies = append(ids, n.id), append(was, n.Body), append(bodies, sealed)
		}
	}
	p.exec(resealKeys, ids, was, bodies)
}

// seen counts a row, and reports whether it could be opened.
func (r *resealing) seen(err error) bool {
	if err != nil {
		r.lost++
		return false
	}
	r.total++
	return true
}
