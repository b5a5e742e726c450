package config

import (
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/egress"
	"github.com/pushgate/pushgate/internal/gateway"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/provider/apns"
	"github.com/pushgate/pushgate/internal/provider/fcm"
	"github.com/pushgate/pushgate/internal/provider/webpush"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Role is one of the three services that a process can be, alone or together.
type Role string

// The roles.
const (
	RoleGateway      Role = "gateway"      // takes notifications and delivers them
	RoleClientServer Role = "clientserver" // Matrix pushers, for clients of a homeserver
	RoleFachdienst   Role = "fachdienst"   // pushers, channels and events of a gematik Fachdienst
)

// Config is the whole file.
type Config struct {
	Roles []Role `yaml:"roles"`
	// DataDir holds what must survive a restart, and admin.sock. Created with mode 0700.
	DataDir string         `yaml:"data_dir"`
	Listen  Listen         `yaml:"listen"`
	Storage Storage        `yaml:"storage"`
	Gateway gateway.Config `yaml:"gateway"`
	// Apps are searched by app_id: an exact one beats a pattern, and two patterns never fit the same app_id.
	Apps []App `yaml:"apps"`
	// SendBadgeCounts false leaves all counts out, as Sygnal's switch of that name.
	SendBadgeCounts bool `yaml:"send_badge_counts"`
	// Senders say which verified caller may push to which apps. Empty: every verified caller to all.
	Senders []gateway.Sender `yaml:"senders"`
	// Limits bound the client APIs.
	Limits       auth.LimitsConfig         `yaml:"limits"`
	ClientServer pusher.ClientServerConfig `yaml:"clientserver"`
	Fachdienst   pusher.FachdienstConfig   `yaml:"fachdienst"`
	// Auth says whose bearer tokens the client APIs believe.
	Auth   auth.Config   `yaml:"auth"`
	Egress egress.Config `yaml:"egress"`
	Log    Log           `yaml:"log"`
}

// Listen says where we are reachable. Addresses are host:port; an empty one is off.
type Listen struct {
	// Public is plain HTTP, for homeservers on the same machine or behind a proxy.
	Public string    `yaml:"public"`
	TLS    ListenTLS `yaml:"tls"`
	// Admin is read-only: /metrics, /healthz, /readyz, /debug/pprof. It knows no callers, so it stays on loopback unless
	// AdminAllowRemote says otherwise (probes and scrapes of Kubernetes come from outside the container).
	Admin            string `yaml:"admin"`
	AdminAllowRemote bool   `yaml:"admin_allow_remote"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// BehindMTLSProxy says that a proxy in front has checked the client certificate of every gematik caller.
	BehindMTLSProxy bool `yaml:"behind_mtls_proxy"`
}

// ListenTLS is the HTTPS listener, off without an address. With client_ca_file client certificates are checked.
type ListenTLS struct {
	Address           string `yaml:"address"`
	mtls.ServerConfig `yaml:",inline"`
}

// App is one app on one platform: an app_id, or a pattern with * and ?, and exactly one provider.
type App struct {
	AppID   string          `yaml:"app_id"`
	APNs    *apns.Config    `yaml:"apns"`
	FCM     *fcm.Config     `yaml:"fcm"`
	WebPush *webpush.Config `yaml:"webpush"`
}

// Log says what is written to standard error.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // json, text
}

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		Roles:   []Role{RoleGateway},
		DataDir: "data",
		Listen:  Listen{Public: "127.0.0.1:8080", Admin: "127.0.0.1:8081"},
		Storage: Storage{URL: storageSQLite},
		Gateway: gateway.DefaultConfig(),

		SendBadgeCounts: true,

		Limits:       auth.DefaultLimitsConfig(),
		ClientServer: pusher.DefaultClientServerConfig(),
		Fachdienst:   pusher.DefaultFachdienstConfig(),
		Auth:         auth.DefaultConfig(),
		Egress:       egress.DefaultConfig(),
		Log:          Log{Level: "info", Format: "json"},
	}
}

// Has reports whether the process has a role.
func (c *Config) Has(r Role) bool {
	for _, have := range c.Roles {
		if have == r {
			return true
		}
	}
	return false
}
