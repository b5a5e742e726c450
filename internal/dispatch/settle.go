package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// settleBatch bounds the rows of one transaction.
const settleBatch = 500

// settling is one row on its way out of our hands.
type settling struct {
	gateway Gateway
	row     Row
	verdict verdict
	due     time.Time // zero ends the row
	ready   bool      // rejected pushers are removed, due is decided
	written func()
}

// settler writes verdicts, many rows in one transaction: while one is being written, the next ones gather. What the
// store refuses stays here until it takes it; the rows stay leased as long as we renew.
type settler struct {
	d       *Dispatcher
	mu      sync.Mutex
	waiting []settling
	running bool
}

func newSettler(d *Dispatcher) *settler { return &settler{d: d} }

func (s *settler) add(item settling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, item)
	if !s.running {
		s.running = true
		go s.run() // every item is waited for by its batch
	}
}

func (s *settler) run() {
	for {
		s.mu.Lock()
		n := min(len(s.waiting), settleBatch)
		if n == 0 {
			s.waiting, s.running = nil, false
			s.mu.Unlock()
			return
		}
		batch := s.waiting[:n:n]
		s.waiting = s.waiting[n:]
		s.mu.Unlock()
		left := s.write(batch)
		if len(left) == 0 {
			continue
		}
		if !s.d.rest(storeRest) {
			s.abandon(left)
			continue
		}
		s.mu.Lock()
		s.waiting = append(left, s.waiting...)
		s.mu.Unlock()
	}
}

// abandon leaves rows to the end of their leases: the dispatcher has gone and the store is away.
func (s *settler) abandon(batch []settling) {
	for _, item := range batch {
		item.written()
	}
}

// write settles one batch and returns what the store did not take.
func (s *settler) write(batch []settling) (left []settling) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	var back, done []settling
	var release []push.Held
	var settle []Settlement
	for _, item := range batch {
		if item.verdict.kind == verdictBack {
			back, release = append(back, item), append(release, item.row.Held)
			continue
		}
		if !item.ready && s.d.storeFailed("remove rejected pushers", s.d.decide(ctx, &item)) {
			left = append(left, item)
			continue
		}
		attempts, refusals := item.row.Attempts+1, item.row.Refusals
		if item.verdict.kind == verdictWait {
			attempts--
		}
		if item.verdict.refused {
			refusals++
		}
		done = append(done, item)
		settle = append(settle, Settlement{Held: item.row.Held, Due: item.due, Attempts: attempts, Refusals: refusals})
	}
	if len(settle) > 0 {
		ours, err := s.d.store.Settle(ctx, settle)
		if s.d.storeFailed("settle", err) || len(ours) != len(done) {
			left = append(left, done...)
		} else {
			for i, item := range done {
				s.d.settled(item, ours[i])
			}
		}
	}
	if len(release) > 0 {
		if s.d.storeFailed("release", s.d.store.Release(ctx, release)) {
			return append(left, back...)
		}
		for _, item := range back {
			s.d.settledBack(item, time.Now())
		}
	}
	return left
}

// decide removes the pushers that are dead and says whether the row ends or waits. A pusher that was registered again
// meanwhile stays, and the event is for it too.
func (d *Dispatcher) decide(ctx context.Context, item *settling) error {
	v := &item.verdict
	for len(v.dead) > 0 {
		r := v.dead[0]
		n, err := d.remover.RemoveRejected(ctx, r)
		if err != nil {
			return err
		}
		v.dead = v.dead[1:]
		if n > 0 {
			d.removed(item.gateway, r, n)
		} else if v.kind == verdictRejected && isOwn(r, item.row.Pusher) {
			v.kind, v.reason = verdictAgain, reasonRenewed
		}
	}
	switch v.kind {
	case verdictAgain:
		item.due = d.retryAt(time.Now(), item.row, *v)
	case verdictWait:
		item.due = earliest(v.until, item.row.Deadline)
	case verdictDelivered, verdictRejected, verdictDropped, verdictBack: // end, or are given back as they are
	}
	item.ready = true
	return nil
}

// removed writes the audit line of a removal: which app and gateway, and never whose key.
func (d *Dispatcher) removed(g Gateway, r pusher.Rejected, n int) {
	d.observer.Removed(realmOf(g), n)
	d.logger.Info("pusher removed: its gateway reported the pushkey dead", slog.Bool("audit", true),
		slog.String("realm", realmOf(g)), slog.String("app_id", string(r.AppID)), slog.String("gateway", host(g)), slog.Int("count", n))
}

// settled books a row whose settlement is durable; ours is false when nothing was changed: the lease was lost, or the row
// went with its pusher.
func (d *Dispatcher) settled(item settling, ours bool) {
	v := item.verdict
	switch {
	case v.kind == verdictRejected:
		d.ended(item, finalRejected) // removing the pusher took the row along
	case !ours:
		d.settledBack(item, time.Time{})
		return
	case !item.due.IsZero():
		d.settledBack(item, item.due)
		return
	case v.kind == verdictDropped:
		d.logger.Warn("notification dropped", slog.String("realm", realmOf(item.gateway)), slog.String("gateway", host(item.gateway)), slog.String("reason", v.reason))
		d.ended(item, finalDropped)
	default:
		d.ended(item, finalDelivered)
	}
	d.schedule.rowEnded(item.gateway, time.Time{})
	d.let(item)
}

func (d *Dispatcher) ended(item settling, f final) {
	d.account.ended(f)
	d.load.ended(item.gateway)
	d.observer.Final(realmOf(item.gateway), f.String(), item.verdict.reason, 1)
}

// settledBack books a row that is in the outbox again, due then; zero when it is not known.
func (d *Dispatcher) settledBack(item settling, due time.Time) {
	d.account.left()
	d.schedule.rowEnded(item.gateway, due)
	d.let(item)
}

func (d *Dispatcher) let(item settling) {
	d.leases.drop(item.row.Held)
	item.written()
}
