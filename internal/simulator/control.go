package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	controlBody     = 1 << 20
	controlShutdown = 2 * time.Second
	receiptPage     = 1000
)

// control is the API for other processes, JSON over plain HTTP:
//
//	GET    /                        where the services listen
//	GET    /ca.pem                  the authority of their certificates
//	POST   /reset                   forget receipts, scripts and counts; all healthy
//	GET    /stats                   Stats
//	GET    /receipts?since=N&limit=N&follow=true    receipts above N, one JSON object per line; follow never ends
//	PUT    /scripts/{service}/{token}   [Answer, ...]; "*" is any token; [] clears
//	GET, PUT /conditions/{service}  Conditions
//	GET, PUT /rules                 Rules
//	POST   /goaway/{service}        GoAway
//	POST   /disconnect/{service}
//	POST   /credentials             CredentialOptions -> {"credentials": {...}, "files": {name: Base64}}
//	POST   /revoke                  {"id": "..."}
//	POST   /revoke-access-tokens
//	POST   /subscriptions           SubscribeOptions -> Subscription
//
// Unknown members and services are errors (400, 404) with a text.
type control struct {
	sim    *Simulator
	addr   string
	server *http.Server
	cancel context.CancelFunc // ends followers
	served sync.WaitGroup
}

func startControl(s *Simulator, addr string) (*control, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &control{sim: s, addr: ln.Addr().String(), cancel: cancel}
	c.server = &http.Server{
		Handler: c.routes(), ReadHeaderTimeout: handshakeTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	c.served.Go(func() { _ = c.server.Serve(ln) })
	return c, nil
}

func (c *control) close() error {
	c.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), controlShutdown)
	defer cancel()
	err := c.server.Shutdown(ctx)
	if err != nil {
		err = c.server.Close()
	}
	c.served.Wait()
	return err
}

func (c *control) routes() http.Handler {
	mux := http.NewServeMux()
	s := c.sim
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { write(w, s.overview()) })
	mux.HandleFunc("GET /ca.pem", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.CAPEM()) })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { write(w, s.Stats()) })
	mux.HandleFunc("GET /receipts", c.receipts)
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) { done(w, s.Reset()) })
	mux.HandleFunc("PUT /scripts/{service}/{token}", c.service(c.script))
	mux.HandleFunc("PUT /conditions/{service}", c.service(c.conditions))
	mux.HandleFunc("GET /conditions/{service}", c.service(func(w http.ResponseWriter, _ *http.Request, name Service) { write(w, s.Conditions(name)) }))
	mux.HandleFunc("GET /rules", func(w http.ResponseWriter, _ *http.Request) { write(w, s.Rules()) })
	mux.HandleFunc("PUT /rules", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(rules Rules) error { s.SetRules(rules); return nil })
	})
	mux.HandleFunc("POST /goaway/{service}", c.service(func(w http.ResponseWriter, r *http.Request, name Service) {
		take(w, r, func(g GoAway) error { s.GoAway(name, g); return nil })
	}))
	mux.HandleFunc("POST /disconnect/{service}", c.service(func(w http.ResponseWriter, _ *http.Request, name Service) {
		s.Disconnect(name)
		done(w, nil)
	}))
	mux.HandleFunc("POST /credentials", func(w http.ResponseWriter, r *http.Request) {
		give(w, r, func(o CredentialOptions) (any, error) { return s.makeCredentials(o.withDefaults()) })
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(v struct {
			ID string `json:"id"`
		}) error {
			return s.Revoke(v.ID)
		})
	})
	mux.HandleFunc("POST /revoke-access-tokens", func(w http.ResponseWriter, _ *http.Request) {
		s.RevokeAccessTokens()
		done(w, nil)
	})
	mux.HandleFunc("POST /subscriptions", func(w http.ResponseWriter, r *http.Request) {
		give(w, r, func(o SubscribeOptions) (any, error) { return s.Subscribe(o) })
	})
	return mux
}

// Overview says where everything listens.
type Overview struct {
	APNs    string `json:"apns"`
	FCM     string `json:"fcm"`
	Token   string `json:"token"`
	WebPush string `json:"webpush"`
	Control string `json:"control"`
}

func (s *Simulator) overview() Overview {
	return Overview{s.APNsURL(), s.FCMURL(), s.TokenURL(), s.WebPushURL(), s.ControlURL()}
}

// service resolves the {service} of a path.
func (c *control) service(f func(http.ResponseWriter, *http.Request, Service)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := Service(r.PathValue("service"))
		if c.sim.services[name] == nil {
			http.Error(w, fmt.Sprintf("no service %q", name), http.StatusNotFound)
			return
		}
		f(w, r, name)
	}
}

func (c *control) script(w http.ResponseWriter, r *http.Request, name Service) {
	take(w, r, func(answers []Answer) error {
		c.sim.Script(name, r.PathValue("token"), answers...)
		return nil
	})
}

func (c *control) conditions(w http.ResponseWriter, r *http.Request, name Service) {
	take(w, r, func(v Conditions) error {
		if err := v.check(); err != nil {
			return err
		}
		return c.sim.SetConditions(name, v)
	})
}

// check refuses words that mean nothing.
func (c Conditions) check() error {
	switch c.Outage {
	case "", OutageRefuse, OutageReset, OutageSilent, OutageUnanswered:
	default:
		return fmt.Errorf("no outage %q", c.Outage)
	}
	switch c.Certificate {
	case "", CertificateExpired, CertificateWrongName, CertificateWrongCA:
	default:
		return fmt.Errorf("no certificate %q", c.Certificate)
	}
	return nil
}

// receipts streams the log page by page, so that a million of them need no memory here or there.
func (c *control) receipts(w http.ResponseWriter, r *http.Request) {
	since, err := number(r, "since")
	limit, err2 := number(r, "limit")
	if err := errors.Join(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	follow := r.FormValue("follow") == "true"
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	for sent := uint64(0); limit == 0 || sent < limit; {
		page := receiptPage
		if limit > 0 {
			page = int(min(receiptPage, limit-sent))
		}
		receipts := c.sim.ReceiptsSince(since, page)
		for i := range receipts {
			if out.Encode(&receipts[i]) != nil {
				return
			}
			since = receipts[i].Seq
		}
		sent += uint64(len(receipts))
		if len(receipts) > 0 {
			continue
		}
		if !follow {
			return
		}
		_ = http.NewResponseController(w).Flush()
		if c.sim.ledger.wait(r.Context(), func(seq, _ uint64) bool { return seq > since }) != nil {
			return
		}
	}
}

func number(r *http.Request, name string) (uint64, error) {
	text := r.FormValue(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s is not a number", name)
	}
	return n, nil
}

// take reads a JSON body and does something with it.
func take[T any](w http.ResponseWriter, r *http.Request, f func(T) error) {
	give(w, r, func(v T) (any, error) { return struct{}{}, f(v) })
}

// give reads a JSON body (an empty one is the zero value) and answers with what f makes of it.
func give[T any](w http.ResponseWriter, r *http.Request, f func(T) (any, error)) {
	var v T
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, controlBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil && r.ContentLength != 0 {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out, err := f(v)
	if err != nil {
		done(w, err)
		return
	}
	write(w, out)
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	write(w, struct{}{})
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
