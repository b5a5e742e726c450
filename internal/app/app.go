package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/pushgateway"
	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/gateway"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/ops"
	"github.com/pushgate/pushgate/internal/store"
)

// certificateCheck is how often the TLS files are read again, so that certificates and revocation lists that are
// renewed in place need no signal.
const certificateCheck = 5 * time.Minute

// Options is what a process is made of.
type Options struct {
	Config *config.Config
	// Load reads the configuration again on each value of Reload. Nil means that the process cannot reload.
	Load   func() (*config.Config, error)
	Reload <-chan os.Signal
	// Log receives the log lines.
	Log     io.Writer
	Version string
	// Dev lets backends submit events without a certificate.
	Dev bool
	// Ready is called once everything answers.
	Ready func()
}

// App is a running process. Everything it holds is closed by Stop.
type App struct {
	opts    Options
	cfg     *config.Config // the one in force; only Run's goroutine reads and replaces it
	log     *slog.Logger
	level   *slog.LevelVar
	undo    cleanups
	failed  chan error
	metrics *ops.Metrics
	health  *ops.Health

	store     store.Store
	providers *providers
	gateway   *gateway.Gateway
	registry  atomic.Pointer[registry] // nil without a role that has pushers
	// dispatcher and caller are nil without the role fachdienst.
	dispatcher *dispatch.Dispatcher
	caller     *caller
	handler    atomic.Pointer[api.Engine]
	tls        *mtls.Server
	listeners  []*listener
	stopping   sync.Once
}

// Run builds a process, serves until ctx ends or something fails for good, and stops it.
func Run(ctx context.Context, o Options) error {
	a, err := New(ctx, o)
	if err != nil {
		return err
	}
	defer a.Stop()
	return a.serve(ctx)
}

// New builds everything and binds the listeners. After an error nothing is left behind.
func New(ctx context.Context, o Options) (*App, error) {
	log, level, err := ops.NewLogger(o.Log, ops.LogOptions{Level: o.Config.Log.Level, Format: o.Config.Log.Format})
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	a := &App{opts: o, cfg: o.Config, log: log, level: level, failed: make(chan error, 8), undo: cleanups{log: log}}
	if err := a.setup(ctx); err != nil {
		a.undo.run()
		return nil, err
	}
	return a, nil
}

// setup is one straight function on purpose: the order in which things come to be, and in which they end, is read here.
// Each clean-up is registered on the line after the thing exists; they run last first.
func (a *App) setup(ctx context.Context) error {
	c := a.cfg
	a.metrics = ops.NewMetrics(a.opts.Version)

	var err error
	if a.store, err = openStore(ctx, c, a.log); err != nil {
		return err
	}
	a.undo.add("store", func(context.Context) error { return a.store.Close() })
	a.health = ops.NewHealth(a.log, ops.GatewayCheck(a), ops.Check{Name: "store", Run: func(ctx context.Context) (any, error) {
		return nil, a.store.Ping(ctx)
	}})
	if err := a.listenAdmin(ctx, c); err != nil {
		return err
	}

	a.providers = &providers{log: a.log}
	built, err := a.providers.build(c)
	if err != nil {
		return err
	}
	if a.gateway, err = gateway.New(gateway.Options{
		Config: c.Gateway, Apps: built.apps, Senders: c.Senders, Queue: a.store, Ledger: a.store, Admin: a.store, Hasher: a.store,
		Observer: a.metrics, Logger: a.log,
	}); err != nil {
		built.discard()
		return fmt.Errorf("gateway: %w", err)
	}
	a.undo.add("gateway", a.gateway.Stop)
	a.metrics.WatchGateway(a.gateway)
	a.providers.commit(built)
	a.undo.add("warm-up", a.providers.cooled) // before the gateway closes the providers

	if hasRegistry(c) {
		reg, err := a.newRegistry(c)
		if err != nil {
			return err
		}
		a.registry.Store(reg)
		a.undo.add("registry", func(context.Context) error { a.registry.Load().auth.Close(); return nil })
	}
	if c.Has(config.RoleFachdienst) {
		if err := a.startDispatch(c, a.registry.Load()); err != nil {
			return err
		}
	}
	engine, err := a.engine(c, a.registry.Load())
	if err != nil {
		return err
	}
	a.handler.Store(engine)
	if err := a.listen(ctx, c); err != nil {
		return err
	}
	if err := a.openAdminSocket(ctx); err != nil {
		return err
	}
	if err := a.gateway.Start(ctx); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

// engine builds the public side of the APIs that the roles need.
func (a *App) engine(c *config.Config, reg *registry) (*api.Engine, error) {
	e, err := api.New(api.Options{Logger: a.log, Observer: a.metrics, TrustedProxies: c.Listen.TrustedProxies})
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if c.Has(config.RoleGateway) {
		gatewayAPI, err := pushgateway.New(pushgateway.Options{
			Deliverer: a.gateway, Matrix: c.Gateway.Matrix, Gematik: c.Gateway.Gematik,
			MaxRequestKB: c.Gateway.MaxRequestKB, MaxNotificationKB: c.Gateway.MaxNotificationKB,
			RequireClientCert: c.Gateway.RequireClientCert, BehindMTLSProxy: c.Listen.BehindMTLSProxy,
			TLSChecksClients: c.Listen.TLS.ClientCAFile != "",
		})
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		if err := e.Mount(gatewayAPI); err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
	}
	if reg == nil {
		return e, nil
	}
	apis, err := reg.apis(c)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if a.dispatcher != nil {
		one, err := a.notificationAPI(c)
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		apis = append(apis, one)
	}
	for _, one := range apis {
		if err := e.Mount(one); err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
	}
	return e, nil
}

// Stats returns the gateway's numbers for readiness and metrics.
func (a *App) Stats() gateway.Stats { return a.gateway.Stats() }

// healthPath is where Sygnal answers that its process lives; load balancers that were set up for it keep working.
// Readiness, which knows more, is on the admin listener.
const healthPath = "/health"

// ServeHTTP hands a request to the engine in force, which a reload replaces.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == healthPath && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.WriteHeader(http.StatusOK)
		return
	}
	a.handler.Load().ServeHTTP(w, r)
}

// handlerTime is how long a request may be worked on: the attempts, and a second for the commit (design 2).
func handlerTime(c *config.Config) time.Duration { return c.Gateway.AttemptTimeout + time.Second }

// listen binds every configured address. Nothing is answered yet.
func (a *App) listen(ctx context.Context, c *config.Config) error {
	handlerTime := handlerTime(c)
	if c.Listen.Public != "" {
		inner, err := bind(ctx, "public", c.Listen.Public)
		if err != nil {
			return err
		}
		a.add("public", inner, api.NewServer(api.ServerOptions{Handler: a, Logger: a.log, HandlerTime: handlerTime}))
	}
	if c.Listen.TLS.Address != "" {
		var err error
		if a.tls, err = mtls.NewServer(mtls.ServerOptions{Config: c.Listen.TLS.ServerConfig, Logger: a.log}); err != nil {
			return fmt.Errorf("listen.tls: %w", err)
		}
		a.metrics.WatchCertificates("tls", a.tls)
		inner, err := bind(ctx, "tls", c.Listen.TLS.Address)
		if err != nil {
			return err
		}
		a.add("tls", a.tls.Listen(inner), api.NewServer(api.ServerOptions{Handler: a, Logger: a.log, TLS: a.tls.TLSConfig(), HandlerTime: handlerTime}))
	}
	if c.Listen.Public == "" && c.Listen.TLS.Address == "" {
		return errors.New("no listener is configured")
	}
	return nil
}

// listenAdmin binds the admin listener. It is the last to close, so that a stop can be watched.
func (a *App) listenAdmin(ctx context.Context, c *config.Config) error {
	if c.Listen.Admin == "" {
		return nil
	}
	inner, err := bind(ctx, "admin", c.Listen.Admin)
	if err != nil {
		return err
	}
	a.add("admin", inner, ops.AdminServer(a.metrics, a.health))
	return nil
}

func (a *App) add(name string, inner net.Listener, server *http.Server) {
	l := &listener{name: name, inner: inner, server: server}
	a.listeners = append(a.listeners, l)
	a.undo.add("listener "+name, l.drain)
}

// Addr returns where a listener (public, tls, admin) is bound, empty when it is off.
func (a *App) Addr(name string) string {
	for _, l := range a.listeners {
		if l.name == name {
			return l.inner.Addr().String()
		}
	}
	return ""
}

// serve answers until ctx ends or a listener fails for good.
func (a *App) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // also where a listener failed: the clean-ups wait for what was begun under it
	for _, l := range a.listeners {
		l.announce(a.log)
		go l.serve(a.failed)
	}
	if a.tls != nil {
		go a.tls.Watch(ctx, certificateCheck)
	}
	if a.caller != nil {
		go a.caller.watch(ctx, certificateCheck)
	}
	a.providers.warm(ctx)
	a.warn()
	a.metrics.Reloaded(true, time.Now())
	a.health.SetReady(true)
	a.log.Info("ready", slog.String("version", a.opts.Version), slog.Int("apps", len(a.cfg.Apps)))
	if a.opts.Ready != nil {
		a.opts.Ready()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-a.failed:
			return err
		case <-a.opts.Reload:
			a.reload(ctx)
		}
	}
}

// warn logs what deserves a second look in the configuration in force.
func (a *App) warn() {
	if a.opts.Dev {
		return // it lifts what the warnings are about
	}
	for _, w := range a.cfg.Warnings() {
		a.log.Warn("configuration", slog.String("warning", w))
	}
}

// Stop ends the process in order: not ready, listeners drained, attempts finished or handed back, store closed. It may be
// called more than once.
func (a *App) Stop() {
	a.stopping.Do(func() {
		a.health.SetReady(false)
		a.log.Info("stopping")
		a.undo.run()
		a.log.Info("stopped")
	})
}
