package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/pushgate/pushgate/internal/config/strict"
	"github.com/pushgate/pushgate/internal/gateway"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/push"
)

// maxAppID is the contract's limit for app_id, in characters.
const maxAppID = 64

// check asks every section and then looks at what spans them. The section auth is read by roles with tokens only, so
// what it lacks without them is no problem.
func (c *Config) check(built []Role, p *strict.Problems) {
	c.checkRoles(built, p.Report)
	if c.DataDir == "" {
		p.Report("data_dir", "is missing")
	}
	c.Listen.check(p.Under("listen"))
	c.checkExposure(p.Report)
	c.Storage.Check(p.Under("storage"))
	c.Gateway.Check(p.Under("gateway"))
	c.checkApps(p)
	for i, s := range c.Senders {
		s.Check(p.Under(fmt.Sprintf("senders[%d]", i)))
	}
	c.checkSenders(p.Report)
	c.ClientServer.Check(p.Under("clientserver"))
	c.Fachdienst.Check(p.Under("fachdienst"))
	mtls.ClientConfig(c.Fachdienst.GatewayClient).Check(p.Under("fachdienst.gateway_client"))
	c.Limits.Check(p.Under("limits"))
	if c.Has(RoleClientServer) || c.Has(RoleFachdienst) {
		c.Auth.Check(p.Under("auth"))
	}
	c.checkTokens(p.Report)
	c.checkPaths(p.Report)
	c.Egress.Check(p.Under("egress"))
	c.Log.check(p.Under("log"))
}

func (c *Config) checkRoles(built []Role, report func(path, problem string)) {
	if len(c.Roles) == 0 {
		report("roles", "needs at least one role")
	}
	for i, r := range c.Roles {
		at := fmt.Sprintf("roles[%d]", i)
		switch {
		case !slices.Contains([]Role{RoleGateway, RoleClientServer, RoleFachdienst}, r):
			report(at, "must be gateway, clientserver or fachdienst")
		case !slices.Contains(built, r):
			report(at, fmt.Sprintf("%s is not built yet", r))
		case slices.Contains(c.Roles[:i], r):
			report(at, fmt.Sprintf("%s is given twice", r))
		}
	}
	if c.Has(RoleGateway) && !c.Gateway.Matrix && !c.Gateway.Gematik {
		report("gateway", "serves neither matrix nor gematik: switch one on, or take the role away")
	}
}

func (c *Config) checkApps(p *strict.Problems) {
	if c.Has(RoleGateway) && len(c.Apps) == 0 {
		p.Report("apps", "needs at least one app: a gateway without apps delivers nothing")
	}
	patterns := make([]string, len(c.Apps))
	for i, a := range c.Apps {
		patterns[i] = a.AppID
		a.check(p.Under(fmt.Sprintf("apps[%d]", i)))
	}
	gateway.CheckPatterns(patterns, p.Under("apps"))
}

func (a App) check(report func(path, problem string)) {
	if utf8.RuneCountInString(a.AppID) > maxAppID {
		report("app_id", fmt.Sprintf("must not be longer than %d characters", maxAppID))
	}
	providers := 0
	section := func(name string) func(path, problem string) {
		providers++
		return func(path, problem string) { report(name+"."+path, problem) }
	}
	if a.APNs != nil {
		a.APNs.Check(section("apns"))
	}
	if a.FCM != nil {
		a.FCM.Check(section("fcm"))
	}
	if a.WebPush != nil {
		a.WebPush.Check(section("webpush"))
	}
	if providers != 1 {
		report("", fmt.Sprintf("needs exactly one of apns, fcm and webpush, has %d", providers))
	}
}

func (l Listen) check(report func(path, problem string)) {
	if l.Public == "" && l.TLS.Address == "" {
		report("", "neither public nor tls.address is set: nobody could call")
	}
	taken := map[string]string{}
	for _, a := range []struct{ path, address string }{{"public", l.Public}, {"tls.address", l.TLS.Address}, {"admin", l.Admin}} {
		if a.address == "" {
			continue
		}
		if !isAddress(a.address) {
			report(a.path, "must be host:port")
			continue
		}
		if other, twice := taken[a.address]; twice && !isAnyPort(a.address) {
			report(a.path, "is the same address as "+other)
		}
		taken[a.address] = a.path
	}
	if l.TLS.Address != "" {
		l.TLS.Check(func(path, problem string) { report("tls."+path, problem) })
	}
	if isAddress(l.Admin) && !isLoopback(l.Admin) && !l.AdminAllowRemote {
		report("admin", "has no authentication and must stay on loopback: use 127.0.0.1, or set listen.admin_allow_remote")
	}
	for i, proxy := range l.TrustedProxies {
		_, errNetwork := netip.ParsePrefix(proxy)
		_, errAddress := netip.ParseAddr(proxy)
		if errNetwork != nil && errAddress != nil {
			report(fmt.Sprintf("trusted_proxies[%d]", i), "must be a network like 10.0.0.0/8 or an address")
		}
	}
}

// checkExposure refuses to serve gematik operations to callers that nobody identified, except on loopback. It also
// refuses the opposite: demanding certificates that no listener can check.
func (c *Config) checkExposure(report func(path, problem string)) {
	if !c.Has(RoleGateway) || !c.Gateway.Gematik || c.Listen.BehindMTLSProxy {
		return
	}
	if c.Gateway.RequireClientCert {
		if !c.Listen.checksCallers() {
			report("gateway.require_client_cert", "no listener can check client certificates: set listen.tls.address and client_ca_file, or listen.behind_mtls_proxy")
		}
		return
	}
	for _, l := range []struct{ path, address string }{{"listen.public", c.Listen.Public}, {"listen.tls.address", c.Listen.TLS.Address}} {
		if isAddress(l.address) && !isLoopback(l.address) {
			report("gateway.require_client_cert", "must be true because "+l.path+" is reachable from outside; or switch gateway.gematik off, or set listen.behind_mtls_proxy")
		}
	}
}

// checkSenders refuses app_ids that nobody could push to: a listed app_id belongs to the callers of that name alone, so
// where no caller has a name it is cut off from everybody, homeservers included.
func (c *Config) checkSenders(report func(path, problem string)) {
	if !c.Has(RoleGateway) || c.Gateway.Gematik && c.Listen.checksCallers() {
		return
	}
	why := "no listener checks client certificates: set listen.tls.address and client_ca_file, or leave the app_ids out"
	switch {
	case !c.Gateway.Gematik:
		why = "only gematik operations know callers by name: switch gateway.gematik on, or leave the app_ids out"
	case c.Listen.BehindMTLSProxy:
		why = "callers behind listen.behind_mtls_proxy have no name: let TLS end here (listen.tls with client_ca_file), or leave the app_ids out"
	}
	for i, s := range c.Senders {
		if len(s.AppIDs) > 0 {
			report(fmt.Sprintf("senders[%d].app_ids", i), "nobody could push to these apps, "+why)
			return // it is the same for all
		}
	}
}

// checkTokens refuses a role whose every request would be answered 401. The role fachdienst without tokens still sends
// Matrix events, so that is a warning.
func (c *Config) checkTokens(report func(path, problem string)) {
	if c.Has(RoleClientServer) && !c.Auth.Serves(push.RealmMatrix) {
		report("auth", "nobody could call the role clientserver: set matrix.homeserver_url, tokens_file, or a jwt of realm matrix")
	}
}

// checkPaths refuses one address for two APIs: both have pushers and pushers/set below their base paths.
func (c *Config) checkPaths(report func(path, problem string)) {
	if !c.Has(RoleClientServer) || !c.Has(RoleFachdienst) {
		return
	}
	for i, base := range c.ClientServer.BasePaths {
		if slices.Contains(c.Fachdienst.BasePaths, base) {
			report(fmt.Sprintf("clientserver.base_paths[%d]", i), "is one of fachdienst.base_paths too")
		}
	}
}

// checksCallers reports whether a listener asks callers for certificates, and so knows their names.
func (l Listen) checksCallers() bool { return l.TLS.Address != "" && l.TLS.ClientCAFile != "" }

func (l Log) check(report func(path, problem string)) {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, l.Level) {
		report("level", "must be debug, info, warn or error")
	}
	if !slices.Contains([]string{"json", "text"}, l.Format) {
		report("format", "must be json or text")
	}
}

// isAddress reports whether text is host:port; an empty host means every interface.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isAnyPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && port == "0"
}

// isLoopback reports whether an address can only be reached from this machine. A name that is not localhost may point
// anywhere.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	return ip.Unmap().IsLoopback()
}
