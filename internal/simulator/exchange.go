package simulator

import (
	"bytes"
	"math/rand/v2"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/pushgate/pushgate/internal/simulator/h2"
)

// protocol is what one service knows of its wire.
type protocol interface {
	// check judges a request by the service's rules and fills in the receipt. problem says in words which rule was
	// broken and is empty if none was; then the answer means nothing.
	check(x *exchange) (refusal Answer, problem string)
	// render puts an answer into the service's words.
	render(x *exchange, a Answer) response
	// unavailable is how the service says that it is overloaded.
	unavailable() Answer
}

// response is an answer as it goes onto the wire.
type response struct {
	status int
	header []hpack.HeaderField
	body   []byte
	cut    bool // end with an error after the body
	close  bool // the last one on its connection
}

// replier is the way back to the caller, on either version of HTTP.
type replier interface {
	// respond calls before with the verdict ahead of the first byte.
	respond(r response, before func(h2.State))
	// breakOff ends the exchange by a fault other than FaultHang and FaultTruncate.
	breakOff(f Fault, debug []byte)
	// flush sends what was written outside of the reading goroutine.
	flush()
}

// exchange is one request on its way through a service.
type exchange struct {
	svc   *service
	conn  *conn
	reply replier
	http2 http2Reply // what reply points to, on HTTP/2

	method, path, authority string
	header                  []hpack.HeaderField
	body                    []byte // only until check returns
	bodyTooLarge            bool
	now                     time.Time // by the service's clock

	receipt  Receipt
	healthy  Answer // what the service answers when all is well, beyond the zero Answer
	dry      bool   // answered, but never handed to a device (FCM's validate_only)
	answer   Answer
	later    bool
	response response
}

// run takes a request through rules, script and conditions to its answer.
func (x *exchange) run() {
	svc := x.svc
	cond := svc.conditions.Load()
	svc.requests.Add(1)
	x.now = svc.sim.opts.Now().Add(cond.ClockSkew)
	x.receipt.Service, x.receipt.Conn, x.receipt.Size = svc.name, x.conn.id, len(x.body)
	refusal, problem := svc.protocol.check(x)
	x.receipt.Problem = problem
	switch {
	case cond.Outage == OutageUnanswered:
		x.answer = Answer{Fault: FaultHang}
	case problem != "":
		x.answer = refusal
	default:
		x.answer = svc.pick(x, cond)
	}
	x.keep()
	if delay := svc.sim.opts.Latency + cond.Latency + x.answer.Delay; delay > 0 {
		x.later = true
		svc.sim.delay.after(delay, x.finish)
		return
	}
	x.finish()
}

// pick is the answer to a request that broke no rule.
func (s *service) pick(x *exchange, cond *Conditions) Answer {
	if a, ok := s.scripts.next(x.receipt.Token); ok {
		return a
	}
	if cond.ErrorRate > 0 && rand.Float64() < cond.ErrorRate {
		if a := cond.Error; a.Status != 0 || a.Reason != "" || a.Fault != "" {
			return a
		}
		return s.protocol.unavailable()
	}
	return x.healthy
}

// keep copies what the receipt needs of the request, if anybody wants to see it.
func (x *exchange) keep() {
	sim := x.svc.sim
	if x.svc.name != OAuth && (sim.opts.OnReceipt != nil || sim.ledger.keep >= 0 && !sim.ledger.brief) {
		if x.receipt.Payload == nil {
			x.receipt.Payload = bytes.Clone(x.body)
		}
		header := make(map[string]string, len(x.header))
		for _, f := range x.header {
			if f.Name != "authorization" {
				header[f.Name] = f.Value
			}
		}
		x.receipt.Header = header
	} else {
		x.receipt.Payload = nil
	}
	x.body = nil
}

// finish answers, or breaks the exchange, and enters the receipt.
func (x *exchange) finish() {
	a := &x.answer
	switch a.Fault {
	case "", FaultTruncate:
		x.response = x.svc.protocol.render(x, *a)
		x.response.close = a.Close
		if x.response.cut = a.Fault == FaultTruncate; x.response.cut {
			x.response.body = x.response.body[:len(x.response.body)/2]
		}
		x.reply.respond(x.response, x.enter)
	case FaultHang:
		x.enter(h2.Open)
	default:
		x.enter(h2.Open)
		x.reply.breakOff(a.Fault, debugData(a.Reason))
	}
	if notify := x.svc.sim.opts.OnReceipt; notify != nil && x.svc.name != OAuth {
		notify(x.receipt)
	}
	if x.later {
		x.reply.flush()
	}
}

// enter completes the receipt and puts it into the log.
func (x *exchange) enter(state h2.State) {
	r := &x.receipt
	r.Time, r.Fault = time.Now(), x.answer.Fault
	switch {
	case r.Fault != "":
		r.Reason, r.Delivered = x.answer.Reason, x.answer.Delivered
	case state == h2.Abandoned:
		r.Fault = FaultAbandoned
	default:
		r.Status, r.Reason = x.response.status, x.answer.Reason
		r.Delivered = r.Status/100 == 2 && !x.dry
		r.Unheard = state == h2.Cancelled
	}
	x.svc.count(r)
	if x.svc.name != OAuth {
		x.svc.sim.ledger.add(r)
	}
}

// debugData is what Apple puts into a GOAWAY frame.
func debugData(reason string) []byte {
	if reason == "" {
		return nil
	}
	return []byte(`{"reason":"` + reason + `"}`)
}
