package dispatch

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// onceKeep is how long an idempotency key is remembered (A_29988).
const onceKeep = 24 * time.Hour

// Notice is one event of a Fachdienst.
type Notice struct {
	Owner    push.Owner // realm fachdienst
	Channel  string
	Priority push.Priority
	// Payload is any JSON object. It is what the app gets.
	Payload push.Object
	// Reference is the sender's name for the event, which gateways see (identifier). Absent when there is none.
	Reference push.Text
	// Key is the Idempotency-Key, empty when there is none.
	Key string
}

// Format keeps fmt out of a whole notice.
func (n Notice) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("<notice>")) }

// Submit turns an event into one row for every device of the person that has the channel enabled, in one transaction.
// When it returns a receipt, what is to be sent is durable.
//
// Its errors are *push.Error: Forbidden for a channel that is not the sender's, Invalid with CodeUnknown or
// CodeKeyReused, NotFound with CodeUserNotFound when the person has no device, TooLarge for a payload that does not fit
// a frame, Unavailable when it cannot be stored now.
func (d *Dispatcher) Submit(ctx context.Context, from Sender, n Notice) (Receipt, error) {
	receipt, err := d.submit(ctx, from, n)
	return receipt, d.observe(n.Owner.Realm, receipt, err)
}

func (d *Dispatcher) submit(ctx context.Context, from Sender, n Notice) (Receipt, error) {
	switch {
	case d.isLeaving():
		return Receipt{}, errLeaving()
	case n.Owner.Realm != push.RealmFachdienst || n.Owner.User == "":
		return Receipt{}, refuse(push.Invalid, CodeInvalid, "user is not valid")
	case !from.May(n.Channel):
		return Receipt{}, refuse(push.Forbidden, CodeForbidden, "the caller may not send to this channel")
	case !d.catalog.Knows(n.Channel):
		return Receipt{}, refuse(push.Invalid, CodeUnknown, "there is no such channel")
	}
	message, err := d.message(n)
	if err != nil {
		return Receipt{}, err
	}
	receipt := d.newReceipt()
	l := letter{id: receipt.ID, priority: n.Priority, channel: n.Channel, reference: n.Reference, message: message}
	s := Submission{Owner: n.Owner, Once: d.once(from, n.Key, "notification", string(n.Owner.Realm), n.Owner.User.Reveal(), n.Channel,
		n.Priority.String(), string(n.Payload), fmt.Sprint(n.Reference.Present()), n.Reference.Reveal())}
	s.Plan = func(devices []Device) (Plan, error) {
		return d.plan(devices, receipt, l.encode(), NewRow{}, func(dev Device) bool {
			sealable := dev.Encrypted || d.mode != pusher.EncryptionRequired
			return sealable && d.allows(dev.Pusher.URL) && d.catalog.Wants(dev.Choices, n.Channel)
		})
	}
	return d.commit(ctx, s)
}

// message returns what is stored. It fits a frame wherever it may have to be sealed, and a push provider's payload where
// not, before anybody is told 202.
func (d *Dispatcher) message(n Notice) ([]byte, error) {
	message, err := compose(n.Payload, n.Channel)
	if err != nil {
		return nil, refuse(push.Invalid, CodeInvalid, "payload must be a JSON object")
	}
	limit := monthkey.MaxMessage
	if d.mode == pusher.EncryptionForbidden {
		limit = maxPlain
	}
	short, err := fit(message, limit)
	if err != nil {
		return nil, refuse(push.TooLarge, CodeTooLarge, "payload is too large, and nothing in it can be shortened")
	}
	if d.mode == pusher.EncryptionOptional {
		return fit(message, maxPlain) // devices without a key get more; what fits a frame fits there
	}
	return short, nil
}

func (d *Dispatcher) newReceipt() Receipt {
	return Receipt{ID: newID(), Accepted: time.Now().UTC().Truncate(time.Millisecond), Status: StatusAccepted}
}

// once returns what makes a repeat recognisable, nil without a key.
func (d *Dispatcher) once(from Sender, key string, body ...string) *Once {
	if key == "" {
		return nil
	}
	return &Once{
		Key:  d.hasher.Hash("dispatch idempotency key", from.Name, key),
		Body: d.hasher.Hash("dispatch idempotent body", body...), Keep: onceKeep,
	}
}

// plan makes one row like model for each device that is wanted.
func (d *Dispatcher) plan(devices []Device, receipt Receipt, payload []byte, model NewRow, wanted func(Device) bool) (Plan, error) {
	if len(devices) == 0 {
		return Plan{}, refuse(push.NotFound, CodeUserNotFound, "the user has no registered device")
	}
	p := Plan{Receipt: receipt}
	rows := map[Gateway]int{}
	now, paused := time.Now(), true
	model.Payload, model.Deadline = payload, now.Add(d.giveUp)
	for i, dev := range devices {
		if !wanted(dev) {
			continue
		}
		row := model
		row.Device = i
		p.Rows = append(p.Rows, row)
		rows[gatewayOf(dev.Pusher)]++
		paused = paused && d.schedule.paused(gatewayOf(dev.Pusher), now)
	}
	switch {
	case len(p.Rows) == 0:
		p.Receipt.Status = StatusNoActiveChannel
	case !d.load.room(rows):
		return Plan{}, errFull()
	case paused:
		p.Receipt.Status = StatusQueued
	}
	return p, nil
}

// commit stores a submission and wakes the gateways that it is for.
func (d *Dispatcher) commit(ctx context.Context, s Submission) (Receipt, error) {
	var gateways map[Gateway]int
	rows := 0
	plan := s.Plan
	s.Plan = func(devices []Device) (Plan, error) {
		p, err := plan(devices)
		rows, gateways = len(p.Rows), map[Gateway]int{}
		for _, row := range p.Rows {
			gateways[gatewayOf(devices[row.Device].Pusher)]++
		}
		return p, err
	}
	out, err := d.store.Submit(ctx, s)
	if err != nil {
		return Receipt{}, outcome(err)
	}
	if out.Replayed {
		d.observer.Event(string(s.Owner.Realm), "replayed")
		return out.Receipt, nil
	}
	d.account.stored(rows)
	d.load.stored(gateways, out.Replaced)
	if out.Replaced > 0 {
		d.account.gone(finalSuperseded, out.Replaced)
		d.observer.Final(string(s.Owner.Realm), finalSuperseded.String(), reasonNewer, out.Replaced)
	}
	now := time.Now()
	for g := range gateways {
		d.schedule.due(g, now)
	}
	return out.Receipt, nil
}

// observe counts one submission and passes its error on.
func (d *Dispatcher) observe(realm push.Realm, r Receipt, err error) error {
	state := "refused"
	if err == nil {
		state = r.Status.String()
	}
	d.observer.Event(string(realm), state)
	return err
}

// String returns the wire word.
func (s Status) String() string {
	switch s {
	case StatusAccepted:
		return "accepted"
	case StatusQueued:
		return "queued"
	case StatusNoActiveChannel:
		return "no_active_channel"
	default:
		return "unknown"
	}
}

func gatewayOf(p pusher.Pusher) Gateway { return Gateway{Realm: p.Owner.Realm, URL: p.URL} }

// newID returns a random UUID (version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
