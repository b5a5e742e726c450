package app

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/clientfd"
	"github.com/pushgate/pushgate/internal/api/clientserver"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/pusher"
)

// identityTimeout bounds one question to a homeserver or a key server.
const identityTimeout = 10 * time.Second

// registry is what the roles clientserver and fachdienst share: who calls, and the rules for pushers and channels. It is
// built anew with each configuration.
type registry struct {
	auth    *auth.Authenticator
	limiter *auth.Limiter
	pushers *pusher.Service
	berlin  *time.Location
}

// hasRegistry reports whether a role needs pushers and channels.
func hasRegistry(c *config.Config) bool {
	return c.Has(config.RoleClientServer) || c.Has(config.RoleFachdienst)
}

// newRegistry reads the token files; it opens no connection.
func (a *App) newRegistry(c *config.Config) (*registry, error) {
	dialer, err := egress.NewDialer(egress.DialerOptions{Config: c.Egress, Environ: os.Environ()})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	guard, err := egress.NewGuard(egress.Options{Config: c.Egress})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return nil, fmt.Errorf("time zone of the months: %w", err)
	}
	// Homeserver and key servers are addresses from our own configuration: dialled as they are, through the proxy if any.
	who, err := auth.New(auth.Options{Config: c.Auth, Logger: a.log, HTTPClient: &http.Client{
		Timeout: identityTimeout, Transport: &http.Transport{DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second},
	}})
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return &registry{
		auth: who, limiter: auth.NewLimiter(c.Limits), berlin: berlin,
		pushers: pusher.New(pusher.Options{
			Store: a.store, Fachdienst: c.Fachdienst, Location: berlin,
			PublicURL: func(u *url.URL) error { return guard.CheckURL(u) },
		}),
	}, nil
}

// apis returns the client APIs of the configured roles.
func (r *registry) apis(c *config.Config) ([]api.API, error) {
	var all []api.API
	if c.Has(config.RoleClientServer) {
		apis, err := clientserver.New(clientserver.Options{
			Registry: r.pushers, Authenticator: r.auth, Limiter: r.limiter, BasePaths: c.ClientServer.BasePaths,
		})
		if err != nil {
			return nil, err // it names the API
		}
		all = append(all, apis...)
	}
	if c.Has(config.RoleFachdienst) {
		apis, err := clientfd.New(clientfd.Options{
			Registry: r.pushers, Channels: r.pushers, Authenticator: r.auth, Limiter: r.limiter,
			BasePaths: c.Fachdienst.BasePaths, ErezeptPaths: c.Fachdienst.ErezeptPaths,
		})
		if err != nil {
			return nil, err // it names the API
		}
		all = append(all, apis...)
	}
	return all, nil
}
