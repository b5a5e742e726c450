package importer

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"

	core "github.com/pushgate/pushgate/internal/gateway"
)

// target is the configuration being written. The field order is the order in the file.
type target struct {
	Roles   []string   `yaml:"roles,flow"`
	DataDir string     `yaml:"data_dir"`
	Listen  listen     `yaml:"listen"`
	Gateway gateway    `yaml:"gateway"`
	Badges  bool       `yaml:"send_badge_counts"`
	Apps    []app      `yaml:"apps"`
	Egress  *egress    `yaml:"egress,omitempty"`
	Log     *logTarget `yaml:"log,omitempty"`
}

type listen struct {
	Public         string   `yaml:"public"`
	Admin          string   `yaml:"admin"`
	AdminRemote    bool     `yaml:"admin_allow_remote,omitempty"`
	TrustedProxies []string `yaml:"trusted_proxies,flow,omitempty"`
	BehindProxy    bool     `yaml:"behind_mtls_proxy,omitempty"`
}

type gateway struct {
	Matrix       bool   `yaml:"matrix"`
	Gematik      bool   `yaml:"gematik"`
	UnknownAppID string `yaml:"unknown_app_id"`
}

type app struct {
	AppID   string   `yaml:"app_id"`
	APNs    *apns    `yaml:"apns,omitempty"`
	FCM     *fcm     `yaml:"fcm,omitempty"`
	WebPush *webpush `yaml:"webpush,omitempty"`
}

type apns struct {
	Topic            string `yaml:"topic,omitempty"`
	Environment      string `yaml:"environment"`
	KeyFile          string `yaml:"key_file,omitempty"`
	KeyID            string `yaml:"key_id,omitempty"`
	TeamID           string `yaml:"team_id,omitempty"`
	CertFile         string `yaml:"cert_file,omitempty"`
	CertPasswordFile string `yaml:"cert_password_file,omitempty"`
	PushType         string `yaml:"push_type,omitempty"`
	Endpoint         string `yaml:"endpoint,omitempty"`
	MaxInFlight      int    `yaml:"max_in_flight,omitempty"`
}

type fcm struct {
	ProjectID          string         `yaml:"project_id"`
	ServiceAccountFile string         `yaml:"service_account_file"`
	Options            map[string]any `yaml:"options,omitempty"`
	MaxInFlight        int            `yaml:"max_in_flight,omitempty"`
}

type webpush struct {
	VAPIDPrivateKeyFile string   `yaml:"vapid_private_key_file"`
	Contact             string   `yaml:"contact"`
	TTL                 string   `yaml:"ttl"`
	AllowedHosts        []string `yaml:"allowed_hosts,omitempty"`
	MaxInFlight         int      `yaml:"max_in_flight,omitempty"`
}

type egress struct {
	Proxy             string `yaml:"proxy"`
	ProxyPasswordFile string `yaml:"proxy_password_file,omitempty"`
}

type logTarget struct {
	Level string `yaml:"level"`
}

// overlaps says which app_ids the gateway cannot tell apart.
func (t target) overlaps(notes *[]Note) {
	patterns := make([]string, len(t.Apps))
	for i, a := range t.Apps {
		patterns[i] = a.AppID
	}
	core.CheckPatterns(patterns, func(path, problem string) {
		*notes = append(*notes, Note{Key: "apps" + path, Text: problem +
			"; pushgate refuses to start with such a pair instead of guessing (Sygnal rejects every such app_id, which deletes the pusher): keep one, or narrow them"})
	})
}

// write renders the file under a heading.
func (t target) write(heading string) ([]byte, error) {
	var b bytes.Buffer
	_, _ = fmt.Fprintf(&b, "# %s\n# Relative paths are relative to this file.\n", heading)
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(t); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return b.Bytes(), nil
}
