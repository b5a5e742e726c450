package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
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
	if len(claimed.Rows) == 0 {
		return
	}
	r := &round{d: d, start: b, at: claimed.At}
	defer r.written.Wait()
	ctx, cancel = context.WithTimeout(d.calls, storeTimeout)
	parcels, err := d.pack(ctx, claimed.Rows, now)
	cancel()
	if d.storeFailed("step keys", err) {
		d.schedule.rest(b.gateway, now.Add(storeRest)) // the rows are due again at once
		for _, row := range claimed.Rows {
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
	written sync.WaitGroup
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
	var sealed, plain []*parcel
	for _, p := range parcels {
		if p.sealed {
			sealed = append(sealed, p)
		} else {
			plain = append(plain, p)
		}
	}
	for _, part := range split(sealed) {
		r.sendBatch(opSealed, part)
	}
	for _, part := range split(plain) {
		r.sendBatch(opPlain, part)
	}
}

// The operations of gateways, as metrics name them.
const (
	opSealed = "sealed"
	opPlain  = "plain"
	opMatrix = "matrix"
)

// sendBatch makes one call for items. When it fails in a way that one of them may be to blame for, the others are sent
// without it. Either way each row is settled once.
func (r *round) sendBatch(operation string, parcels []*parcel) {
	results, failure := r.call(operation, parcels)
	if failure == nil {
		r.took(parcels, results)
		return
	}
	if len(parcels) > 1 && refusesItems(failure) {
		if rest, alive := r.sample(operation, parcels); alive {
			r.parts(operation, rest)
			return
		}
	}
	if len(parcels) > 1 || !refusesEvent(failure) || !refusesItems(failure) {
		r.d.gatewayFailed(r.start.gateway, failure) // about the gateway, not about an item
	}
	for _, p := range parcels {
		r.settle(p.row, verdict{reason: failure.Reason, refused: refusesEvent(failure), whole: len(parcels) > 1 || !refusesItems(failure)})
	}
}

func (r *round) took(parcels []*parcel, results []Result) {
	r.d.gatewayAnswered(r.start.gateway)
	ruling := rule(results, parcels, r.at)
	for _, p := range parcels {
		r.settle(p.row, ruling.judge(p))
	}
}

// samples is how many items are sent alone to find out whether a gateway that refused a batch takes any.
const samples = 3

// sample sends a few items alone, until one is taken. It returns those that are not settled yet, and whether one was: a
// gateway that refuses everything costs four calls, not two hundred.
func (r *round) sample(operation string, parcels []*parcel) (rest []*parcel, alive bool) {
	order := rand.Perm(len(parcels)) //nolint:gosec // any few will do
	for _, i := range order[:min(samples, len(parcels))] {
		one := parcels[i : i+1]
		results, failure := r.call(operation, one)
		switch {
		case failure == nil:
			r.took(one, results)
			return slices.Concat(parcels[:i], parcels[i+1:]), true
		case !refusesItems(failure):
			return parcels, false
		}
	}
	return parcels, false
}

// parts sends the items of a batch that was refused by a gateway that takes others, in halves.
func (r *round) parts(operation string, parcels []*parcel) {
	if len(parcels) == 0 {
		return
	}
	results, failure := r.call(operation, parcels)
	switch {
	case failure == nil:
		r.took(parcels, results)
	case len(parcels) > 1 && refusesItems(failure):
		r.parts(operation, parcels[:len(parcels)/2])
		r.parts(operation, parcels[len(parcels)/2:])
	default:
		if !refusesItems(failure) {
			r.d.gatewayFailed(r.start.gateway, failure)
		}
		for _, p := range parcels {
			r.settle(p.row, verdict{reason: failure.Reason, refused: refusesEvent(failure), whole: !refusesItems(failure)})
		}
	}
}

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
		r.d.gatewayFailed(r.start.gateway, failure)
		r.settle(p.row, verdict{reason: failure.Reason, whole: true})
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

func (d *Dispatcher) gatewayFailed(g Gateway, e *CallError) {
	if d.calls.Err() != nil {
		return // we hung up ourselves
	}
	first, rest := d.schedule.failed(g, time.Now(), d.pauseAfter(e))
	if first {
		d.logger.Warn("gateway failed, it rests", slog.String("gateway", host(g)), slog.String("reason", e.Reason),
			slog.Int("status", e.Status), slog.Duration("rest", rest))
	}
}

// host is what a log says about a gateway: its path may hold more than its operator's name.
func host(g Gateway) string {
	u, err := url.Parse(g.URL)
	if err != nil {
		return "unknown"
	}
	return u.Host
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
