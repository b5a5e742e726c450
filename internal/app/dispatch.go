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
	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/gatewayclient"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/ops"
)

// outboxer is a store with the sender's tables.
type outboxer interface {
	Outbox() dispatch.Store
}

// startDispatch builds the sending side of the role fachdienst. Its settings hold for the life of the process.
func (a *App) startDispatch(c *config.Config, reg *registry) error {
	store, ok := a.store.(outboxer)
	if !ok {
		return errors.New("this store keeps no outbox")
	}
	caller, err := gatewayCaller(c)
	if err != nil {
		return err
	}
	a.dispatcher, err = dispatch.New(dispatch.Options{
		Store: store.Outbox(), Remover: reg.pushers, Hasher: a.store, Caller: caller, Fachdienst: c.Fachdienst, Location: reg.berlin,
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

// gatewayCaller returns the client for gateways whose addresses apps have chosen: every dialled address is judged.
func gatewayCaller(c *config.Config) (*gatewayclient.Client, error) {
	guard, err := egress.NewGuard(egress.Options{Config: c.Egress, Ports: gatewayPorts(c.Fachdienst.Gateways)})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	client, err := mtls.NewClient(mtls.ClientConfig(c.Fachdienst.GatewayClient))
	if err != nil {
		return nil, fmt.Errorf("fachdienst.gateway_client: %w", err)
	}
	caller, err := gatewayclient.New(gatewayclient.Options{
		HTTP: guard.Client(egress.ClientOptions{TLS: client.TLSConfig(), Timeout: gatewayclient.Timeout, MaxBody: gatewayclient.MaxAnswer, MaxIdlePerHost: 8}),
	})
	if err != nil {
		return nil, fmt.Errorf("gateway client: %w", err)
	}
	return caller, nil
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
		return api.API{}, err //nolint:wrapcheck // it names the API
	}
	return one, nil
}
