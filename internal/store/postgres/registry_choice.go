package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

const (
	// listChoices has one line for each choice, and one without a channel for a pusher that has none. All lines are of
	// one pushkey, so that the app alone tells pushers of one instant apart.
	listChoices = `SELECT p.id, c.channel, c.status FROM pusher p LEFT JOIN channel_choice c ON c.pusher = p.id
		WHERE p.owner = $1 AND p.pushkey = $2 ORDER BY p.created, p.app_id COLLATE "C"`
	// putChoices chooses for exactly the pushers that it has locked, and says how many these are.
	putChoices = `WITH chosen AS MATERIALIZED (SELECT id FROM pusher WHERE owner = $1 AND pushkey = $2 ORDER BY id FOR UPDATE),
		put AS (INSERT INTO channel_choice (pusher, channel, status)
			SELECT chosen.id, u.channel, u.status FROM chosen, unnest($3::text[], $4::text[]) AS u (channel, status)
			ON CONFLICT (pusher, channel) DO UPDATE SET status = excluded.status)
		SELECT count(*) FROM chosen`
)

// ListChoices implements pusher.Choices.
func (s *Store) ListChoices(ctx context.Context, owner push.Owner, key push.Pushkey) ([]map[string]pusher.ChannelStatus, error) {
	k := s.codec().Key(pusher.Key{Owner: owner, Pushkey: key})
	var list []map[string]pusher.ChannelStatus
	err := s.registryTx(ctx, func(p *pipeline) {
		list = nil
		var last int64
		p.query(func(rows pgx.Rows) error {
			var id int64
			var channel, word *string
			if err := rows.Scan(&id, &channel, &word); err != nil {
				return err
			}
			if len(list) == 0 || id != last {
				list, last = append(list, map[string]pusher.ChannelStatus{}), id
			}
			if channel == nil {
				return nil
			}
			status, err := pusher.ParseChannelStatus(*word)
			list[len(list)-1][*channel] = status
			return err
		}, listChoices, k.Owner[:], k.Pushkey[:])
	})
	if err != nil {
		return nil, wrap("list channel choices", err)
	}
	return list, nil
}

// ChooseChannels implements pusher.Choices.
func (s *Store) ChooseChannels(ctx context.Context, owner push.Owner, key push.Pushkey, chosen map[string]pusher.ChannelStatus) error {
	k := s.codec().Key(pusher.Key{Owner: owner, Pushkey: key})
	channels, words := make([]string, 0, len(chosen)), make([]string, 0, len(chosen))
	for channel, status := range chosen {
		channels, words = append(channels, channel), append(words, status.String())
	}
	var pushers int64
	err := s.registryTx(ctx, func(p *pipeline) {
		p.query(func(rows pgx.Rows) error { return rows.Scan(&pushers) }, putChoices, k.Owner[:], k.Pushkey[:], channels, words)
	})
	if err == nil && pushers == 0 {
		err = pusher.ErrUnknownPushkey
	}
	return wrap("choose channels", err)
}
