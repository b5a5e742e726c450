package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/backoff"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Options is what a Dispatcher is made of. Store, Remover, Hasher, Caller and Location are required.
type Options struct {
	Store   Store
	Remover Remover // removes rejected pushers; pusher.Service
	Hasher  Hasher
	Caller  Caller // calls gateways; gatewayclient.Client
	// Fachdienst is the checked section of that name: channels, encryption and the retry ladder, which Matrix pushers share.
	Fachdienst pusher.FachdienstConfig
	// Location is Europe/Berlin, where months begin.
	Location *time.Location
	// MaxQueued bounds the rows of the outbox, half of it those of one host; beyond it events are refused. 0 takes 1,000,000.
	MaxQueued int
	// Pause is how long a gateway rests after a 5xx that names no time itself, and the longest rest of a Matrix gateway; 0
	// takes 5 minutes.
	Pause time.Duration
	// Shared says that other nodes work on the same database.
	Shared   bool
	Observer Observer
	Logger   *slog.Logger
}

// Observer hears what happens, for metrics and alerts. Every text is from a fixed list and never about a person. Methods
// must not block.
type Observer interface {
	// Event is one submission: accepted, queued, no_active_channel or refused; and replayed, beside what was answered again.
	Event(realm, state string)
	// Call ends one call of a gateway: operation is sealed, plain or matrix; result is ok or a CallError's reason.
	Call(operation, result string, took time.Duration)
	// Final is how rows ended: delivered, rejected, dropped, expired or superseded.
	Final(realm, state, reason string, n int)
	// Removed is how many pushers went because a gateway rejected their pushkey.
	Removed(realm string, n int)
}

const (
	defaultMaxQueued = 1_000_000
	defaultPause     = 5 * time.Minute
	// leaseTime is how long a row stays ours if we die (design.md 4: at most 60 s).
	leaseTime  = 60 * time.Second
	renewEvery = 15 * time.Second
	// storeTimeout bounds one transaction that nobody waits for, storeRest the rest after one failed.
	storeTimeout = 10 * time.Second
	storeRest    = time.Second
	loadTimeout  = 2 * time.Minute
)

// Dispatcher takes events in and brings them to gateways. It is safe for concurrent use.
type Dispatcher struct {
	store    Store
	remover  Remover
	hasher   Hasher
	caller   Caller
	observer Observer
	logger   *slog.Logger
	loc      *time.Location
	catalog  pusher.Catalog
	mode     pusher.EncryptionMode
	allowed  []string // gateways of the Fachdienst realm; empty: all
	ladder   backoff.Ladder
	giveUp   time.Duration
	pause    time.Duration
	shared   bool

	schedule *schedule
	leases   *leases
	settler  *settler
	load     *load
	account  account
	storeBad atomic.Bool

	lifecycle sync.Mutex
	started   bool
	stopped   bool
	workers   sync.WaitGroup // what begins batches
	chores    sync.WaitGroup
	batches   sync.WaitGroup
	leaving   chan struct{} // closed when Stop begins
	gone      chan struct{} // closed when Stop ends: what is left is not tried again
	calls     context.Context
	hangUp    context.CancelFunc
}

// New reads what waits and returns a Dispatcher that takes events; Start makes it send.
func New(o Options) (*Dispatcher, error) {
	if o.Store == nil || o.Remover == nil || o.Hasher == nil || o.Caller == nil || o.Location == nil {
		return nil, errors.New("dispatch: store, remover, hasher, caller and location are required")
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = defaultMaxQueued
	}
	if o.Pause == 0 {
		o.Pause = defaultPause
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = deaf{}
	}
	retry := o.Fachdienst.Retry
	if retry.Initial <= 0 || retry.Max < retry.Initial || retry.GiveUp <= 0 {
		return nil, errors.New("dispatch: the retry ladder is not valid")
	}
	d := &Dispatcher{
		store: o.Store, remover: o.Remover, hasher: o.Hasher, caller: o.Caller, observer: o.Observer, logger: o.Logger,
		loc: o.Location, catalog: pusher.NewCatalog(o.Fachdienst.Channels), mode: o.Fachdienst.Encryption, allowed: o.Fachdienst.Gateways,
		ladder: backoff.Ladder{Initial: retry.Initial, Max: retry.Max}, giveUp: retry.GiveUp, pause: o.Pause, shared: o.Shared,
		schedule: newSchedule(), leases: newLeases(), load: newLoad(o.MaxQueued),
		leaving: make(chan struct{}), gone: make(chan struct{}),
	}
	d.calls, d.hangUp = context.WithCancel(context.Background())
	d.settler = newSettler(d)
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	if err := d.refresh(ctx); err != nil {
		return nil, fmt.Errorf("dispatch: read the outbox: %w", err)
	}
	return d, nil
}

// Start sends until Stop. It returns at once.
func (d *Dispatcher) Start() error {
	d.lifecycle.Lock()
	defer d.lifecycle.Unlock()
	if d.started || d.stopped {
		return errors.New("dispatch: started twice")
	}
	d.started = true
	d.workers.Go(d.run)
	d.chores.Go(d.upkeep)
	return nil
}

// Stop takes no more rows, lets calls under way end and settles them. When ctx ends first the calls are cut off, rows
// still held are given back for the next process, and ctx's error is returned. Events are refused from now on. A
// second call does nothing.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.lifecycle.Lock()
	defer d.lifecycle.Unlock()
	if d.stopped {
		return nil
	}
	d.stopped = true
	close(d.leaving)
	d.workers.Wait() // at once: from here on no batch begins
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.batches.Wait()
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	close(d.gone)
	d.hangUp()
	<-ended // calls are cut off and the settler gives up: this is soon
	d.chores.Wait()
	if err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		err = errors.Join(err, d.store.Release(last, d.leases.all()))
	}
	return err
}

// Account returns the books.
func (d *Dispatcher) Account() Account { return d.account.snapshot() }

// Load is what waits, for metrics.
type Load struct {
	Rows     int
	Held     int // of them in this process's hands: being sent, or their end being written
	Full     bool
	Gateways int // with rows or trouble
	Paused   int // gateways that rest
}

// Load returns what waits, as far as this process knows.
func (d *Dispatcher) Load() Load {
	rows, full := d.load.look()
	gateways, paused := d.schedule.look(time.Now())
	return Load{Rows: rows, Held: int(d.account.pending.Load()), Full: full, Gateways: gateways, Paused: paused}
}

func (d *Dispatcher) isLeaving() bool {
	select {
	case <-d.leaving:
		return true
	default:
		return false
	}
}

// storeFailed notes how a call of the store ended, logs the first failure of a row of them, and reports whether it was one.
func (d *Dispatcher) storeFailed(doing string, err error) bool {
	if err == nil {
		if d.storeBad.Load() && d.storeBad.Swap(false) {
			d.logger.Info("outbox is back")
		}
		return false
	}
	if !d.storeBad.Swap(true) {
		d.logger.Warn("outbox failed", slog.String("doing", doing), slog.String("error", err.Error()))
	}
	return true
}

// rest waits, unless the dispatcher has gone (false).
func (d *Dispatcher) rest(t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.gone:
		return false
	}
}

// deaf is an Observer for nobody.
type deaf struct{}

func (deaf) Event(string, string)               {}
func (deaf) Call(string, string, time.Duration) {}
func (deaf) Final(string, string, string, int)  {}
func (deaf) Removed(string, int)                {}
