package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path"
	"sync"
	"sync/atomic"
)

var errClosed = errors.New("simulator: closed")

// Simulator is a running set of services. All methods are safe for concurrent use; [Options.OnReceipt] may call them.
type Simulator struct {
	opts      Options
	rules     atomic.Pointer[Rules]
	authority *authority
	trust     *trust
	ledger    *ledger
	delay     *delayer
	webPush   *webPush
	services  map[Service]*service
	control   *control
	connID    atomic.Uint64
	running   sync.WaitGroup // listeners and connections
	closing   sync.Once
}

// Start opens all listeners and serves until Close.
func Start(o Options) (*Simulator, error) {
	o = o.withDefaults()
	authority, err := newAuthority(o.Names)
	if err != nil {
		return nil, fmt.Errorf("start simulator: %w", err)
	}
	s := &Simulator{
		opts: o, authority: authority, trust: newTrust(authority.clients.cert),
		ledger: newLedger(o.KeepReceipts, o.BriefReceipts), delay: newDelayer(),
	}
	s.rules.Store(&o.Rules)
	s.webPush = newWebPush(s)
	s.services = map[Service]*service{
		APNs:    newService(s, APNs, newAPNs(s), "h2"),
		FCM:     newService(s, FCM, newFCM(s), "h2", "http/1.1"),
		OAuth:   newService(s, OAuth, &oauth{s}, "h2", "http/1.1"),
		WebPush: newService(s, WebPush, s.webPush, "h2", "http/1.1"),
	}
	for name, addr := range map[Service]string{APNs: o.APNsAddr, FCM: o.FCMAddr, OAuth: o.OAuthAddr, WebPush: o.WebPushAddr} {
		if err := s.services[name].listen(addr); err != nil {
			return nil, errors.Join(fmt.Errorf("start simulator: %s: %w", name, err), s.Close())
		}
	}
	if s.control, err = startControl(s, o.ControlAddr); err != nil {
		return nil, errors.Join(fmt.Errorf("start simulator: control: %w", err), s.Close())
	}
	return s, nil
}

// Close ends all services and waits for their goroutines.
func (s *Simulator) Close() error {
	var err error
	s.closing.Do(func() {
		if s.control != nil {
			err = s.control.close()
		}
		for _, svc := range s.services {
			svc.close()
		}
		s.delay.stop()
		s.running.Wait()
	})
	return err
}

func (s *Simulator) url(name Service) string {
	return "https://" + reachable(s.services[name].address())
}

// reachable replaces the address that listens everywhere by one that can be dialled.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// APNsURL is https://host:port of APNs, what apns.endpoint takes.
func (s *Simulator) APNsURL() string { return s.url(APNs) }

// FCMURL is https://host:port of FCM, what fcm.endpoint takes; the API lies below /v1/.
func (s *Simulator) FCMURL() string { return s.url(FCM) }

// TokenURL is the OAuth token endpoint, what a service account's token_uri names.
func (s *Simulator) TokenURL() string { return s.url(OAuth) + oauthPath }

// WebPushURL is https://host:port of the Web Push service; endpoints lie below /push/.
func (s *Simulator) WebPushURL() string { return s.url(WebPush) }

// ControlURL is http://host:port of the control API.
func (s *Simulator) ControlURL() string { return "http://" + reachable(s.control.addr) }

// CAPEM is the authority that signed the servers' certificates.
func (s *Simulator) CAPEM() []byte { return s.authority.servers.pem() }

// Script sets the answers for one token (or AnyToken), replacing what was scripted for it: each stands for
// Answer.Times requests, then the service is healthy again. No answers clear the script. The token of OAuth is the
// service account's e-mail address, the one of Web Push the subscription's id or endpoint. A request that breaks a
// rule is refused by that rule and uses up no scripted answer.
func (s *Simulator) Script(name Service, token string, answers ...Answer) {
	svc := s.services[name]
	if svc == nil {
		return
	}
	if name == WebPush {
		token = path.Base(token)
	}
	svc.scripts.set(token, answers)
}

// SetConditions says how a service behaves from now on.
func (s *Simulator) SetConditions(name Service, c Conditions) error {
	svc := s.services[name]
	if svc == nil {
		return fmt.Errorf("simulator: no service %q", name)
	}
	s.opts.Logger.Info("conditions changed", slog.String("service", string(name)), slog.String("outage", string(c.Outage)),
		slog.Duration("latency", c.Latency), slog.Float64("error_rate", c.ErrorRate))
	if err := svc.setConditions(c); err != nil {
		return fmt.Errorf("simulator: %s: %w", name, err)
	}
	return nil
}

// Conditions tells how a service behaves now.
func (s *Simulator) Conditions(name Service) Conditions {
	if svc := s.services[name]; svc != nil {
		return *svc.conditions.Load()
	}
	return Conditions{}
}

// SetRules replaces Options.Rules. Open connections keep what they were allowed.
func (s *Simulator) SetRules(r Rules) { s.rules.Store(&r) }

// Rules tells which rules stand now.
func (s *Simulator) Rules() Rules { return *s.rules.Load() }

// GoAway says goodbye to every HTTP/2 connection of a service.
func (s *Simulator) GoAway(name Service, g GoAway) {
	if svc := s.services[name]; svc != nil {
		svc.each(func(c *conn) { c.goAway(g) })
	}
}

// Disconnect resets every connection of a service.
func (s *Simulator) Disconnect(name Service) {
	if svc := s.services[name]; svc != nil {
		svc.each((*conn).abort)
	}
}

// Revoke stops trusting one credential: an APNs key id, a certificate's serial number, a service account's private
// key id (its access tokens die with it) or a VAPID public key. Open connections are not told; their next request is.
func (s *Simulator) Revoke(id string) error { return s.trust.revoke(id) }

// RevokeAccessTokens makes every OAuth access token issued so far invalid; FCM answers 401 to them.
func (s *Simulator) RevokeAccessTokens() {
	s.trust.revokeAccess(func(accessToken) bool { return true })
}

// Receipts returns the whole log.
func (s *Simulator) Receipts() []Receipt { return s.ledger.since(0, 0) }

// ReceiptsSince returns at most limit receipts with a Seq above seq (limit 0: all that are kept).
func (s *Simulator) ReceiptsSince(seq uint64, limit int) []Receipt { return s.ledger.since(seq, limit) }

// WaitReceipts waits until n notifications in all were answered or broken since the start or Reset, and returns the
// log.
func (s *Simulator) WaitReceipts(ctx context.Context, n int) ([]Receipt, error) {
	err := s.ledger.wait(ctx, func(seq, _ uint64) bool { return seq >= uint64(n) })
	return s.Receipts(), err
}

// WaitDelivered waits until n notifications in all were delivered, and returns the log.
func (s *Simulator) WaitDelivered(ctx context.Context, n int) ([]Receipt, error) {
	err := s.ledger.wait(ctx, func(_, delivered uint64) bool { return delivered >= uint64(n) })
	return s.Receipts(), err
}

// Reset forgets receipts, scripts and counts, brings back Options.Rules and makes every service healthy; credentials
// and subscriptions stay.
func (s *Simulator) Reset() error {
	var errs []error
	s.SetRules(s.opts.Rules)
	for name, svc := range s.services {
		svc.scripts.clear()
		errs = append(errs, s.SetConditions(name, Conditions{}))
		svc.clearCounts()
	}
	s.ledger.clear()
	return errors.Join(errs...)
}
