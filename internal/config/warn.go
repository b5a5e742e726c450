package config

import (
	"os"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/config/strict"
	"github.com/pushgate/pushgate/internal/gateway"
	"github.com/pushgate/pushgate/internal/push"
)

// Warnings lists what is allowed and deserves a second look, one line each: secrets that every user of the machine can
// read, listeners that rely on something in front of them, and a role that has nothing to do.
func (c *Config) Warnings() []string {
	var all []string
	for _, f := range strict.Files(c) {
		info, err := os.Stat(f.Name)
		if err == nil && holdsSecret(f.Path) && info.Mode().Perm()&0o007 != 0 {
			all = append(all, f.Path+": every user of this machine can read the file, it should have mode 0600 or 0400")
		}
	}
	reachable := ""
	for _, l := range []struct{ path, address string }{{"listen.public", c.Listen.Public}, {"listen.tls.address", c.Listen.TLS.Address}} {
		checked := l.path == "listen.tls.address" && c.Listen.checksCallers() && c.Gateway.RequireClientCert
		if l.address != "" && !isLoopback(l.address) && !checked && reachable == "" {
			reachable = l.path
		}
	}
	if c.Listen.BehindMTLSProxy && reachable != "" {
		all = append(all, "listen.behind_mtls_proxy: whoever reaches "+reachable+" past the proxy counts as a verified caller")
	}
	if c.Listen.BehindMTLSProxy && c.Has(RoleGateway) && slices.ContainsFunc(c.Senders, func(s gateway.Sender) bool { return len(s.AppIDs) > 0 }) {
		all = append(all, "senders: callers that come through the proxy of listen.behind_mtls_proxy have no name and reach no app, only those on listen.tls.address do")
	}
	if c.Listen.Public != "" && !isLoopback(c.Listen.Public) {
		all = append(all, "listen.public: plain HTTP beyond this machine, pushkeys and message texts are readable on the way")
	}
	if c.Listen.Admin != "" && !isLoopback(c.Listen.Admin) {
		all = append(all, "listen.admin: whoever reaches it can read metrics and readiness, keep it inside your own network")
	}
	if c.Has(RoleFachdienst) {
		all = append(all, c.idle()...)
	}
	return all
}

// idle names what the role fachdienst lacks to have any use for people or backends.
func (c *Config) idle() (all []string) {
	if !c.Auth.Serves(push.RealmFachdienst) {
		all = append(all, "auth: no app can register, set tokens_file or a jwt of realm fachdienst")
	}
	if len(c.Fachdienst.Channels) == 0 {
		all = append(all, "fachdienst.channels: there are none that a person could choose or a backend send to")
	}
	switch {
	case !slices.ContainsFunc(c.Senders, func(s gateway.Sender) bool { return len(s.Channels) > 0 }):
		all = append(all, "senders: no backend may submit events, list one with its channels")
	case !c.Listen.checksCallers():
		all = append(all, "senders: no backend can submit events, its certificate is checked on listen.tls.address with client_ca_file only")
	}
	return all
}

// holdsSecret tells keys and passwords from what may be public: authorities, revocation lists, key sets, the listener's
// and our own certificates. An app's cert_file holds its private key too.
func holdsSecret(path string) bool {
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch name {
	case "ca_file", "client_ca_file", "crl_file", "jwks_file":
		return false
	case "cert_file":
		return strings.Contains(path, ".apns.")
	default:
		return true
	}
}
