package dispatch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// parcel is one row in our hands, ready to be sent or with the reason why it is not.
type parcel struct {
	row    Row
	letter letter
	item   Item
	// sealed says that the item is encrypted.
	sealed bool
	// again says that the row is given back at once, as its pusher has changed.
	again bool
	// dropped is why it can never be sent.
	dropped string
}

// refusedBefore reports whether the gateway has refused this row as such.
func (p *parcel) refusedBefore() bool { return p.row.Refusals > 0 }

// pack reads what rows hold and brings their keys to the month of now, all in one transaction and durable before
// anything is sealed. An error is the store's: then nothing may be sent.
func (d *Dispatcher) pack(ctx context.Context, rows []Row, now time.Time) ([]*parcel, error) {
	parcels := make([]*parcel, len(rows))
	var steps []KeyStep
	var stepping []*parcel
	month := monthkey.MonthOf(now, d.loc)
	for i, row := range rows {
		p := &parcel{row: row}
		parcels[i] = p
		var err error
		if p.letter, err = decodeLetter(row.Payload); err != nil {
			p.dropped = reasonDamaged
			continue
		}
		if p.dropped = d.sendable(p); p.dropped != "" || !p.sealed {
			continue
		}
		g := row.Pusher.Encryption.Generation
		if month <= g.Month() {
			continue // never backwards: the app's clock may be ahead of ours
		}
		next, err := g.StepTo(month)
		if err != nil {
			p.dropped = reasonKey
			continue
		}
		steps = append(steps, KeyStep{Key: row.Pusher.Key, Updated: row.Pusher.Updated, From: g.Month(), To: next})
		stepping = append(stepping, p)
	}
	if err := d.step(ctx, steps, stepping); err != nil {
		return nil, err
	}
	for _, p := range parcels {
		if p.dropped == "" && !p.again {
			d.fill(p)
		}
	}
	return parcels, nil
}

// sendable decides in which form a row goes out, and returns why it cannot.
func (d *Dispatcher) sendable(p *parcel) string {
	matrix := p.row.Pusher.Owner.Realm == push.RealmMatrix
	switch {
	case matrix != (p.letter.event != nil):
		return reasonDamaged
	case matrix:
		return ""
	case !d.allows(p.row.Pusher.URL):
		return reasonGateway
	case p.row.Pusher.Encryption != nil && d.mode != pusher.EncryptionForbidden:
		p.sealed = true
		return ""
	case d.mode == pusher.EncryptionRequired:
		return reasonUnencrypted // registered anew without a key: nothing personal goes out in clear (A_27436)
	default:
		return ""
	}
}

// allows reports whether a gateway of the Fachdienst realm is on the list now. It was when the app registered; an
// operator who has taken it off since wants nothing to go there any more (A_27859).
func (d *Dispatcher) allows(url string) bool {
	return len(d.allowed) == 0 || slices.Contains(d.allowed, url)
}

// step commits the new generations. Whoever was not the first to step reads the row anew: another process has stepped,
// or the app has registered another chain.
func (d *Dispatcher) step(ctx context.Context, steps []KeyStep, stepping []*parcel) error {
	if len(steps) == 0 {
		return nil
	}
	done, err := d.store.StepKeys(ctx, steps)
	if err != nil {
		return err
	}
	if len(done) != len(steps) {
		return errors.New("the store answered for other key steps")
	}
	for i, p := range stepping {
		if !done[i] {
			p.again = true
			continue
		}
		e := *p.row.Pusher.Encryption
		e.Generation = steps[i].To
		p.row.Pusher.Encryption = &e
	}
	return nil
}

// fill makes what goes on the wire: for a sealed one with a nonce of its own, each time.
func (d *Dispatcher) fill(p *parcel) {
	reg := p.row.Pusher
	w := readWishes(reg.Data)
	n := push.Notification{
		Priority: p.letter.priority,
		Device:   push.Device{AppID: reg.AppID, Pushkey: reg.Pushkey, PushkeyTS: reg.Updated.Unix(), Data: w.data},
	}
	switch {
	case p.letter.event != nil:
		fillMatrix(&n, p.letter, w)
		if p.row.BadgeOnly && !n.Counts.Present() {
			p.dropped = reasonNoCounts
		}
	case p.sealed:
		short, err := fit(p.letter.message, monthkey.MaxMessage)
		if err != nil {
			p.dropped = reasonTooLarge
			return
		}
		text, err := reg.Encryption.Generation.Seal(short)
		if err != nil {
			p.dropped = reasonKey
			return
		}
		n.Sealed = &push.Sealed{
			Ciphertext: push.NewText(text), Month: reg.Encryption.Generation.Month().String(),
			KeyIdentifier: reg.Encryption.KeyID, Identifier: p.letter.reference,
		}
	default:
		n.Event = plainEvent(p.letter, w)
	}
	p.item = Item{ID: newID(), Notification: n}
}

// plainEvent makes what a device without a key gets. The notification's id is what gateways tell repeats by. What a
// Matrix room is, the channel is here: the reference gateway throws away what has no room_id (facts/gematik.md 6).
func plainEvent(l letter, w wishes) *push.Event {
	e := &push.Event{ID: push.NewText(l.id), RoomID: push.NewText(l.channel)}
	if !w.idOnly {
		e.Type, e.Content = push.NewText(l.channel), push.Object(l.message)
	}
	return e
}

// fillMatrix makes the notification in the format that the pusher asked for (Push Gateway API, event_id_only).
func fillMatrix(n *push.Notification, l letter, w wishes) {
	n.Event, n.Counts, n.Device.Tweaks = l.event, l.counts, l.tweaks
	if w.noBadge {
		n.Counts = push.Counts{}
	}
	if n.Device.Data == nil {
		n.Device.Data = push.Object("{}")
	}
	if w.idOnly && !l.event.ID.Empty() {
		n.Event, n.Device.Tweaks = &push.Event{ID: l.event.ID, RoomID: l.event.RoomID}, nil
	}
}
