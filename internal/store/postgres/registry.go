package postgres

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	listPushers = `SELECT owner, pushkey, app_id, device, body, created, updated FROM pusher WHERE owner = $1`
	// lockPair makes registrations that evict each other queue up: one that is not committed yet has no row to lock.
	lockPair    = `SELECT pg_advisory_xact_lock($1)`
	lockRows    = `SELECT id FROM pusher WHERE pushkey = $1 AND app_id = $2 ORDER BY id FOR UPDATE`
	evictOthers = `DELETE FROM pusher WHERE pushkey = $1 AND app_id = $2 AND owner <> $3`
	// upsertPusher locks the row, and keeps the number, the choices, the first time and the first session of a pusher.
	upsertPusher = `INSERT INTO pusher (owner, pushkey, app_id, gateway, session, device, body, created, updated)
		VALUES ($1, $2, $3, $4, $5, $6, $7, store_clock(), store_clock())
		ON CONFLICT (owner, pushkey, app_id) DO UPDATE SET
			gateway = excluded.gateway, body = excluded.body,
			device = CASE WHEN pusher.session IS NULL THEN excluded.device ELSE pusher.device END,
			session = coalesce(pusher.session, excluded.session),
			updated = greatest(excluded.updated, pusher.updated + 1)`
	putMonthKey = `INSERT INTO month_key (pusher, month, body)
		SELECT id, $4, $5 FROM pusher WHERE owner = $1 AND pushkey = $2 AND app_id = $3
		ON CONFLICT (pusher) DO UPDATE SET month = excluded.month, body = excluded.body`
	dropMonthKey = `DELETE FROM month_key WHERE pusher = (SELECT id FROM pusher WHERE owner = $1 AND pushkey = $2 AND app_id = $3)`
	deletePusher = `DELETE FROM pusher WHERE owner = $1 AND pushkey = $2 AND app_id = $3`
)

var _ pusher.Store = (*Store)(nil)

// codec is the form of the registry's rows.
func (s *Store) codec() registry.Codec { return registry.Codec{Sealer: s.sealer, Hasher: s.Hasher} }

// registryTx runs one transaction of the registry. Rows are locked in the order of their numbers, but an insertion locks by
// its key.
func (s *Store) registryTx(ctx context.Context, build func(p *pipeline)) error {
	_, err := begunAnew(func() (struct{}, error) {
		var p pipeline
		build(&p)
		return struct{}{}, s.send(ctx, &p)
	})
	return err
}

// ListPushers implements pusher.Pushers. A damaged pusher is logged and left out, so that it does not hide the others:
// registering it again mends it.
func (s *Store) ListPushers(ctx context.Context, owner push.Owner) ([]pusher.Pusher, error) {
	c := s.codec()
	hashed := c.Owner(owner)
	var list []pusher.Pusher
	err := s.registryTx(ctx, func(p *pipeline) {
		list = nil
		p.query(func(rows pgx.Rows) error {
			var r registry.Row
			var owner, pushkey []byte
			if err := rows.Scan(&owner, &pushkey, &r.AppID, &r.Device, &r.Body, &r.Created, &r.Updated); err != nil {
				return err
			}
			r.Owner, r.Pushkey = hash(owner), hash(pushkey)
			p, err := c.Open(r)
			if errors.Is(err, keyring.ErrCorrupt) {
				s.logger.Error("stored pusher cannot be opened", slog.String("app_id", r.AppID), slog.Any("error", err))
				return nil
			}
			list = append(list, p)
			return err
		}, listPushers, hashed[:])
	})
	if err != nil {
		return nil, wrap("list pushers", err)
	}
	slices.SortFunc(list, func(a, b pusher.Pusher) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.AppID, b.AppID), cmp.Compare(a.Pushkey.Reveal(), b.Pushkey.Reveal()))
	})
	return list, nil
}

// SetPusher implements pusher.Pushers.
func (s *Store) SetPusher(ctx context.Context, r pusher.Registration) error {
	c := s.codec()
	row := c.Seal(r.Pusher)
	var month int32
	var keys []byte
	if e := r.Pusher.Encryption; e != nil {
		month, keys = c.SealKeys(row.Key, *e)
	}
	return wrap("set a pusher", s.registryTx(ctx, func(p *pipeline) {
		if r.Evict {
			p.exec(lockPair, pairLock(row.Key))
			p.exec(lockRows, row.Pushkey[:], row.AppID)
			p.exec(evictOthers, row.Pushkey[:], row.AppID, row.Owner[:])
		}
		p.exec(upsertPusher, row.Owner[:], row.Pushkey[:], row.AppID, row.Gateway[:], row.Session, row.Device, row.Body)
		if keys == nil {
			p.exec(dropMonthKey, row.Owner[:], row.Pushkey[:], row.AppID)
		} else {
			p.exec(putMonthKey, row.Owner[:], row.Pushkey[:], row.AppID, month, keys)
		}
	}))
}

// pairLock names the advisory lock of a pushkey. The app is left out: apps that share one do not mind to wait.
func pairLock(k registry.Key) int64 { return int64(binary.BigEndian.Uint64(k.Pushkey[:])) }

// DeletePusher implements pusher.Pushers.
func (s *Store) DeletePusher(ctx context.Context, key pusher.Key) (bool, error) {
	k := s.codec().Key(key)
	n, err := s.removePushers(ctx, deletePusher, k.Owner[:], k.Pushkey[:], k.AppID)
	return n > 0, wrap("delete a pusher", err)
}

// removePushers deletes what a statement names, and with it (ON DELETE CASCADE) choices and keys.
func (s *Store) removePushers(ctx context.Context, statement string, args ...any) (int, error) {
	var n int64
	err := s.registryTx(ctx, func(p *pipeline) {
		p.queue(statement, args).Exec(func(tag pgconn.CommandTag) error {
			n = tag.RowsAffected()
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
