package app

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/notificationservice"
	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/ops"
)

// outboxer is a store with the sender's tables.
type outboxer interface {
	Outbox() dispatch.Store
}

// startDispatch builds the sending side of the role fachdienst. Its settings hold for the life of the process, but for
// how gateways are called.
func (a *App) startDispatch(c *config.Config, reg *registry) error {
	store, ok := a.store.(outboxer)
	if !ok {
		return errors.New("this store keeps no outbox")
	}
	var err error
	if a.caller, err = newCaller(c, a.log); err != nil {
		return err
	}
	a.metrics.WatchCertificates("fachdienst.gateway_client", a.caller)
	a.dispatcher, err = dispatch.New(dispatch.Options{
		Store: store.Outbox(), Remover: reg.pushers, Hasher: a.store, Caller: a.caller, Fachdienst: c.Fachdienst, Location: reg.berlin,
		MaxQueued: c.Gateway.MaxQueued, Shared: !c.Storage.SQLite(), Logger: a.log,
		Observer: a.metrics.Dispatch(func() ops.Dispatcher { return a.dispatcher }),
	})
	if err != nil {
		return fmt.Errorf("dispatch: %w", err)
	}
	a.undo.add("dispatch", a.dispatcher.Stop)
	if err := a.dispatcher.Start(); err != nil {
		return fmt.Errorf("dispatch: %w", err)
	}
	return nil
}

// gatewayPorts are the ports besides 443 that the allow-list names.
func gatewayPorts(gateways []string) []uint16 {
	var ports []uint16
	for _, text := range gateways {
		u, err := url.Parse(text)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
			ports = append(ports, uint16(n))
		}
	}
	return ports
}

// notificationAPI returns the API for backends that say "this happened to this person".
func (a *App) notificationAPI(c *config.Config) (api.API, error) {
	senders := make([]dispatch.Sender, len(c.Senders))
	for i, s := range c.Senders {
		senders[i] = dispatch.Sender{Name: s.San, Channels: s.Channels}
	}
	one, err := notificationservice.New(notificationservice.Options{
		Service: a.dispatcher, Senders: senders, Anybody: a.opts.Dev, MaxRequestKB: min(c.Gateway.MaxRequestKB, 256),
	})
	if err != nil {
		return api.API{}, err // it names the API
	}
	return one, nil
}
