package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	listPushers = `SELECT owner, pushkey, app_id, device, body, created, updated FROM pusher WHERE owner = ?`
	evictOthers = `DELETE FROM pusher WHERE pushkey = ? AND app_id = ? AND owner <> ?`
	// upsertPusher keeps the number, the choices, the first time and the first session of a pusher.
	upsertPusher = `INSERT INTO pusher (owner, pushkey, app_id, gateway, session, device, body, created, updated)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
		ON CONFLICT (owner, pushkey, app_id) DO UPDATE SET
			gateway = excluded.gateway, body = excluded.body,
			device = CASE WHEN session IS NULL THEN excluded.device ELSE device END,
			session = coalesce(session, excluded.session),
			updated = max(excluded.updated, updated + 1)
		RETURNING id`
	putMonthKey = `INSERT INTO month_key (pusher, month, body) VALUES (?, ?, ?)
		ON CONFLICT (pusher) DO UPDATE SET month = excluded.month, body = excluded.body`
	dropMonthKey = `DELETE FROM month_key WHERE pusher = ?`
	deletePusher = `DELETE FROM pusher WHERE owner = ? AND pushkey = ? AND app_id = ?`
)

var _ pusher.Store = (*Store)(nil)

// codec is the form of the registry's rows.
func (s *Store) codec() registry.Codec { return registry.Codec{Sealer: s.sealer, Hasher: s.Hasher} }

// ListPushers implements pusher.Pushers. A damaged pusher is logged and left out, so that it does not hide the others:
// registering it again mends it.
func (s *Store) ListPushers(ctx context.Context, owner push.Owner) ([]pusher.Pusher, error) {
	c := s.codec()
	hashed := c.Owner(owner)
	var list []pusher.Pusher
	err := query(ctx, s.read, listPushers, []any{hashed[:]}, func(rows *sql.Rows) error {
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
	})
	if err != nil {
		return nil, fmt.Errorf("list pushers: %w", err)
	}
	slices.SortFunc(list, func(a, b pusher.Pusher) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.AppID, b.AppID), cmp.Compare(a.Pushkey.Reveal(), b.Pushkey.Reveal()))
	})
	return list, nil
}

// SetPusher implements pusher.Pushers.
func (s *Store) SetPusher(ctx context.Context, r pusher.Registration) error {
	c := s.codec()
	x := registering{store: s, row: c.Seal(r.Pusher), evict: r.Evict}
	if e := r.Pusher.Encryption; e != nil {
		x.month, x.keys = c.SealKeys(x.row.Key, *e)
	}
	if err := s.write.do(ctx, x.run, nil); err != nil {
		return fmt.Errorf("set a pusher: %w", err)
	}
	return nil
}

// registering is one SetPusher on its way through the writer.
type registering struct {
	store *Store
	row   registry.Row
	evict bool
	month int32
	keys  []byte // sealed; nil without encryption
}

func (x registering) run(t *tx) error {
	r := x.row
	if x.evict {
		if err := t.exec(evictOthers, r.Pushkey[:], r.AppID, r.Owner[:]); err != nil {
			return fmt.Errorf("evict: %w", err)
		}
	}
	var id int64
	if _, err := t.row(upsertPusher, []any{r.Owner[:], r.Pushkey[:], r.AppID, r.Gateway[:], blob(r.Session), blob(r.Device), r.Body,
		stamp(x.store.clock.read())}, &id); err != nil { // a fact, which providers date the death of a token against
		return fmt.Errorf("put the pusher: %w", err)
	}
	if x.keys == nil {
		return wrap("drop the keys", t.exec(dropMonthKey, id))
	}
	return wrap("put the keys", t.exec(putMonthKey, id, x.month, x.keys))
}

// blob keeps a missing value from becoming an empty one.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// DeletePusher implements pusher.Pushers.
func (s *Store) DeletePusher(ctx context.Context, key pusher.Key) (bool, error) {
	k := s.codec().Key(key)
	n, err := s.removePushers(ctx, deletePusher, k.Owner[:], k.Pushkey[:], k.AppID)
	return n > 0, wrap("delete a pusher", err)
}

// removePushers deletes what a statement names, and with it (ON DELETE CASCADE) choices and keys.
func (s *Store) removePushers(ctx context.Context, statement string, args ...any) (int, error) {
	var n int64
	err := s.write.do(ctx, func(t *tx) error {
		res, err := t.result(statement, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	}, nil)
	if err != nil {
		return 0, err // n may still be written by a call that was given up
	}
	return int(n), nil
}
