package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"github.com/pushgate/pushgate/internal/pusher"
)

// KeyChain reads a pusher's key chain, which the port never returns.
func (s *Store) KeyChain(ctx context.Context, key pusher.Key) (*pusher.Encryption, error) {
	c := s.codec()
	k := c.Key(key)
	var month int32
	var body []byte
	var found bool
	err := s.write.do(ctx, func(t *tx) (err error) {
		found, err = t.row(`SELECT m.month, m.body FROM month_key m JOIN pusher p ON p.id = m.pusher
			WHERE p.owner = ? AND p.pushkey = ? AND p.app_id = ?`, []any{k.Owner[:], k.Pushkey[:], k.AppID}, &month, &body)
		return err
	}, nil)
	if err != nil || !found {
		return nil, err
	}
	return c.OpenKeys(k, month, body)
}

// RegistryPlans returns how SQLite goes about every statement of the registry, by statement.
func (s *Store) RegistryPlans(ctx context.Context) (map[string]string, error) {
	plans := map[string]string{}
	for _, text := range []string{
		listPushers, evictOthers, upsertPusher, putMonthKey, dropMonthKey, deletePusher, deleteOfOwner, deleteOfSession,
		deleteRejected, deleteRejectedOfApp, deleteRejectedOfUser, deleteRejectedOfBoth, listChoices, pushersOfPushkey, putChoice,
	} {
		args := make([]any, strings.Count(text, "?"))
		if strings.Contains(text, "?1") {
			args = make([]any, 8)
		}
		for i := range args {
			args[i] = []byte{0}
		}
		var plan []string
		if err := query(ctx, s.read, "EXPLAIN QUERY PLAN "+text, args, func(rows *sql.Rows) error {
			var id, parent, unused int
			var line string
			err := rows.Scan(&id, &parent, &unused, &line)
			plan = append(plan, line)
			return err
		}); err != nil {
			return nil, err
		}
		plans[text] = strings.Join(plan, "\n")
	}
	return plans, nil
}
