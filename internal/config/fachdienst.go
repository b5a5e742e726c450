package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/mtls"
)

// Fachdienst is the role of that name.
type Fachdienst struct {
	BasePaths []string `yaml:"base_paths"`
	// ERezeptPaths also serves E-Rezept's spelling, /pushers/v1 and /channels/v1.
	ERezeptPaths bool      `yaml:"erezept_paths"`
	Channels     []Channel `yaml:"channels"`
	// Encryption says whether an app must, may or must not register a key: required, optional, forbidden.
	Encryption string `yaml:"encryption"`
	// Gateways is the allow-list for data.url. Empty: any public https host.
	Gateways      []string          `yaml:"gateways"`
	GatewayClient mtls.ClientConfig `yaml:"gateway_client"`
	Retry         FachdienstRetry   `yaml:"retry"`
}

// Channel is one channel that users can switch, with what holds until they do: enabled, disabled or not_set.
type Channel struct {
	ID      string `yaml:"id"`
	Default string `yaml:"default"`
}

// FachdienstRetry is the ladder towards gateways: Initial, doubling, at most Max, until GiveUp after the event.
type FachdienstRetry struct {
	Initial time.Duration `yaml:"initial"`
	Max     time.Duration `yaml:"max"`
	GiveUp  time.Duration `yaml:"give_up"`
}

func defaultFachdienst() Fachdienst {
	return Fachdienst{
		BasePaths:  []string{"/push/v1"},
		Encryption: "required",
		Retry:      FachdienstRetry{Initial: time.Second, Max: time.Hour, GiveUp: 12 * time.Hour},
	}
}

// Check reports every problem with its path in the section.
func (f Fachdienst) Check(report func(path, problem string)) {
	checkBasePaths(f.BasePaths, report)
	seen := map[string]bool{}
	for i, ch := range f.Channels {
		at := fmt.Sprintf("channels[%d].", i)
		switch {
		case ch.ID == "":
			report(at+"id", "is missing")
		case seen[ch.ID]:
			report(at+"id", "is configured twice")
		}
		seen[ch.ID] = true
		if !oneOf(ch.Default, "enabled", "disabled", "not_set") {
			report(at+"default", "must be enabled, disabled or not_set")
		}
	}
	if !oneOf(f.Encryption, "required", "optional", "forbidden") {
		report("encryption", "must be required, optional or forbidden")
	}
	for i, g := range f.Gateways {
		u, err := url.Parse(g)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || !strings.HasSuffix(u.Path, "/push/v1/") || u.RawQuery != "" {
			report(fmt.Sprintf("gateways[%d]", i), "must be an https URL that ends in /push/v1/")
		}
	}
	f.GatewayClient.Check(func(path, problem string) { report("gateway_client."+path, problem) })
	if f.Retry.Initial <= 0 {
		report("retry.initial", "must be longer than 0")
	}
	if f.Retry.Max < f.Retry.Initial {
		report("retry.max", "must not be shorter than initial")
	}
	if f.Retry.GiveUp < f.Retry.Initial {
		report("retry.give_up", "must not be shorter than initial")
	}
}

func checkBasePaths(paths []string, report func(path, problem string)) {
	if len(paths) == 0 {
		report("base_paths", "needs at least one path")
	}
	for i, p := range paths {
		if !strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.ContainsAny(p, "?#:*{} ") {
			report(fmt.Sprintf("base_paths[%d]", i), "must begin with a slash, not end with one, and hold no pattern")
		}
	}
}

func oneOf(s string, words ...string) bool {
	for _, w := range words {
		if s == w {
			return true
		}
	}
	return false
}
