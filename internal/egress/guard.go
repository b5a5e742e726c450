package egress

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits of a connection attempt.
const (
	dialTimeout = 5 * time.Second
	httpsPort   = 443
)

// Options is what a Guard needs besides its configuration.
type Options struct {
	Config Config
	// Ports may be dialled besides 443.
	Ports []uint16
	// Resolver is the system's when nil.
	Resolver *net.Resolver
}

// Guard decides which addresses strangers may make us dial. It is safe for concurrent use and never changes.
type Guard struct {
	allow    []netip.Prefix
	special  []netip.Prefix
	ports    []uint16
	resolver *net.Resolver
	proxy    *Dialer // nil without a configured proxy
}

// NewGuard returns a Guard. An error says which key of the section is wrong.
func NewGuard(o Options) (*Guard, error) {
	allow, err := o.Config.networks()
	if err != nil {
		return nil, err
	}
	g := &Guard{allow: allow, special: special(), ports: append([]uint16{httpsPort}, o.Ports...), resolver: o.Resolver}
	// The environment's proxy is never asked: whoever can set it for APNs need not want strangers' addresses there.
	d, err := NewDialer(DialerOptions{Config: o.Config})
	if err != nil {
		return nil, err
	}
	if d.configured {
		g.proxy = d
	}
	return g, nil
}

// CheckURL reports, without touching the network, why a URL can never be dialled; nil when it may. Names are resolved,
// and their addresses judged, only when they are dialled.
func (g *Guard) CheckURL(u *url.URL) error {
	switch {
	case u == nil || u.Scheme != "https":
		return &Refused{"not https"}
	case u.Opaque != "" || u.Hostname() == "":
		return &Refused{"no host"}
	case u.User != nil:
		return &Refused{"holds a user name"}
	}
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(httpsPort)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return &Refused{"port"}
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return g.checkAddr(netip.AddrPortFrom(a, uint16(n)))
	}
	return g.checkName(u.Hostname(), uint16(n))
}

// checkName refuses names that no public service has. The port of a name is free only where some private range is
// allowed, because only its address can tell (checkAddr does, when it is dialled).
func (g *Guard) checkName(host string, port uint16) error {
	if looksNumeric(host) || strings.ContainsAny(host, "%:[]") {
		return &Refused{"not a host name"}
	}
	if !g.portOpen(port) && (len(g.allow) == 0 || g.proxy != nil) {
		return &Refused{"port"}
	}
	return nil
}

// checkAddr judges the address of one connection.
func (g *Guard) checkAddr(ap netip.AddrPort) error {
	a := normal(ap.Addr())
	switch {
	case a.Zone() == "" && within(a, g.allow):
		return nil
	case !public(a, g.special):
		return &Refused{"address is not public"}
	case !g.portOpen(ap.Port()):
		return &Refused{"port"}
	}
	return nil
}

func (g *Guard) portOpen(port uint16) bool {
	for _, p := range g.ports {
		if p == port {
			return true
		}
	}
	return false
}

// DialContext opens a TCP connection to host:port. Without a proxy every address that the name resolves to is judged
// at the moment it is dialled. With one the proxy resolves, and judges, names.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &Refused{"no host"}
	}
	if err := g.CheckURL(&url.URL{Scheme: "https", Host: address}); err != nil {
		return nil, err
	}
	if g.proxy != nil && !g.inHouse(host) {
		return g.proxy.DialContext(ctx, network, net.JoinHostPort(host, port))
	}
	d := net.Dialer{Timeout: dialTimeout, Resolver: g.resolver, Control: g.control}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, quiet("dial", err)
	}
	return conn, nil
}

// inHouse reports whether host is an address that we are allowed to dial ourselves although it is not public.
func (g *Guard) inHouse(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && within(normal(a), g.allow)
}

// control runs after resolution and before connect, once for every address that is tried: what it sees is what is
// dialled, however often the name changed its mind.
func (g *Guard) control(network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return &Refused{"not tcp"}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Refused{"no address"}
	}
	return g.checkAddr(ap)
}
