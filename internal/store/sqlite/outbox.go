package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/registry"
)

const (
	// selectDevices has one line for each choice, and one without a channel for a pusher that has none.
	selectDevices = `SELECT p.id, p.owner, p.pushkey, p.app_id, p.gateway, p.device, p.body, p.created, p.updated,
			k.pusher IS NOT NULL, c.channel, c.status
		FROM pusher p LEFT JOIN month_key k ON k.pusher = p.id LEFT JOIN channel_choice c ON c.pusher = p.id
		WHERE p.owner = ? ORDER BY p.id`
	selectOnce = `SELECT body, at, receipt, accepted, status FROM outbox_once WHERE key = ?`
	putOnce    = `INSERT INTO outbox_once (key, body, at, until, receipt, accepted, status) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET body = excluded.body, at = excluded.at, until = excluded.until,
			receipt = excluded.receipt, accepted = excluded.accepted, status = excluded.status`
	insertOutbox = `INSERT INTO outbox (pusher, gateway, badge_only, has_counts, accepted, due, deadline, payload)
		VALUES (?, ?, ?, ?, ?6, ?6, ?5, ?7)`
	// replaceBadges leaves what is in flight, and takes what was until its lease ran out.
	replaceBadges = `DELETE FROM outbox WHERE pusher = ? AND badge_only = 1 AND until <= ?`
	endOutbox     = `UPDATE outbox SET lease = 0, until = 0 WHERE until > 0`
)

// outbox is the store as package dispatch sees it. It has a type of its own because its rows are claimed and settled
// under the same names as the queue's.
type outbox struct{ s *Store }

// Outbox returns the outbox of the registry's pushers.
func (s *Store) Outbox() dispatch.Store { return outbox{s} }

// endOutboxLeases frees what a former process held.
func (s *Store) endOutboxLeases(ctx context.Context) error {
	return wrap("end the leases of the outbox", s.write.do(ctx, func(t *tx) error { return t.exec(endOutbox) }, nil))
}

// device is one pusher with its choices, and where its rows go.
type device struct {
	dispatch.Device
	id      int64
	key     registry.Key
	gateway []byte
}

// deviceList gathers the lines of selectDevices.
type deviceList struct {
	s    *Store
	list []device
	last int64
	skip bool // the pusher of these lines is damaged
}

func (d *deviceList) scan(rows *sql.Rows) error {
	var x device
	var r registry.Row
	var owner, pushkey []byte
	var channel, word sql.NullString
	if err := rows.Scan(&x.id, &owner, &pushkey, &r.AppID, &x.gateway, &r.Device, &r.Body, &r.Created, &r.Updated,
		&x.Encrypted, &channel, &word); err != nil {
		return err
	}
	if x.id != d.last {
		r.Owner, r.Pushkey = hash(owner), hash(pushkey)
		var err error
		x.Pusher, err = d.s.codec().Open(r)
		d.last, d.skip = x.id, errors.Is(err, keyring.ErrCorrupt)
		if d.skip {
			d.s.logger.Error("stored pusher cannot be opened", slog.String("app_id", r.AppID), slog.Any("error", err))
		} else if err != nil {
			return err
		} else {
			x.key, x.Choices = r.Key, map[string]pusher.ChannelStatus{}
			d.list = append(d.list, x)
		}
	}
	if d.skip || !channel.Valid {
		return nil
	}
	status, err := pusher.ParseChannelStatus(word.String)
	d.list[len(d.list)-1].Choices[channel.String] = status
	return err
}

// sorted returns the devices in the order of ListPushers.
func (d *deviceList) sorted() []device {
	slices.SortFunc(d.list, func(a, b device) int {
		return cmp.Or(a.Pusher.Created.Compare(b.Pusher.Created), cmp.Compare(a.Pusher.AppID, b.Pusher.AppID),
			cmp.Compare(a.Pusher.Pushkey.Reveal(), b.Pusher.Pushkey.Reveal()))
	})
	return d.list
}

func plain(list []device) []dispatch.Device {
	out := make([]dispatch.Device, len(list))
	for i, d := range list {
		out[i] = d.Device
	}
	return out
}

// Devices implements dispatch.Intake.
func (o outbox) Devices(ctx context.Context, owner push.Owner) ([]dispatch.Device, error) {
	hashed := o.s.codec().Owner(owner)
	d := deviceList{s: o.s}
	if err := query(ctx, o.s.read, selectDevices, []any{hashed[:]}, d.scan); err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return plain(d.sorted()), nil
}

// submission is one Submit on its way through the writer.
type submission struct {
	dispatch.Submission
	s     *Store
	owner push.Hash
	out   dispatch.Submitted
	err   error // of the caller's own making; nothing was written
}

// Submit implements dispatch.Intake.
func (o outbox) Submit(ctx context.Context, sub dispatch.Submission) (dispatch.Submitted, error) {
	x := &submission{Submission: sub, s: o.s, owner: o.s.codec().Owner(sub.Owner)}
	if err := o.s.write.do(ctx, x.run, nil); err != nil {
		return dispatch.Submitted{}, fmt.Errorf("submit: %w", err)
	}
	if x.err != nil {
		return dispatch.Submitted{}, x.err
	}
	return x.out, nil
}

func (x *submission) run(t *tx) error {
	now := x.s.clock.now()
	if known, err := x.replay(t, now); known || err != nil {
		return err
	}
	d := deviceList{s: x.s}
	if err := t.each(selectDevices, []any{x.owner[:]}, d.scan); err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	list := d.sorted()
	var plan dispatch.Plan
	if plan, x.err = x.Plan(plain(list)); x.err != nil {
		return nil
	}
	x.out.Receipt = plan.Receipt
	for _, n := range plan.Rows {
		if err := x.add(t, list[n.Device], n, now); err != nil {
			return err
		}
	}
	if x.Once == nil {
		return nil
	}
	r := plan.Receipt
	return wrap("keep the receipt", t.exec(putOnce, x.Once.Key[:], x.Once.Body[:], now, now+x.Once.Keep.Microseconds(),
		r.ID, stamp(r.Accepted), int64(r.Status)))
}

// replay answers a repeat.
func (x *submission) replay(t *tx, now int64) (known bool, err error) {
	if x.Once == nil {
		return false, nil
	}
	var body []byte
	var at, accepted, status int64
	var id string
	known, err = t.row(selectOnce, []any{x.Once.Key[:]}, &body, &at, &id, &accepted, &status)
	if err != nil || !known || at+x.Once.Keep.Microseconds() <= now {
		return false, wrap("look for the receipt", err)
	}
	if hash(body) != x.Once.Body {
		x.err = dispatch.ErrKeyReused
		return true, nil
	}
	x.out = dispatch.Submitted{Replayed: true, Receipt: dispatch.Receipt{ID: id, Accepted: registry.Time(accepted), Status: dispatch.Status(status)}}
	return true, nil
}

func (x *submission) add(t *tx, d device, n dispatch.NewRow, now int64) error {
	if n.HasCounts {
		res, err := t.result(replaceBadges, d.id, now)
		if err != nil {
			return fmt.Errorf("replace badges: %w", err)
		}
		replaced, err := res.RowsAffected()
		if err != nil {
			return fmt.Errorf("replace badges: %w", err)
		}
		x.out.Replaced += int(replaced)
	}
	sealed := x.s.codec().SealPayload(d.key, now, n.Payload)
	return wrap("insert the row", t.exec(insertOutbox, d.id, d.gateway, n.BadgeOnly, n.HasCounts, x.s.clock.micros(n.Deadline), now, sealed))
}
