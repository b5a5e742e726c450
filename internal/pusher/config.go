package pusher

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ClientServerConfig is the section clientserver: the Matrix Client-Server API.
type ClientServerConfig struct {
	// BasePaths are the prefixes of pushers and pushers/set. Clients of all ages are about, so the default has three.
	BasePaths []string `yaml:"base_paths"`
}

// FachdienstConfig is the section fachdienst: the gematik Client-FD API, and how events reach gateways.
type FachdienstConfig struct {
	// BasePaths are the prefixes of pushers, pushers/set and channels.
	BasePaths []string `yaml:"base_paths"`
	// ErezeptPaths also serves E-Rezept's spelling, /pushers/v1 and /channels/v1, with that deployment's error codes.
	ErezeptPaths bool `yaml:"erezept_paths"`
	// Channels are what people can choose, in the order in which they are listed.
	Channels []ChannelConfig `yaml:"channels"`
	// Encryption says whether a registration must bring a key chain. E-Rezept demands it (A_28116).
	Encryption EncryptionMode `yaml:"encryption"`
	// Gateways is the allow-list for data.url, compared as text with the last slash (C_12456), when an app registers and
	// again before anything is sent. Empty: any public https host.
	Gateways []string `yaml:"gateways"`
	// GatewayClient is what we show to gateways and whom we believe there; internal/mtls reads the files.
	GatewayClient GatewayClientConfig `yaml:"gateway_client"`
	// Retry is the ladder towards gateways.
	Retry RetryConfig `yaml:"retry"`
}

// ChannelConfig is one channel.
type ChannelConfig struct {
	ID string `yaml:"id"` // erp.task.activate
	// Default is what holds until a person chooses. not_set counts as off.
	Default ChannelStatus `yaml:"default"`
}

// GatewayClientConfig names the files for calling gateways: our certificate, the authorities of theirs, revocations. They
// are read again every few minutes and at a reload. Gateways that Matrix users name are called without our certificate and
// without the lists; the system's authorities vouch for them too.
type GatewayClientConfig struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	CAFile   string `yaml:"ca_file"`
	CRLFile  string `yaml:"crl_file"`
}

// RetryConfig is a ladder: Initial, doubling up to Max, until GiveUp after the event.
type RetryConfig struct {
	Initial time.Duration `yaml:"initial"`
	Max     time.Duration `yaml:"max"`
	GiveUp  time.Duration `yaml:"give_up"` // 12 h at the E-Rezept Fachdienst (A_28473)
}

// DefaultClientServerConfig returns the section of a file that does not mention it.
func DefaultClientServerConfig() ClientServerConfig {
	return ClientServerConfig{BasePaths: []string{"/_matrix/client/v3", "/_matrix/client/r0", "/_matrix/client/v1"}}
}

// DefaultFachdienstConfig returns the section of a file that does not mention it. There are no channels to guess.
func DefaultFachdienstConfig() FachdienstConfig {
	return FachdienstConfig{
		BasePaths:  []string{"/push/v1"},
		Encryption: EncryptionRequired,
		Retry:      RetryConfig{Initial: time.Second, Max: time.Hour, GiveUp: 12 * time.Hour},
	}
}

// Check reports every problem with its path in the section.
func (c ClientServerConfig) Check(report func(path, problem string)) {
	checkBasePaths(c.BasePaths, report)
}

// Check reports every problem with its path in the section. The files of gateway_client are left to internal/mtls.
func (c FachdienstConfig) Check(report func(path, problem string)) {
	checkBasePaths(c.BasePaths, report)
	ids := map[string]bool{}
	for i, ch := range c.Channels {
		path := fmt.Sprintf("channels[%d].id", i)
		switch {
		case ch.ID == "":
			report(path, "is missing")
		case !storable(ch.ID):
			report(path, "holds a character that is not allowed")
		case ids[ch.ID]:
			report(path, "is configured twice")
		}
		ids[ch.ID] = true
	}
	if c.Encryption != c.Encryption.normal() {
		report("encryption", "must be required, optional or forbidden")
	}
	for i, text := range c.Gateways {
		if err := checkGematikURL(text); err != nil {
			report(fmt.Sprintf("gateways[%d]", i), strings.TrimPrefix(err.Error(), "data.url "))
		}
		if slices.Contains(c.Gateways[:i], text) {
			report(fmt.Sprintf("gateways[%d]", i), "is configured twice")
		}
	}
	if (c.GatewayClient.CertFile == "") != (c.GatewayClient.KeyFile == "") {
		report("gateway_client", "needs both cert_file and key_file, or neither")
	}
	c.Retry.check(func(path, problem string) { report("retry."+path, problem) })
}

func (c RetryConfig) check(report func(path, problem string)) {
	if c.Initial <= 0 {
		report("initial", "must be longer than 0")
	}
	if c.Max < c.Initial {
		report("max", "must not be shorter than initial")
	}
	if c.GiveUp < c.Initial {
		report("give_up", "must not be shorter than initial")
	}
}

// normal returns the mode itself or, for a word that is none, the strictest.
func (m EncryptionMode) normal() EncryptionMode {
	if m == EncryptionOptional || m == EncryptionForbidden {
		return m
	}
	return EncryptionRequired
}

func checkBasePaths(paths []string, report func(path, problem string)) {
	if len(paths) == 0 {
		report("base_paths", "needs at least one path")
	}
	for i, p := range paths {
		switch {
		case !strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.ContainsAny(p, "?#:*{}% "):
			report(fmt.Sprintf("base_paths[%d]", i), "must begin with a slash, not end with one, and hold no pattern")
		case slices.Contains(paths[:i], p):
			report(fmt.Sprintf("base_paths[%d]", i), "is configured twice")
		}
	}
}
