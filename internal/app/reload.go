package app

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/ops"
)

// fixed are the keys that a running process cannot change: what is bound, opened or shared at the start.
func (a *App) fixed(next *config.Config) []string {
	keys := []string{"roles", "data_dir", "listen.public", "listen.tls.address", "listen.admin", "storage", "fachdienst", "log.format"}
	if a.dispatcher != nil {
		keys = append(keys, "gateway.max_queued") // its outbox has the bound that it was made with
	}
	if api.AnswerTime(handlerTime(next)) > api.AnswerTime(handlerTime(a.opts.Config)) {
		// The listeners would hang up on callers who wait that long. Less, and up to 9 s in any case, is what they were built for.
		keys = append(keys, "gateway.attempt_timeout")
	}
	return keys
}

// reload takes a new configuration: all of it, or with any error none of it.
func (a *App) reload(ctx context.Context) {
	if a.opts.Load == nil {
		return
	}
	next, err := a.opts.Load()
	if err == nil {
		err = a.apply(ctx, next)
	}
	a.metrics.Reloaded(err == nil, time.Now())
	if err != nil {
		a.log.Error("configuration not reloaded, the old one stays in force", slog.Any("error", err))
		return
	}
	a.log.Info("configuration reloaded", slog.Int("apps", len(next.Apps)))
	a.warn()
}

// apply swaps everything that a configuration decides. What can fail comes first; the gateway's own Reload is the last
// of it, and either takes everything or nothing.
func (a *App) apply(ctx context.Context, next *config.Config) error {
	if err := a.refuse(next); err != nil {
		return err
	}
	var reg *registry
	if hasRegistry(next) {
		var err error
		if reg, err = a.newRegistry(next); err != nil {
			return err
		}
	}
	engine, err := a.engine(next, reg)
	if err != nil {
		return err
	}
	swapCaller := func() {}
	if a.caller != nil {
		if swapCaller, err = a.caller.prepare(next); err != nil {
			return err
		}
	}
	built, err := a.providers.build(next)
	if err != nil {
		return err
	}
	swapTLS := func() {}
	if a.tls != nil {
		if swapTLS, err = a.tls.Prepare(next.Listen.TLS.ServerConfig); err != nil {
			built.discard()
			return err
		}
	}
	if err := a.gateway.Reload(next.Gateway, built.apps, next.Senders); err != nil {
		built.discard()
		return err
	}
	// From here on nothing can fail.
	swapTLS()
	swapCaller()
	_ = ops.SetLevel(a.level, next.Log.Level) // the configuration check knows the levels
	a.handler.Store(engine)
	// What the old registry asks issuers and the homeserver at this moment goes on: callers wait for it, and every question
	// ends by itself within seconds.
	a.registry.Store(reg)
	a.providers.commit(built)
	a.cfg = next
	a.providers.warm(ctx)
	return nil
}

// refuse names the changed keys that need a restart.
func (a *App) refuse(next *config.Config) error {
	var hard []string
	fixed := a.fixed(next)
	for _, key := range config.Changed(a.cfg, next) {
		if slices.ContainsFunc(fixed, func(f string) bool { return key == f || strings.HasPrefix(key, f+".") }) {
			hard = append(hard, key)
		}
	}
	if len(hard) == 0 {
		return nil
	}
	return &restartNeeded{keys: hard}
}

// restartNeeded says which keys a running process cannot change.
type restartNeeded struct{ keys []string }

// Error names the keys.
func (e *restartNeeded) Error() string {
	return "a restart is needed to change " + strings.Join(e.keys, ", ")
}
