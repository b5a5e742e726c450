package postgres

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/registry"
)

// selectDevices has one line for each choice, and one without a channel for a pusher that has none.
const selectDevices = `SELECT p.id, p.owner, p.pushkey, p.app_id, p.gateway, p.device, p.body, p.created, p.updated,
		k.pusher IS NOT NULL, c.channel, c.status
	FROM pusher p LEFT JOIN month_key k ON k.pusher = p.id LEFT JOIN channel_choice c ON c.pusher = p.id
	WHERE p.owner = $1 ORDER BY p.id`

// outbox is the store as package dispatch sees it. It has a type of its own because its rows are claimed and settled
// under the same names as the queue's.
type outbox struct{ s *Store }

// Outbox returns the outbox of the registry's pushers.
func (s *Store) Outbox() dispatch.Store { return outbox{s} }

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

func (d *deviceList) scan(rows pgx.Rows) error {
	var x device
	var r registry.Row
	var owner, pushkey []byte
	var channel, word *string
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
	if d.skip || channel == nil {
		return nil
	}
	status, err := pusher.ParseChannelStatus(*word)
	d.list[len(d.list)-1].Choices[*channel] = status
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
	var d deviceList
	err := o.s.registryTx(ctx, func(p *pipeline) {
		d = deviceList{s: o.s}
		p.query(d.scan, selectDevices, hashed[:])
	})
	if err != nil {
		return nil, wrap("list devices", err)
	}
	return plain(d.sorted()), nil
}
