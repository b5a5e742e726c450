package gateway

import "sync/atomic"

// crewIdle bounds the goroutines that are kept for the next attempt.
const crewIdle = 256

// crew runs attempts on goroutines that it keeps for a while. A provider's request needs a deep stack; a new goroutine
// grows it step by step, copying each time, which costs more than the rest of the gateway.
type crew struct {
	work chan errand
	idle atomic.Int64
	gone <-chan struct{}
}

// errand is one attempt with everything it has acquired.
type errand struct {
	flight  *flight
	binding *binding
	permit  permit
}

func newCrew(gone <-chan struct{}) *crew { return &crew{work: make(chan errand), gone: gone} }

// do runs an errand without waiting for it.
func (c *crew) do(e errand) {
	select {
	case c.work <- e: // somebody is idle
	default:
		go c.member(e)
	}
}

func (c *crew) member(e errand) {
	for {
		e.flight.send(e.binding, e.permit)
		e = errand{} // an idle member keeps nothing alive
		if c.idle.Add(1) > crewIdle {
			c.idle.Add(-1)
			return
		}
		select {
		case e = <-c.work:
			c.idle.Add(-1)
		case <-c.gone:
			return
		}
	}
}
