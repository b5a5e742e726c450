package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/push"
)

// App is one configured app: where notifications for matching app_ids go.
type App struct {
	// Pattern is an exact app_id, or a pattern with * (any run, also empty) and ? (one character).
	Pattern  string
	Provider provider.Provider
	// Kind names the push service in metrics: apns, fcm, webpush.
	Kind string
	// MaxInFlight bounds the requests under way at the provider; 0 takes 1000.
	MaxInFlight int
	// Fingerprint changes with the settings and credentials that a verdict of this app depends on.
	Fingerprint string
	// Lifetime is how long a notification of this app is worth delivering; 0 takes retention. VoIP calls live 30 s.
	Lifetime time.Duration
}

// Options is what a Gateway is made of. Queue, Ledger and Hasher are required.
type Options struct {
	Config  Config
	Apps    []App
	Senders []Sender
	Queue   Queue
	Ledger  Ledger
	Hasher  Hasher
	// Admin serves the commands of the person on call; nil makes them answer NotFound.
	Admin    Admin
	Observer Observer
	Logger   *slog.Logger
}

// Gateway delivers notifications. It is safe for concurrent use.
type Gateway struct {
	queue    Queue
	ledger   Ledger
	hasher   Hasher
	admin    Admin
	observer Observer // nil: nobody listens
	logger   *slog.Logger
	// shared is true when other nodes work on the same database.
	shared bool

	routes     atomic.Pointer[routes]
	reloading  sync.Mutex // one Reload at a time
	generation uint64     // of bindings, guarded by reloading

	recall    *recall
	dead      *deadKeys
	backlog   *backlog
	badges    *badges
	leases    *leases
	settler   *settler
	scribe    *scribe
	worker    *worker
	crew      *crew
	account   account
	panics    crashes
	orphans   nameSet // apps that rows wait for and nobody has configured
	limited   limited
	chores    chores
	watch     clockWatch
	inAir     tally // attempts, commits and rows under way
	storeDown atomic.Bool
	timers    sync.Pool // of *time.Timer, stopped
	// ledgerSeq is the last change that the mirror knows; New uses it, then the follower alone.
	ledgerSeq int64

	lifecycle sync.Mutex
	started   bool
	stopped   bool
	workers   sync.WaitGroup
	closing   sync.WaitGroup // providers
	leaving   chan struct{}  // closed when Stop begins
	gone      chan struct{}  // closed when Stop ends: what is left is not tried again
}

// loadTimeout bounds what New reads: a ledger of a million entries takes seconds.
const loadTimeout = 2 * time.Minute

// New loads what is durable (dead pushkeys, what is queued) and returns a gateway that delivers; Start runs its workers.
// It refuses patterns that overlap and settings that Check reports.
func New(o Options) (*Gateway, error) {
	if o.Queue == nil || o.Ledger == nil || o.Hasher == nil {
		return nil, errors.New("gateway: queue, ledger and hasher are required")
	}
	if err := check(o.Config, o.Apps, o.Senders); err != nil {
		return nil, err
	}
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{
		queue: o.Queue, ledger: o.Ledger, hasher: o.Hasher, admin: o.Admin, observer: o.Observer, logger: logger,
		shared: o.Ledger.Changed() != nil,
		recall: newRecall(o.Config.Dedup, o.Config.MaxQueued), dead: &deadKeys{}, backlog: newBacklog(o.Config.MaxQueued),
		badges: newBadges(), leases: newLeases(), inAir: newTally(),
		leaving: make(chan struct{}), gone: make(chan struct{}),
	}
	g.crew = newCrew(g.gone)
	g.settler, g.scribe, g.worker = newSettler(g), newScribe(g), newWorker(g)
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	if err := g.load(ctx, o.Apps); err != nil {
		return nil, fmt.Errorf("gateway: load: %w", err)
	}
	g.install(o.Config, o.Apps, o.Senders)
	return g, nil
}

// load reads what earlier processes left: the settings first, as they may drop ledger entries.
func (g *Gateway) load(ctx context.Context, apps []App) error {
	own := map[push.AppID]push.Hash{}
	for _, app := range apps {
		name := push.AppID(app.Pattern)
		own[name] = g.fingerprint(app)
		if err := g.ledger.Settings(ctx, name, own[name]); err != nil {
			return fmt.Errorf("settings: %w", err)
		}
	}
	believes := func(d push.DeadKey) bool {
		settings, known := own[d.AppID]
		return !d.Guarded || known && settings == d.Settings
	}
	if err := g.readLedger(ctx, believes); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := g.readQueue(ctx); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if !g.shared {
		rows := g.backlog.rows()
		g.account.takenOver.Add(uint64(max(rows, 0))) //nolint:gosec // never negative
		g.account.pending.Add(int64(rows))
	}
	return nil
}

// readQueue learns what waits, so that copies of it are not sent.
func (g *Gateway) readQueue(ctx context.Context) error {
	now := time.Now()
	err := g.queue.Waiting(ctx, func(row push.Queued) {
		g.recall.queuedUntil(row.Dedup, row.Deadline.Sub(now))
		if row.BadgeOnly {
			g.badges.loaded(row)
		}
	})
	if err != nil {
		return err
	}
	found, err := g.queue.Backlog(ctx)
	if err != nil {
		return err
	}
	g.backlog.rebase(found, true)
	return nil
}

func (g *Gateway) fingerprint(app App) push.Hash {
	return g.hasher.Hash(purposeSettings, app.Fingerprint)
}

// Start runs the retry worker, the upkeep and, where nodes share a database, the follower, until Stop. It returns at
// once; the context only bounds the start.
func (g *Gateway) Start(ctx context.Context) error {
	g.lifecycle.Lock()
	defer g.lifecycle.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("gateway: start: %w", err)
	}
	if g.started || g.stopped {
		return errors.New("gateway: started twice")
	}
	g.started = true
	g.workers.Go(func() { g.worker.run(g.leaving) })
	g.workers.Go(func() { g.upkeep(g.leaving) })
	if g.shared {
		g.workers.Go(func() { g.follow(g.leaving) })
	}
	return nil
}

// Stop ends the workers: no more rows are claimed, attempts under way finish and are settled. When ctx ends first, the
// rows still held are handed back for the next process, and ctx's error is returned. The providers are closed. Nobody
// should call Deliver any more; what comes all the same goes to the queue. A second call does nothing.
func (g *Gateway) Stop(ctx context.Context) error {
	g.lifecycle.Lock()
	defer g.lifecycle.Unlock()
	if g.stopped {
		return nil
	}
	g.stopped = true
	close(g.leaving)
	g.workers.Wait() // they end at once, apart from a call of the store that is bounded
	err := g.drain(ctx)
	close(g.gone)
	for _, l := range g.routes.Load().lanes {
		l.binding.Load().release()
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		g.closing.Wait()
	}()
	select {
	case <-closed:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	return err
}

// drain waits until nothing is under way and everything is written.
func (g *Gateway) drain(ctx context.Context) error {
	// Leases must not end while attempts finish; the upkeep that renews them has ended.
	renewed := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(renewed)
		ticker := time.NewTicker(renewEvery)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
				g.renewLeases()
			}
		}
	}()
	defer func() { close(over); <-renewed }()
	for _, idle := range []func() <-chan struct{}{g.inAir.none, g.settler.flushed, g.scribe.flushed} {
		select {
		case <-idle():
		case <-ctx.Done():
			// ctx is over: a little time of our own to hand back what is held.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
			defer cancel()
			return errors.Join(ctx.Err(), g.handBack(last))
		}
	}
	return nil
}

// tally counts what is under way, and tells when there is nothing.
type tally struct {
	n    *atomic.Int64
	zero chan struct{} // has one entry after the count fell to zero
}

func newTally() tally { return tally{n: new(atomic.Int64), zero: make(chan struct{}, 1)} }

// Add counts n more.
func (t tally) Add(n int64) { t.n.Add(n) }

// Done counts one less.
func (t tally) Done() {
	if t.n.Add(-1) == 0 {
		select {
		case t.zero <- struct{}{}:
		default:
		}
	}
}

// none returns a channel that is closed once nothing is under way.
func (t tally) none() <-chan struct{} {
	empty := make(chan struct{})
	if t.n.Load() == 0 {
		close(empty)
		return empty
	}
	go func() {
		for t.n.Load() != 0 {
			<-t.zero
		}
		close(empty)
	}()
	return empty
}
