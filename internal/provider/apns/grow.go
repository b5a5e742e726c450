package apns

import (
	"log/slog"
	"net/http"
	"time"
)

// growLocked opens the connections that those who wait need, or lets them go when there is none to hope for.
func (p *pool) growLocked() {
	if len(p.waiting) == 0 || p.closed {
		return
	}
	if time.Now().Before(p.nextDial) {
		if len(p.conns) == 0 && p.dialing == 0 {
			p.failLocked(p.lastErr)
		}
		return
	}
	for want := p.wantLocked(); p.healthyLocked()+p.dialing < want; {
		p.dialLocked()
	}
}

// wantLocked returns how many connections there should be for those under way and those who wait.
func (p *pool) wantLocked() int {
	if p.limit == 0 {
		return p.wantColdLocked()
	}
	busy := len(p.waiting)
	for _, c := range p.conns {
		if !c.suspect {
			busy += c.inFlight
		}
	}
	// One more than the capacity needs: streams that we cancelled count until the server has said so.
	most := min(ceilDiv(p.capacity, p.limit)+1, maxConns)
	return max(1, min(ceilDiv(busy, p.limit), most))
}

// wantColdLocked is for the time before a stream limit is known: one connection, and another each time that the newest
// stayed without an answer for too long.
func (p *pool) wantColdLocked() int {
	healthy := p.healthyLocked()
	for _, c := range p.conns {
		if time.Since(c.opened) < coldPatience {
			return max(1, healthy)
		}
	}
	if p.dialing > 0 {
		return healthy + p.dialing
	}
	return min(healthy+1, maxConns)
}

// healthyLocked counts the connections that are not about to be replaced.
func (p *pool) healthyLocked() int {
	n := 0
	for _, c := range p.conns {
		if !c.suspect {
			n++
		}
	}
	return n
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// suspectLocked starts to replace a connection on which requests end without an answer while it is said to be alive. It
// stays in use until its replacement is there.
func (p *pool) suspectLocked(c *conn) {
	if c.draining || c.suspect || p.closed || time.Since(p.replaced) < replaceEvery || time.Now().Before(p.nextDial) {
		return
	}
	c.suspect = true
	p.replaced = time.Now()
	p.logger.Info("apns: connection answers nothing, replacing it", slog.Int("silent", c.silent))
	if p.dialing == 0 {
		p.dialLocked()
	}
}

// dialLocked opens one connection in the background.
func (p *pool) dialLocked() {
	p.dialing++
	go func() {
		cc, err := p.dial(p.life)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dialing--
		switch {
		case err != nil:
			p.dialFailedLocked(err)
		case p.closed:
			go func() { _ = cc.Close() }()
		default:
			p.addLocked(cc)
		}
		p.dispatchLocked()
	}()
}

func (p *pool) dialFailedLocked(err error) {
	if p.closed {
		return
	}
	p.failedLocked(err)
	p.logger.Warn("apns: cannot connect", slog.Int("failures", p.failures), slog.Any("error", err))
	for _, c := range p.conns {
		c.suspect, c.silent = false, 0 // better than nothing
	}
	if len(p.conns) == 0 && p.dialing == 0 {
		p.failLocked(err)
	}
}

// addLocked takes a new connection into use and lets go of those it replaces.
func (p *pool) addLocked(cc clientConn) {
	p.conns = append(p.conns, &conn{cc: cc, opened: time.Now()})
	p.logger.Debug("apns: connected", slog.Int("connections", len(p.conns)))
	for i := len(p.conns) - 1; i >= 0; i-- {
		if p.conns[i].suspect {
			p.dropLocked(p.conns[i], "replaced")
		}
	}
	cc.SetStateHook(p.stateHook)
	time.AfterFunc(coldPatience, p.kick)
}

// stateHook hears that a stream or a connection ended or a limit rose. It runs inside calls of the connection, some of
// which are made with the pool locked, so it may only send word.
func (p *pool) stateHook(*http.ClientConn) {
	if p.queued.Load() > 0 {
		p.kick()
	}
}
