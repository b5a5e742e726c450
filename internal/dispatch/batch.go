package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// batch claims rows of one gateway, sends them and waits until what became of them is written.
func (d *Dispatcher) batch(b start) {
	ctx, cancel := context.WithTimeout(d.calls, storeTimeout)
	claimed, err := d.store.Claim(ctx, b.gateway, b.limit, leaseTime)
	cancel()
	now := time.Now()
	if d.storeFailed("claim", err) {
		d.schedule.rest(b.gateway, now.Add(storeRest))
		d.schedule.claimed(b.gateway, true, now, now)
		return
	}
	d.leases.hold(claimed.Rows)
	d.account.claimed(len(claimed.Rows))
	d.schedule.claimed(b.gateway, len(claimed.Rows) == b.limit, claimed.Next, now)
	r := &round{d: d, start: b, at: claimed.At}
	defer r.written.Wait()
	rows := r.choose(claimed.Rows, now)
	if len(rows) == 0 {
		return
	}
	ctx, cancel = context.WithTimeout(d.calls, storeTimeout)
	parcels, err := d.pack(ctx, rows, now)
	cancel()
	if d.storeFailed("step keys", err) {
		d.schedule.rest(b.gateway, now.Add(storeRest)) // the rows are due again at once
		for _, row := range rows {
			r.settle(row, verdict{kind: verdictBack})
		}
		return
	}
	r.send(r.sort(parcels))
}

// round is the work on one claim.
type round struct {
	d       *Dispatcher
	start   start
	at      time.Time // the store's clock before the claim
	down    bool      // a batch failed as a whole: nothing more is sent
	written sync.WaitGroup
}

// choose settles the rows that are not to be sent now and returns the others: those of a pusher that rests wait until it
// does no more, and a Matrix gateway in trouble gets one of all.
func (r *round) choose(claimed []Row, now time.Time) (rows []Row) {
	g := r.start.gateway
	for _, row := range claimed {
		if until := r.d.schedule.resting(g, row.Pusher.Key, now); !until.IsZero() {
			r.settle(row, verdict{kind: verdictWait, until: until})
			continue
		}
		rows = append(rows, row)
	}
	if !isMatrix(g) || !r.start.probes() || len(rows) < 2 {
		return rows
	}
	chosen := r.d.schedule.probe(g, rows)
	for i, row := range rows {
		if i != chosen {
			r.settle(row, verdict{kind: verdictBack})
		}
	}
	return rows[chosen : chosen+1]
}

// sort settles what is not sent and returns the rest.
func (r *round) sort(parcels []*parcel) (ready []*parcel) {
	for _, p := range parcels {
		switch {
		case p.dropped != "":
			r.settle(p.row, verdict{kind: verdictDropped, reason: p.dropped})
		case p.again:
			r.settle(p.row, verdict{kind: verdictBack})
		default:
			ready = append(ready, p)
		}
	}
	return ready
}

func (r *round) send(parcels []*parcel) {
	if isMatrix(r.start.gateway) {
		var wg sync.WaitGroup
		for _, p := range parcels {
			wg.Go(func() { r.sendMatrix(p) })
		}
		wg.Wait()
		return
	}
	for _, part := range parts(parcels) {
		r.sendBatch(part.operation, part.parcels)
	}
}

// part is what goes out in one call.
type part struct {
	operation string
	parcels   []*parcel
}

// parts sorts what was claimed into calls. What a gateway refused before goes last and by itself, so that it spoils no
// other's call.
func parts(parcels []*parcel) (out []part) {
	for _, before := range []bool{false, true} {
		for _, operation := range []string{opSealed, opPlain} {
			var same []*parcel
			for _, p := range parcels {
				if p.refusedBefore() == before && p.sealed == (operation == opSealed) {
					same = append(same, p)
				}
			}
			for _, fitting := range split(same) {
				out = append(out, part{operation, fitting})
			}
		}
	}
	return out
}

// The operations of gateways, as metrics name them.
const (
	opSealed = "sealed"
	opPlain  = "plain"
	opMatrix = "matrix"
)

// call makes one call.
func (r *round) call(operation string, parcels []*parcel) (results []Result, failure *CallError) {
	items := make([]Item, len(parcels))
	for i, p := range parcels {
		items[i] = p.item
	}
	began := time.Now()
	defer func() { r.observe(operation, failure, time.Since(began)) }()
	var err error
	if operation == opSealed {
		results, err = r.d.caller.Sealed(r.d.calls, r.start.gateway.URL, items)
	} else {
		results, err = r.d.caller.Plain(r.d.calls, r.start.gateway.URL, items)
	}
	return results, asCallError(err)
}

func (r *round) observe(operation string, failure *CallError, took time.Duration) {
	result := reasonOK
	if failure != nil {
		result = failure.Reason
	}
	r.d.schedule.took(r.start.gateway, took)
	r.d.observer.Call(operation, result, took)
}

// sendMatrix makes the one call for one row.
func (r *round) sendMatrix(p *parcel) {
	began := time.Now()
	rejected, err := r.d.caller.Matrix(r.d.calls, r.start.gateway.URL, p.item.Notification)
	failure := asCallError(err)
	r.observe(opMatrix, failure, time.Since(began))
	switch {
	case failure == nil:
		r.d.gatewayAnswered(r.start.gateway)
		r.settle(p.row, judgeMatrix(p, rejected))
	case !refusesEvent(failure):
		if r.d.doubt(r.start.gateway, p.row.Pusher.Key, failure) {
			r.d.gatewayFailed(r.start.gateway, failure)
		}
		r.settle(p.row, verdict{reason: failure.Reason, whole: true, after: failure.RetryAfter})
	case p.row.Refusals+1 >= brief:
		r.d.gatewayAnswered(r.start.gateway)
		r.settle(p.row, verdict{kind: verdictDropped, reason: reasonRefused})
	default:
		r.d.gatewayAnswered(r.start.gateway)
		r.settle(p.row, verdict{reason: reasonRefused, refused: true})
	}
}

func (r *round) settle(row Row, v verdict) {
	r.written.Add(1)
	r.d.settler.add(settling{gateway: r.start.gateway, row: row, verdict: v, written: r.written.Done})
}

// asCallError makes every error one that says how to go on; an unknown one is no answer.
func asCallError(err error) *CallError {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*CallError](err); ok {
		return e
	}
	return &CallError{Reason: "unknown", Err: err}
}

func (d *Dispatcher) gatewayAnswered(g Gateway) {
	if d.schedule.answered(g) {
		d.logger.Info("gateway answers again", slog.String("gateway", host(g)))
	}
}

// doubt notes a failed call for one pusher, and reports whether it is news of its gateway.
func (d *Dispatcher) doubt(g Gateway, who pusher.Key, e *CallError) bool {
	return d.calls.Err() == nil && d.schedule.doubted(g, who, time.Now(), witnesses(e), d.restAfter(e))
}

func (d *Dispatcher) gatewayFailed(g Gateway, e *CallError) {
	if d.calls.Err() != nil {
		return // we hung up ourselves
	}
	first, rest := d.schedule.failed(g, time.Now(), d.pauseAfter(g, e))
	if first {
		d.logger.Warn("gateway failed, it rests", slog.String("gateway", host(g)), slog.String("reason", e.Reason),
			slog.Int("status", e.Status), slog.Duration("rest", rest))
	}
}

// maxBatchBytes bounds the body of a batch: 256 KB is what every gateway takes (gemF_PushNotification 5.2).
const maxBatchBytes = 250 << 10

// split parts a batch so that no call is larger than every gateway takes.
func split(parcels []*parcel) (parts [][]*parcel) {
	size, begin := 0, 0
	for i, p := range parcels {
		n := wireSize(p.item.Notification)
		if i > begin && size+n > maxBatchBytes {
			parts = append(parts, parcels[begin:i])
			begin, size = i, 0
		}
		size += n
	}
	if begin < len(parcels) {
		parts = append(parts, parcels[begin:])
	}
	return parts
}

// itemFrame is more than what an item has beside its values: names, braces, id, month, prio.
const itemFrame = 320

// wireSize is at least what a notification takes in a body.
func wireSize(n push.Notification) int {
	size := itemFrame + len(quoteWide(n.Device.Pushkey.Reveal())) + len(quoteWide(string(n.Device.AppID))) + wideObject(n.Device.Data)
	if s := n.Sealed; s != nil {
		size += len(s.Ciphertext.Reveal()) + len(quoteWide(s.KeyIdentifier.Reveal())) + len(quoteWide(s.Identifier.Reveal()))
	}
	if e := n.Event; e != nil {
		size += len(quoteWide(e.Type.Reveal())) + wideObject(e.Content)
	}
	return size
}
