package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/gateway"
	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/provider/apns"
	"github.com/pushgate/pushgate/internal/provider/fcm"
	"github.com/pushgate/pushgate/internal/provider/webpush"
)

const (
	// voipLifetime is how long a call is worth ringing for (design 2).
	voipLifetime = 30 * time.Second
	// warmers bounds how many apps open their connections at one time after start or reload.
	warmers = 4
	// warmTimeout bounds one app's warm-up; Send connects by itself when it fails.
	warmTimeout = 10 * time.Second
	// webPushConns is how many connections one push service gets. Over HTTP/2 each carries a hundred requests, and without a
	// bound every request that waits for the first one would dial its own. A service inside the house may speak HTTP/1.1
	// only, where a connection carries one request: this many serve the 1000 that max_in_flight allows within the 15 s of
	// provider_timeout as long as an answer takes less than 240 ms, and 1600 a second where it takes 10 ms.
	webPushConns = 16
)

// providers builds the apps of a configuration. Apps with equal settings share one provider, within a configuration and
// over reloads, so that a credential has few connections and a reload that changes nothing reconnects nothing.
type providers struct {
	log     *slog.Logger
	shared  map[string]provider.Provider // in force, by spec.key
	cold    []provider.Provider          // in force, and warm has not heard of them yet
	warming sync.WaitGroup
}

// built is a configuration's apps before they are in force.
type built struct {
	apps   []gateway.App
	fresh  []provider.Provider // made for it; the others are in force already
	shared map[string]provider.Provider
}

// discard closes what was made for a configuration that is not taken.
func (b built) discard() {
	for _, one := range b.fresh {
		_ = one.Close()
	}
}

// build makes what a configuration needs. Nothing that serves traffic is touched: a failure leaves everything as it was.
func (p *providers) build(c *config.Config) (built, error) {
	e, err := newEdges(c)
	if err != nil {
		return built{}, err
	}
	b := built{shared: map[string]provider.Provider{}}
	for i, a := range c.Apps {
		s := specOf(a, c, e, p.log)
		one, ok := b.shared[s.key]
		if !ok {
			one, ok = p.shared[s.key]
		}
		if !ok {
			if one, err = s.make(); err != nil {
				b.discard()
				return built{}, fmt.Errorf("apps[%d]: %w", i, err)
			}
			b.fresh = append(b.fresh, one)
		}
		b.shared[s.key] = one
		b.apps = append(b.apps, gateway.App{
			Pattern: a.AppID, Provider: one, Kind: s.kind, MaxInFlight: s.maxInFlight, Fingerprint: s.fingerprint, Lifetime: s.lifetime,
		})
	}
	return b, nil
}

// commit makes a configuration's providers those in force. The gateway closes the ones it no longer has.
func (p *providers) commit(b built) { p.shared, p.cold = b.shared, b.fresh }

// warm begins to open the connections of providers that are new in force, and returns at once: traffic need not wait for
// them, and least of all for the connection of another app that cannot be reached. What is under way ends with ctx.
func (p *providers) warm(ctx context.Context) {
	fresh := p.cold
	p.cold = nil
	p.warming.Go(func() { p.warmAll(ctx, fresh) })
}

// cooled waits for the end of what warm began, whose ctx has ended.
func (p *providers) cooled(context.Context) error {
	p.warming.Wait()
	return nil
}

// warmAll returns when all had their chance.
func (p *providers) warmAll(ctx context.Context, fresh []provider.Provider) {
	slots := make(chan struct{}, warmers)
	var all sync.WaitGroup
	for _, one := range fresh {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			bounded, cancel := context.WithTimeout(ctx, warmTimeout)
			defer cancel()
			if err := one.Warm(bounded); err != nil && ctx.Err() == nil {
				p.log.Warn("provider not reached yet", slog.Any("error", err))
			}
		})
	}
	all.Wait()
}

// spec is one app's section in a form that does not depend on the push service.
type spec struct {
	kind        string
	key         string // equal keys may share a provider
	fingerprint string
	maxInFlight int
	lifetime    time.Duration
	make        func() (provider.Provider, error)
}

// edges are the ways out of the house that providers use.
type edges struct {
	dialer *egress.Dialer
}

func newEdges(c *config.Config) (edges, error) {
	d, err := egress.NewDialer(egress.DialerOptions{Config: c.Egress, Environ: os.Environ()})
	if err != nil {
		return edges{}, fmt.Errorf("egress: %w", err)
	}
	return edges{dialer: d}, nil
}

// webPush makes a client whose HTTP side judges every address that a subscription names.
func (edges) webPush(w webpush.Config, c *config.Config) (provider.Provider, error) {
	guard, err := egress.NewGuard(egress.Options{Config: c.Egress, Ports: w.Ports()})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	trust, err := w.TLS()
	if err != nil {
		return nil, fmt.Errorf("webpush.ca_file %w", err)
	}
	// No time of its own: the gateway gives each attempt gateway.provider_timeout, which a reload may change.
	h := guard.Client(egress.ClientOptions{TLS: trust, MaxConnsPerHost: webPushConns, MaxIdlePerHost: webPushConns})
	return webpush.New(w, webpush.Options{HTTP: h, SendBadgeCounts: c.SendBadgeCounts})
}

// specOf is the one explicit list of push services.
func specOf(a config.App, c *config.Config, e edges, log *slog.Logger) spec {
	var s spec
	switch {
	case a.APNs != nil:
		s = spec{kind: "apns", fingerprint: a.APNs.Fingerprint(), maxInFlight: a.APNs.MaxInFlight}
		if a.APNs.PushType == "voip" {
			s.lifetime = voipLifetime
		}
		s.make = func() (provider.Provider, error) {
			return apns.New(*a.APNs, apns.Options{Logger: log, SendBadgeCounts: c.SendBadgeCounts, DialTLS: e.dialTLS})
		}
	case a.FCM != nil:
		s = spec{kind: "fcm", fingerprint: a.FCM.Fingerprint(), maxInFlight: a.FCM.MaxInFlight}
		s.make = func() (provider.Provider, error) {
			return fcm.New(*a.FCM, fcm.Options{Logger: log, SendBadgeCounts: c.SendBadgeCounts, Dial: e.dialer.DialContext})
		}
	case a.WebPush != nil:
		s = spec{kind: "webpush", fingerprint: a.WebPush.Fingerprint(), maxInFlight: a.WebPush.MaxInFlight}
		s.make = func() (provider.Provider, error) {
			return e.webPush(*a.WebPush, c)
		}
	}
	s.key = s.kind + " " + s.fingerprint + " " + strconv.Itoa(s.maxInFlight) + " " + strconv.FormatBool(c.SendBadgeCounts) + " " + c.Egress.Fingerprint()
	return s
}

// dialTLS opens a connection to Apple, through the proxy where one is configured.
func (e edges) dialTLS(ctx context.Context, network, addr string, cfg *tls.Config) (net.Conn, error) {
	raw, err := e.dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err // the provider classifies it
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err // the provider classifies it
	}
	return conn, nil
}
