package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	// selectGateways is a few steps down an index for each gateway.
	selectGateways = `SELECT g.gateway, g.rows,
			coalesce((SELECT o.accepted FROM outbox o WHERE o.gateway = g.gateway ORDER BY o.id LIMIT 1), 0),
			coalesce((SELECT o.due FROM outbox o INDEXED BY outbox_due WHERE o.gateway = g.gateway AND o.until = 0 ORDER BY o.due, o.id LIMIT 1), 0)
		FROM outbox_count g`
	// firstEnd finds the end of the first lease: from then on its row waits, although nobody has let go of it.
	firstEnd = `SELECT until FROM outbox WHERE until > 0 ORDER BY until LIMIT 1`
	// someOf names pushers that know the gateway's URL. The first does, unless it is damaged.
	someOf = `SELECT p.owner, p.pushkey, p.app_id, p.device, p.body, p.created, p.updated
		FROM outbox o JOIN pusher p ON p.id = o.pusher WHERE o.gateway = ? ORDER BY o.id LIMIT 100`
	findStep = `SELECT k.pusher, k.body FROM pusher p JOIN month_key k ON k.pusher = p.id
		WHERE p.owner = ? AND p.pushkey = ? AND p.app_id = ? AND p.updated = ? AND k.month = ?`
)

// Gateways implements dispatch.Outbox.
func (o outbox) Gateways(ctx context.Context) ([]dispatch.Waiting, error) {
	if err := o.lapse(ctx); err != nil {
		return nil, fmt.Errorf("list gateways: %w", err)
	}
	var all []dispatch.Waiting
	var hashes []push.Hash
	if err := query(ctx, o.s.read, selectGateways, nil, func(rows *sql.Rows) error {
		var w dispatch.Waiting
		var hashed []byte
		var oldest, due int64
		err := rows.Scan(&hashed, &w.Rows, &oldest, &due)
		w.Oldest, w.Next = registry.Time(oldest), o.s.clock.time(due)
		all, hashes = append(all, w), append(hashes, hash(hashed))
		return err
	}); err != nil {
		return nil, fmt.Errorf("list gateways: %w", err)
	}
	known, err := o.s.gateways.All(hashes, func(h push.Hash) (dispatch.Gateway, bool, error) { return o.gateway(ctx, h) })
	if err != nil {
		return nil, fmt.Errorf("list gateways: %w", err)
	}
	var out []dispatch.Waiting
	for i, w := range all {
		var ok bool
		if w.Gateway, ok = known[hashes[i]]; ok {
			out = append(out, w)
		}
	}
	return out, nil
}

// lapse lets go of rows whose lease has run out, when there are any, so that Gateways is never late.
func (o outbox) lapse(ctx context.Context) error {
	now, lapsed := o.s.clock.now(), false
	if err := query(ctx, o.s.read, firstEnd, nil, func(rows *sql.Rows) error {
		var until int64
		err := rows.Scan(&until)
		lapsed = until <= now
		return err
	}); err != nil || !lapsed {
		return err
	}
	return o.s.write.do(ctx, func(t *tx) error { return t.exec(lapseOutbox, now) }, nil)
}

// gateway finds out what a hash stands for. It is not found when its last row has just gone.
func (o outbox) gateway(ctx context.Context, hashed push.Hash) (g dispatch.Gateway, ok bool, err error) {
	err = query(ctx, o.s.read, someOf, []any{hashed[:]}, func(rows *sql.Rows) error {
		if ok {
			return nil
		}
		var r registry.Row
		var owner, pushkey []byte
		if err := rows.Scan(&owner, &pushkey, &r.AppID, &r.Device, &r.Body, &r.Created, &r.Updated); err != nil {
			return err
		}
		r.Owner, r.Pushkey = hash(owner), hash(pushkey)
		p, err := o.s.codec().Open(r)
		if errors.Is(err, keyring.ErrCorrupt) {
			o.s.logger.Error("stored pusher cannot be opened", slog.String("app_id", r.AppID), slog.Any("error", err))
			return nil
		}
		g, ok = dispatch.Gateway{Realm: p.Owner.Realm, URL: p.URL}, err == nil
		return err
	})
	return g, ok, err
}

// StepKeys implements dispatch.Keys.
func (o outbox) StepKeys(ctx context.Context, steps []dispatch.KeyStep) ([]bool, error) {
	ok := make([]bool, len(steps))
	err := o.s.write.do(ctx, func(t *tx) (err error) {
		for i, step := range steps {
			if ok[i], err = o.step(t, step); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("step keys: %w", err)
	}
	return ok, nil
}

func (o outbox) step(t *tx, step dispatch.KeyStep) (bool, error) {
	c := o.s.codec()
	k := c.Key(step.Key)
	var id int64
	var sealed []byte
	found, err := t.row(findStep, []any{k.Owner[:], k.Pushkey[:], k.AppID, registry.Stamp(step.Updated), int64(step.From)}, &id, &sealed)
	if !found || err != nil {
		return false, err
	}
	old, err := c.OpenKeys(k, int32(step.From), sealed)
	if err != nil {
		return false, err
	}
	month, sealed := c.SealKeys(k, pusher.Encryption{KeyID: old.KeyID, Generation: step.To})
	return true, t.exec(putMonthKey, id, month, sealed)
}
