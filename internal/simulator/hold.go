package simulator

import (
	"errors"
	"net/netip"
	"syscall"
)

// hold keeps an address while connections to it are refused: bound, not listening. A connection that somebody makes
// meanwhile would otherwise borrow the port, and an outage could not end.
type hold struct{ fd int }

// holdAddress binds host:port.
func holdAddress(addr string) (_ *hold, err error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	family, to := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, to = syscall.AF_INET, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, err
	}
	// The connections of the listener that was here a moment ago are still ending.
	err = errors.Join(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), syscall.Bind(fd, to))
	if err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return &hold{fd}, nil
}

// release gives the address back. A nil hold has none.
func (h *hold) release() {
	if h != nil {
		_ = syscall.Close(h.fd)
	}
}
