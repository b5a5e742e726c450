package egress

import (
	"net/netip"
	"strings"
)

// special are the IPv4 ranges that lead inside, nowhere, or to everybody: the IANA special-purpose registry, and cloud
// metadata services that hide in public space.
func special() []netip.Prefix {
	return prefixes(
		"0.0.0.0/8",         // this host, this network
		"10.0.0.0/8",        // private
		"100.64.0.0/10",     // carrier-grade NAT; Alibaba's metadata service
		"127.0.0.0/8",       // loopback
		"169.254.0.0/16",    // link-local; metadata services
		"172.16.0.0/12",     // private
		"192.0.0.0/24",      // IETF protocol assignments; Oracle's metadata service
		"192.0.2.0/24",      // documentation
		"192.31.196.0/24",   // AS112
		"192.52.193.0/24",   // AMT
		"192.88.99.0/24",    // 6to4 relays
		"192.168.0.0/16",    // private
		"192.175.48.0/24",   // AS112
		"198.18.0.0/15",     // benchmarks
		"198.51.100.0/24",   // documentation
		"203.0.113.0/24",    // documentation
		"224.0.0.0/4",       // multicast
		"240.0.0.0/4",       // reserved, broadcast
		"168.63.129.16/32",  // Azure's host agent
		"2001::/23",         // IETF protocol assignments: Teredo, ORCHID, benchmarks
		"2001:db8::/32",     // documentation
		"2002::/16",         // 6to4: carries any IPv4 address
		"2620:4f:8000::/48", // AS112
		"3fff::/20",         // documentation
	)
}

// globalV6 is the only IPv6 space that is handed out to the public; whatever lies outside (unique local, link-local,
// multicast, discard, segment routing, IPv4-compatible, what comes next) is refused without a list.
var globalV6 = netip.MustParsePrefix("2000::/3") //nolint:gochecknoglobals // a constant

// nat64 carries an IPv4 address in its last four bytes (RFC 6052). Behind DNS64 every public IPv4 service looks like
// this, so the address inside decides.
var nat64 = netip.MustParsePrefix("64:ff9b::/96") //nolint:gochecknoglobals // a constant

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		all[i] = netip.MustParsePrefix(t)
	}
	return all
}

// normal returns the address that packets reach in the end: mapped and NAT64 forms give up the IPv4 address inside.
func normal(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() && nat64.Contains(a.WithZone("")) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// public reports whether an address in normal form belongs to the public Internet.
func public(a netip.Addr, special []netip.Prefix) bool {
	if !a.IsValid() || a.Zone() != "" || a.Is6() && !globalV6.Contains(a) {
		return false
	}
	return !within(a, special)
}

func within(a netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// looksNumeric reports whether a host name would be read as an IPv4 address by lenient resolvers: decimal
// (2130706433), octal (0177.0.0.1), hex (0x7f.1) and short forms (127.1). No public name ends in a numeric label
// (WHATWG URL, "ends in a number").
func looksNumeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if rest, hex := strings.CutPrefix(last, "0x"); hex {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}
