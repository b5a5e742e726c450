package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/pusher"
)

// KeyChain reads a pusher's key chain, which the port never returns.
func (s *Store) KeyChain(ctx context.Context, key pusher.Key) (e *pusher.Encryption, err error) {
	c := s.codec()
	k := c.Key(key)
	err = s.registryTx(ctx, func(p *pipeline) {
		p.query(func(rows pgx.Rows) error {
			var month int32
			var body []byte
			if err := rows.Scan(&month, &body); err != nil {
				return err
			}
			e, err = c.OpenKeys(k, month, body)
			return err
		}, `SELECT m.month, m.body FROM month_key m JOIN pusher p ON p.id = m.pusher
			WHERE p.owner = $1 AND p.pushkey = $2 AND p.app_id = $3`, k.Owner[:], k.Pushkey[:], k.AppID)
	})
	return e, err
}

// RegistryPlans returns how PostgreSQL goes about every statement of the registry, by statement, as a transaction of
// ours does: with its guard.
func (s *Store) RegistryPlans(ctx context.Context) (map[string]string, error) {
	h, app, when, none := []byte{0}, "app", int64(0), []string{}
	plans := map[string]string{}
	for text, args := range map[string][]any{
		listPushers: {h}, lockRows: {h, app}, evictOthers: {h, app, h}, upsertPusher: {h, h, app, h, h, h, h},
		putMonthKey: {h, h, app, int32(0), h}, dropMonthKey: {h, h, app}, deletePusher: {h, h, app},
		deleteOfOwner: {h}, deleteOfSession: {h, h}, deleteRejected: {h, h, when}, deleteRejectedOfApp: {h, h, when, app},
		deleteRejectedOfUser: {h, h, when, h}, deleteRejectedOfBoth: {h, h, when, app, h},
		listChoices: {h, h}, putChoices: {h, h, none, none},
	} {
		var plan []string
		var p pipeline
		p.query(func(rows pgx.Rows) error {
			var line string
			err := rows.Scan(&line)
			plan = append(plan, line)
			return err
		}, "EXPLAIN "+text, args...)
		if err := s.send(ctx, &p); err != nil {
			return nil, err
		}
		plans[text] = strings.Join(plan, "\n")
	}
	return plans, nil
}
