package egress

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// Config is the section egress.
type Config struct {
	// AllowNetworks are ranges that may be dialled although they are not public, on any port: tests, gateways inside the
	// house. CIDR notation, or single addresses.
	AllowNetworks []string `yaml:"allow_networks"`
	// Proxy is http://[user@]host:port or https://[user@]host:port, used with CONNECT for everything that leaves the
	// house. Empty: APNs and FCM follow HTTPS_PROXY and NO_PROXY, everything else is dialled directly.
	Proxy string `yaml:"proxy"`
	// ProxyPasswordFile holds the password of the user in Proxy, on one line.
	ProxyPasswordFile string `yaml:"proxy_password_file"`
}

// DefaultConfig returns the section that applies when nothing is configured: nothing private is dialled, no proxy.
func DefaultConfig() Config { return Config{} }

// Check reports every problem with its path in the section.
func (c Config) Check(report func(path, problem string)) {
	for i, text := range c.AllowNetworks {
		if _, err := parseNetwork(text); err != nil {
			report(fmt.Sprintf("allow_networks[%d]", i), "must be a network like 10.0.0.0/8 or an address")
		}
	}
	if c.Proxy == "" {
		if c.ProxyPasswordFile != "" {
			report("proxy_password_file", "needs proxy")
		}
		return
	}
	u, problem := parseProxy(c.Proxy)
	if problem != "" {
		report("proxy", problem)
		return
	}
	if _, has := u.User.Password(); has {
		report("proxy", "must not hold a password: write it into proxy_password_file")
	}
	if c.ProxyPasswordFile == "" {
		return
	}
	if u.User.Username() == "" {
		report("proxy", "needs a user (http://user@host:port) for proxy_password_file")
	}
	if _, err := readLine(c.ProxyPasswordFile); err != nil {
		report("proxy_password_file", "not readable")
	}
}

// Fingerprint changes whenever a setting or the password changes, so that whoever shares clients over a reload knows
// when to make new ones. It holds no part of the password.
func (c Config) Fingerprint() string {
	password := ""
	if c.ProxyPasswordFile != "" {
		password, _ = readLine(c.ProxyPasswordFile) // a file that cannot be read counts as empty: NewDialer reports it
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "egress %q %q %q", c.AllowNetworks, c.Proxy, password))
	return hex.EncodeToString(sum[:])
}

// networks returns the parsed AllowNetworks.
func (c Config) networks() ([]netip.Prefix, error) {
	all := make([]netip.Prefix, 0, len(c.AllowNetworks))
	for i, text := range c.AllowNetworks {
		p, err := parseNetwork(text)
		if err != nil {
			return nil, fmt.Errorf("allow_networks[%d]: not a network", i)
		}
		all = append(all, p)
	}
	return all, nil
}

// proxyURL returns the proxy with its password, nil when there is none. It is a secret.
func (c Config) proxyURL() (*url.URL, error) {
	if c.Proxy == "" {
		return nil, nil
	}
	u, problem := parseProxy(c.Proxy)
	if problem != "" {
		return nil, fmt.Errorf("proxy: %s", problem)
	}
	if c.ProxyPasswordFile != "" {
		password, err := readLine(c.ProxyPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read proxy_password_file: %w", err)
		}
		u.User = url.UserPassword(u.User.Username(), password)
	}
	return u, nil
}

// parseNetwork reads a CIDR or a single address. The mapped form of an IPv4 network is the network itself.
func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("read network: %w", err)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// parseProxy returns the URL, or what is wrong with it in words that do not repeat it.
func parseProxy(text string) (u *url.URL, problem string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, "must be a URL like http://proxy.example:3128"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "must begin with http:// or https://"
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, "must not have a path"
	}
	return u, ""
}

func readLine(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err // the callers say what they were reading
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
