package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/gatewayclient"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/push"
)

// caller calls gateways by the settings in force, which change while it does: certificates and revocation lists are
// renewed in place, and a reload may change which networks may be dialled. Lists end after days, and an outdated one
// stops every call. Calls under way end on the connections they began on; new ones are judged anew.
type caller struct {
	log     *slog.Logger
	loading sync.Mutex // one change at a time
	current atomic.Pointer[outward]
}

var _ dispatch.Caller = (*caller)(nil)

// outward is everything that a change replaces.
type outward struct {
	config *config.Config
	key    [sha256.Size]byte // equal keys mean equal settings and files
	info   mtls.Info
	// fachdienst calls gateways with our certificate; matrix calls those that Matrix users have named, as nobody.
	fachdienst, matrix *gatewayclient.Client
}

func newCaller(c *config.Config, log *slog.Logger) (*caller, error) {
	k := &caller{log: log}
	commit, err := k.prepare(c)
	if err != nil {
		return nil, err
	}
	commit()
	return k, nil
}

// Sealed implements dispatch.Caller.
func (k *caller) Sealed(ctx context.Context, gateway string, items []dispatch.Item) ([]dispatch.Result, error) {
	return k.current.Load().fachdienst.Sealed(ctx, gateway, items) // it is a CallError already
}

// Plain implements dispatch.Caller.
func (k *caller) Plain(ctx context.Context, gateway string, items []dispatch.Item) ([]dispatch.Result, error) {
	return k.current.Load().fachdienst.Plain(ctx, gateway, items) // it is a CallError already
}

// Matrix implements dispatch.Caller.
func (k *caller) Matrix(ctx context.Context, gateway string, n push.Notification) ([]push.Pushkey, error) {
	return k.current.Load().matrix.Matrix(ctx, gateway, n) // it is a CallError already
}

// Info returns the ages of the certificate and the lists in use.
func (k *caller) Info() mtls.Info { return k.current.Load().info }

// prepare reads the files of a configuration and returns what puts it in force, which cannot fail. Where nothing has
// changed, neither do the connections.
func (k *caller) prepare(c *config.Config) (commit func(), err error) {
	key, err := outwardKey(c)
	if err != nil {
		return nil, err
	}
	if now := k.current.Load(); now != nil && now.key == key {
		return func() {}, nil
	}
	next, err := newOutward(c)
	if err != nil {
		return nil, err
	}
	next.key = key
	return func() {
		k.loading.Lock()
		defer k.loading.Unlock()
		k.current.Store(next)
	}, nil
}

// refresh reads the same files again.
func (k *caller) refresh() error {
	k.loading.Lock()
	defer k.loading.Unlock()
	now := k.current.Load()
	key, err := outwardKey(now.config)
	if err != nil || key == now.key {
		return err
	}
	next, err := newOutward(now.config)
	if err != nil {
		return err
	}
	next.key = key
	k.current.Store(next)
	return nil
}

// watch calls refresh until ctx ends.
func (k *caller) watch(ctx context.Context, every time.Duration) {
	mtls.Repeat(ctx, every, k.refresh, func(problem string) {
		k.log.Error("certificates for gateways not renewed, the old ones stay in use", slog.String("error", problem))
	})
}

// newOutward builds the clients. Every address that is dialled is judged, as apps have chosen the gateways.
func newOutward(c *config.Config) (*outward, error) {
	guard, err := egress.NewGuard(egress.Options{Config: c.Egress, Ports: gatewayPorts(c.Fachdienst.Gateways)})
	if err != nil {
		return nil, fmt.Errorf("egress: %w", err)
	}
	ours, err := mtls.NewClient(mtls.ClientConfig(c.Fachdienst.GatewayClient))
	if err != nil {
		return nil, fmt.Errorf("fachdienst.gateway_client: %w", err)
	}
	o := egress.ClientOptions{Timeout: gatewayclient.Timeout, MaxBody: gatewayclient.MaxAnswer, MaxIdlePerHost: 8}
	out := &outward{config: c, info: ours.Info()}
	o.TLS = ours.TLSConfig()
	if out.fachdienst, err = gatewayclient.New(gatewayclient.Options{HTTP: guard.Client(o)}); err != nil {
		return nil, fmt.Errorf("gateway client: %w", err)
	}
	o.TLS = ours.StrangerTLSConfig()
	if out.matrix, err = gatewayclient.New(gatewayclient.Options{HTTP: guard.Client(o)}); err != nil {
		return nil, fmt.Errorf("gateway client: %w", err)
	}
	return out, nil
}

// outwardKey sums up everything that newOutward looks at. A file that is gone is no empty one.
func outwardKey(c *config.Config) (key [sha256.Size]byte, err error) {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q %q", c.Egress.Fingerprint(), c.Fachdienst.Gateways)
	files := c.Fachdienst.GatewayClient
	for _, f := range []struct{ name, path string }{
		{"cert_file", files.CertFile}, {"key_file", files.KeyFile}, {"ca_file", files.CAFile}, {"crl_file", files.CRLFile},
	} {
		var text []byte
		if f.path != "" {
			if text, err = os.ReadFile(f.path); err != nil {
				return key, fmt.Errorf("fachdienst.gateway_client.%s: %w", f.name, cause(err))
			}
		}
		_, _ = fmt.Fprintf(h, " %q %x", f.path, sha256.Sum256(text))
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// cause leaves the path out of a file's error.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
