package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	// listChoices has one line for each choice, and one without a channel for a pusher that has none. All lines are of
	// one pushkey, so that the app alone tells pushers of one instant apart.
	listChoices = `SELECT p.id, c.channel, c.status FROM pusher p LEFT JOIN channel_choice c ON c.pusher = p.id
		WHERE p.owner = ? AND p.pushkey = ? ORDER BY p.created, p.app_id`
	pushersOfPushkey = `SELECT id FROM pusher WHERE owner = ? AND pushkey = ?`
	putChoice        = `INSERT INTO channel_choice (pusher, channel, status) VALUES (?, ?, ?)
		ON CONFLICT (pusher, channel) DO UPDATE SET status = excluded.status`
)

// ListChoices implements pusher.Choices.
func (s *Store) ListChoices(ctx context.Context, owner push.Owner, key push.Pushkey) ([]map[string]pusher.ChannelStatus, error) {
	k := s.codec().Key(pusher.Key{Owner: owner, Pushkey: key})
	var list []map[string]pusher.ChannelStatus
	var last int64
	err := query(ctx, s.read, listChoices, []any{k.Owner[:], k.Pushkey[:]}, func(rows *sql.Rows) error {
		var id int64
		var channel, word sql.NullString
		if err := rows.Scan(&id, &channel, &word); err != nil {
			return err
		}
		if len(list) == 0 || id != last {
			list, last = append(list, map[string]pusher.ChannelStatus{}), id
		}
		if !channel.Valid {
			return nil
		}
		status, err := pusher.ParseChannelStatus(word.String)
		list[len(list)-1][channel.String] = status
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list channel choices: %w", err)
	}
	return list, nil
}

// ChooseChannels implements pusher.Choices.
func (s *Store) ChooseChannels(ctx context.Context, owner push.Owner, key push.Pushkey, chosen map[string]pusher.ChannelStatus) error {
	k := s.codec().Key(pusher.Key{Owner: owner, Pushkey: key})
	chosen = maps.Clone(chosen) // the writer may be at it after the caller has given up
	var ids []int64
	err := s.write.do(ctx, func(t *tx) (err error) {
		if ids, err = pushersOf(t, k); err != nil {
			return err
		}
		for _, id := range ids {
			for channel, status := range chosen {
				if err := t.exec(putChoice, id, channel, status.String()); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil)
	if err == nil && len(ids) == 0 { // not from within: a call that fails costs the writer its connection
		err = pusher.ErrUnknownPushkey
	}
	return wrap("choose channels", err)
}

// pushersOf finds a person's pushers with one pushkey.
func pushersOf(t *tx, k registry.Key) ([]int64, error) {
	var ids []int64
	err := t.each(pushersOfPushkey, []any{k.Owner[:], k.Pushkey[:]}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}
