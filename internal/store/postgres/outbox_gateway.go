package postgres

import (
	"context"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	foldGateways = `WITH old AS MATERIALIZED (SELECT id FROM outbox_count ORDER BY id LIMIT 10000 FOR UPDATE SKIP LOCKED),
		gone AS (DELETE FROM outbox_count c USING old o WHERE c.id = o.id RETURNING c.gateway, c.delta)
		INSERT INTO outbox_count (gateway, delta) SELECT gateway, sum(delta) FROM gone GROUP BY gateway HAVING sum(delta) <> 0`
	// selectGateways is a few steps down an index for each gateway.
	selectGateways = `WITH counted AS MATERIALIZED (SELECT gateway, sum(delta)::bigint AS rows FROM outbox_count GROUP BY gateway HAVING sum(delta) > 0)
		SELECT g.gateway, g.rows, coalesce(f.accepted, 0), n.due - store_clock() FROM counted g
		LEFT JOIN LATERAL (SELECT o.accepted FROM outbox o WHERE o.gateway = g.gateway ORDER BY o.id LIMIT 1) f ON true
		LEFT JOIN LATERAL (SELECT o.due FROM outbox o WHERE o.gateway = g.gateway AND o.until = 0 ORDER BY o.due, o.id LIMIT 1) n ON true`
	// someOf names pushers that know the gateway's URL. The first does, unless it is damaged.
	someOf = `SELECT p.owner, p.pushkey, p.app_id, p.device, p.body, p.created, p.updated
		FROM outbox o JOIN pusher p ON p.id = o.pusher WHERE o.gateway = $1 ORDER BY o.id LIMIT 3`
	findSteps = `SELECT u.n, k.pusher, k.body
		FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::integer[]) WITH ORDINALITY AS u (owner, pushkey, app_id, updated, month, n)
		JOIN pusher p ON p.owner = u.owner AND p.pushkey = u.pushkey AND p.app_id = u.app_id AND p.updated = u.updated
		JOIN month_key k ON k.pusher = p.id AND k.month = u.month`
	lockPushers = `SELECT id FROM pusher WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE`
	// stepMonthKey compares with the sealed value that was read: no two are alike, so it is this chain in this month.
	stepMonthKey = `UPDATE month_key SET month = $3, body = $4 WHERE pusher = $1 AND body = $2 RETURNING pusher`
)

// Gateways implements dispatch.Outbox.
func (o outbox) Gateways(ctx context.Context) ([]dispatch.Waiting, error) {
	now := o.s.now()
	var all []dispatch.Waiting
	var hashes []push.Hash
	err := o.s.registryTx(ctx, func(p *pipeline) {
		all, hashes = nil, nil
		p.exec(lapseOutbox) // so that Next is never late
		p.exec(foldGateways)
		p.query(func(rows pgx.Rows) error {
			var w dispatch.Waiting
			var hashed []byte
			var oldest int64
			var due *int64
			err := rows.Scan(&hashed, &w.Rows, &oldest, &due)
			w.Oldest = registry.Time(oldest)
			if due != nil {
				w.Next = ahead(*due, now)
			}
			all, hashes = append(all, w), append(hashes, hash(hashed))
			return err
		}, selectGateways)
	})
	if err != nil {
		return nil, wrap("list gateways", err)
	}
	known, err := o.s.gateways.All(hashes, func(h push.Hash) (dispatch.Gateway, bool, error) { return o.gateway(ctx, h) })
	if err != nil {
		return nil, wrap("list gateways", err)
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

// gateway finds out what a hash stands for. It is not found when its last row has just gone.
func (o outbox) gateway(ctx context.Context, hashed push.Hash) (g dispatch.Gateway, ok bool, err error) {
	err = o.s.registryTx(ctx, func(p *pipeline) {
		ok = false
		p.query(func(rows pgx.Rows) error {
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
		}, someOf, hashed[:])
	})
	return g, ok, err
}

// StepKeys implements dispatch.Keys.
func (o outbox) StepKeys(ctx context.Context, steps []dispatch.KeyStep) ([]bool, error) {
	ok := make([]bool, len(steps))
	if len(steps) == 0 {
		return ok, nil
	}
	found, err := o.findSteps(ctx, steps)
	if err != nil {
		return nil, wrap("step keys", err)
	}
	var pushers []int64
	for _, f := range found {
		pushers = append(pushers, f.pusher)
	}
	err = o.s.registryTx(ctx, func(p *pipeline) {
		clear(ok)
		p.exec(lockPushers, pushers)
		for _, f := range found {
			p.query(func(pgx.Rows) error { ok[f.step] = true; return nil }, stepMonthKey, f.pusher, f.old, f.month, f.sealed)
		}
	})
	if err != nil {
		return nil, wrap("step keys", err)
	}
	return ok, nil
}

// foundStep is a step whose generation is still the one that it starts from.
type foundStep struct {
	step        int // index
	pusher      int64
	old, sealed []byte
	month       int32
}

func (o outbox) findSteps(ctx context.Context, steps []dispatch.KeyStep) ([]foundStep, error) {
	c := o.s.codec()
	var owners, pushkeys [][]byte
	var apps []string
	var updated []int64
	var months []int32
	for _, step := range steps {
		k := c.Key(step.Key)
		owners, pushkeys, apps = append(owners, k.Owner[:]), append(pushkeys, k.Pushkey[:]), append(apps, k.AppID)
		updated, months = append(updated, registry.Stamp(step.Updated)), append(months, int32(step.From))
	}
	var found []foundStep
	err := o.s.registryTx(ctx, func(p *pipeline) {
		found = nil
		p.query(func(rows pgx.Rows) error {
			var f foundStep
			if err := rows.Scan(&f.step, &f.pusher, &f.old); err != nil {
				return err
			}
			f.step-- // ordinality counts from one
			step := steps[f.step]
			k := c.Key(step.Key)
			old, err := c.OpenKeys(k, int32(step.From), f.old)
			if err != nil {
				return err
			}
			f.month, f.sealed = c.SealKeys(k, pusher.Encryption{KeyID: old.KeyID, Generation: step.To})
			found = append(found, f)
			return nil
		}, findSteps, owners, pushkeys, apps, updated, months)
	})
	return found, err
}
