package apns

import (
	"context"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/simulator"
)

// TestSend_ThousandAtOnce is issue 2's bar: 1,000 concurrent requests at 100 ms over at most 4 connections.
func TestSend_ThousandAtOnce(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]simulator.Rules{
		"1000 streams":                          {},
		"one stream until the first good token": {OneStreamFirst: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Options{Latency: 100 * time.Millisecond, Rules: rules}, Options{}, nil)
			for range 2 {
				for token, out := range r.burst(t, 1000) {
					require.Equal(t, push.Delivered, out.Verdict, token)
				}
			}
			require.LessOrEqual(t, r.connections(), int64(4))
			require.Zero(t, r.sim.Stats().Services[simulator.APNs].StreamsRefused)
			require.Len(t, r.sim.Receipts(), 2000)
		})
	}
}

func TestSend_LowStreamLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{Latency: 20 * time.Millisecond, StreamLimit: 100}, Options{}, nil)
	for range 3 {
		for token, out := range r.burst(t, 1000) {
			require.Equal(t, push.Delivered, out.Verdict, token)
		}
	}
	require.LessOrEqual(t, r.connections(), int64(11))
	require.Len(t, r.sim.Receipts(), 3000, "nobody got anything twice")
}

func TestSend_GoAwayResendsOnlyWhatWasNotProcessed(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{Latency: 2 * time.Second}, Options{}, nil)
	r.mustDeliver(t, event(nil))
	var wg sync.WaitGroup
	var outcomes map[string]push.Outcome
	wg.Go(func() { outcomes = r.burst(t, 100) })
	require.Eventually(t, func() bool { return r.sim.Stats().Services[simulator.APNs].StreamsOpen == 100 }, 20*time.Second, time.Millisecond)
	r.sim.GoAway(simulator.APNs, simulator.GoAway{Unprocessed: 0.5})
	wg.Wait()
	for token, out := range outcomes {
		require.Equal(t, push.Delivered, out.Verdict)
		delivered := 0
		for _, receipt := range r.receipts(token) {
			if receipt.Delivered {
				delivered++
			}
		}
		require.Equal(t, 1, delivered, "rings exactly once")
	}
	require.EqualValues(t, 2, r.connections())
}

func TestSend_WhatTheServerDidNotProcessIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]simulator.Answer{
		"REFUSED_STREAM": {Fault: simulator.FaultRefuse},
		"GOAWAY":         {Fault: simulator.FaultGoAway, Reason: "Shutdown"},
		"503 Shutdown":   {Reason: "Shutdown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Options{}, Options{}, nil)
			r.mustDeliver(t, event(nil))
			token := newToken()
			r.sim.Script(simulator.APNs, token, answer)
			out, err := r.send(t, to(token))
			require.NoError(t, err)
			require.Equal(t, push.Outcome{Verdict: push.Delivered, Reason: reasonOK}, out)
			require.Len(t, r.receipts(token), 2)

			token = newToken()
			answer.Times = simulator.Forever
			r.sim.Script(simulator.APNs, token, answer)
			out, err = r.send(t, to(token))
			require.NoError(t, err)
			require.Equal(t, push.RetryAfter, out.Verdict)
			require.Equal(t, push.ScopeConnection, out.Scope)
			require.True(t, out.Transport)
			require.LessOrEqual(t, len(r.receipts(token)), 1+maxResends)
		})
	}
}

// TestSend_NothingElseIsSentAgain: these may have rung already.
func TestSend_NothingElseIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer simulator.Answer
		want   push.Outcome
	}{
		"RST_STREAM":       {simulator.Answer{Fault: simulator.FaultReset, Delivered: true}, push.Outcome{Reason: "connection_lost", Scope: push.ScopeConnection, Transport: true}},
		"connection reset": {simulator.Answer{Fault: simulator.FaultDisconnect, Delivered: true}, push.Outcome{Reason: "connection_lost", Scope: push.ScopeConnection, Transport: true}},
		"broken body":      {simulator.Answer{Reason: "Unregistered", Fault: simulator.FaultTruncate}, push.Outcome{Reason: "unknown"}},
		"500":              {simulator.Answer{Reason: "InternalServerError"}, push.Outcome{Reason: "InternalServerError", Transport: true}},
		"429":              {simulator.Answer{Reason: "TooManyRequests"}, push.Outcome{Reason: "TooManyRequests"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Options{}, Options{}, nil)
			r.mustDeliver(t, event(nil))
			token := newToken()
			r.sim.Script(simulator.APNs, token, test.answer)
			out, err := r.send(t, to(token))
			require.NoError(t, err)
			require.Equal(t, test.want, out)
			require.Len(t, r.receipts(token), 1)
			r.mustDeliver(t, event(nil))
		})
	}
}

// TestSend_HalfOpen is F7: the link is dead and nobody says so.
func TestSend_HalfOpen(t *testing.T) {
	t.Parallel()
	r := startSimulator(t, simulator.Options{})
	var err error
	r.Client, err = newClient(r.cfg, Options{}, health{pingAfter: 300 * time.Millisecond, pingTimeout: 300 * time.Millisecond})
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	r.mustDeliver(t, event(nil))
	require.NoError(t, r.sim.SetConditions(simulator.APNs, simulator.Conditions{Outage: simulator.OutageSilent}))
	out, err := r.send(t, to(newToken())) // would wait 20 s for its deadline
	require.NoError(t, err)
	require.Equal(t, push.Outcome{Reason: "connection_lost", Scope: push.ScopeConnection, Transport: true}, out)
	require.NoError(t, r.sim.SetConditions(simulator.APNs, simulator.Conditions{}))
	until(t, func() bool {
		out, err := r.send(t, to(newToken()))
		return err == nil && out.Verdict == push.Delivered
	})
}

// TestSend_UnansweredStreamsCostTheConnection is F3, seen with the real APNs: PINGs are answered, requests are not.
func TestSend_UnansweredStreamsCostTheConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	r.mustDeliver(t, event(nil))
	require.NoError(t, r.sim.SetConditions(simulator.APNs, simulator.Conditions{Outage: simulator.OutageUnanswered}))
	until(t, func() bool {
		token := newToken()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		out, err := r.Send(ctx, to(token), push.Hash{})
		require.NoError(t, err)
		require.Equal(t, push.Outcome{Reason: "timeout", Scope: push.ScopeConnection, Transport: true}, out)
		require.LessOrEqual(t, len(r.receipts(token)), 1)
		return r.connections() == 2
	})
	require.NoError(t, r.sim.SetConditions(simulator.APNs, simulator.Conditions{}))
	r.mustDeliver(t, event(nil))
}

func TestSend_ServerCertificate(t *testing.T) {
	t.Parallel()
	for _, kind := range []simulator.Certificate{
		simulator.CertificateExpired, simulator.CertificateWrongName, simulator.CertificateWrongCA,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Options{}, Options{}, nil)
			require.NoError(t, r.sim.SetConditions(simulator.APNs, simulator.Conditions{Certificate: kind}))
			require.Error(t, r.Warm(t.Context()))
			token := newToken()
			out, err := r.send(t, to(token))
			require.NoError(t, err)
			require.Equal(t, push.Outcome{Reason: "unreachable", Scope: push.ScopeConnection, Transport: true}, out)
			require.Empty(t, r.receipts(token), "nothing goes to a stranger")
		})
	}
}

func TestSend_ProviderTokenTooOld(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	r.mustDeliver(t, event(nil))
	// The token has aged two hours, unnoticed by our clock.
	b := r.transport.bearers
	old, err := b.sign(time.Now().Add(-2 * time.Hour))
	require.NoError(t, err)
	old.issued, old.made = time.Now(), time.Now().Add(-time.Hour)
	b.current = old

	outcomes := r.burst(t, 50)
	for _, out := range outcomes {
		if out.Verdict != push.Delivered { // those that were quick enough
			require.Equal(t, push.ScopeConnection, out.Scope)
		}
	}
	require.NotSame(t, old, b.get())
	r.mustDeliver(t, event(nil))
	require.EqualValues(t, 2, r.connections(), "the wedged connection was replaced")
}

// TestSend_ClockWasSet is F12: the clock is set on by two hours while the app's token is some minutes old.
func TestSend_ClockWasSet(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	r.mustDeliver(t, event(nil))
	b := r.transport.bearers
	old, err := b.sign(time.Now().Add(-2 * time.Hour))
	require.NoError(t, err)
	old.made = time.Now().Add(-5 * time.Minute)
	b.current = old
	r.mustDeliver(t, event(nil))
	require.NotSame(t, old, b.get())

	// Once more, before another minute is over: later, but no reason to pause the app.
	old, err = b.sign(time.Now().Add(-2 * time.Hour))
	require.NoError(t, err)
	b.current = old
	for range 3 {
		out, err := r.send(t, to(newToken()))
		require.NoError(t, err)
		require.Equal(t, push.RetryAfter, out.Verdict)
	}
	old.made = old.made.Add(-bearerUrgent)
	until(t, func() bool {
		out, err := r.send(t, to(newToken()))
		require.NoError(t, err)
		return out.Verdict == push.Delivered
	})
}

// TestSend_ClockIsWrong: Apple refuses even a fresh token on a fresh connection, so waiting is all that is left.
func TestSend_ClockIsWrong(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }}, nil)
	for range 2 {
		_, err := r.send(t, to(newToken()))
		require.Equal(t, &push.Fault{Kind: push.FaultConfig, Reason: "ExpiredProviderToken"}, err)
	}
	for range 200 {
		out, _ := r.send(t, to(newToken()))
		require.Equal(t, push.RetryAfter, out.Verdict)
	}
	require.Less(t, r.connections(), int64(20), "and it is no reason for a storm")
}

func TestSend_WedgedConnection(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"UnrelatedKeyIdInToken", "TooManyProviderTokenUpdates", "ExpiredProviderToken", "IdleTimeout"} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Options{}, Options{}, nil)
			before := r.mustDeliver(t, event(nil))
			token := newToken()
			r.sim.Script(simulator.APNs, token, simulator.Answer{Reason: reason})
			out, err := r.send(t, to(token))
			require.NoError(t, err, "the connection had worked: it is the connection")
			require.Equal(t, push.Outcome{Reason: reason, Scope: push.ScopeConnection}, out)
			after := r.mustDeliver(t, to(token))
			require.NotEqual(t, before.Conn, after.Conn)
		})
	}
}

func TestSend_UnrelatedKeyOnANewConnectionIsASetting(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	token := newToken()
	r.sim.Script(simulator.APNs, token, simulator.Answer{Reason: "UnrelatedKeyIdInToken"})
	_, err := r.send(t, to(token))
	require.Equal(t, &push.Fault{Kind: push.FaultConfig, Reason: "UnrelatedKeyIdInToken"}, err)
}

func TestSend_RevokedKeyPausesAndRejectsNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{}, Options{}, nil)
	r.mustDeliver(t, event(nil))
	require.NoError(t, r.sim.Revoke(r.creds.APNsKeyID))
	_, err := r.send(t, to(newToken()))
	require.Equal(t, &push.Fault{Kind: push.FaultConfig, Reason: "InvalidProviderToken"}, err)
}

func TestSend_CertificateRevoked(t *testing.T) {
	t.Parallel()
	s := startSimulator(t, simulator.Options{})
	s.useCertificate(&s.cfg)
	var err error
	s.Client, err = New(s.cfg, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	require.NoError(t, s.sim.Revoke(s.creds.APNsCertSerial))
	until(t, func() bool {
		out, err := s.send(t, to(newToken()))
		require.NotEqual(t, push.Rejected, out.Verdict)
		return err != nil
	})
}

// TestSend_CertificateRefusedByTLS: the server does not even finish the connection with our certificate.
func TestSend_CertificateRefusedByTLS(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	known := x509.NewCertPool()
	known.AddCert(ca.cert)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.issue(t, "", newKey(t, elliptic.P256()))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: known,
	}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()

	key := newKey(t, elliptic.P256())
	cert := stranger.issue(t, testTopic, key)
	cfg := DefaultConfig()
	cfg.CertFile = writeFile(t, "cert.pem", append(pemBlock("CERTIFICATE", cert.Certificate[0]), pemBlock("PRIVATE KEY", pkcs8(t, key))...))
	cfg.Endpoint, cfg.CAFile = server.URL, ca.file
	c, err := New(cfg, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	until(t, func() bool {
		out, err := c.Send(t.Context(), to(newToken()), push.Hash{})
		require.NotEqual(t, push.Rejected, out.Verdict)
		if err != nil {
			require.Equal(t, &push.Fault{Kind: push.FaultConfig, Reason: "certificate_refused"}, err)
		}
		return err != nil
	})
}

func TestSend_ServerWithoutHTTP2(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "", newKey(t, elliptic.P256()))}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	cfg := tokenConfig(t)
	cfg.Endpoint, cfg.CAFile = server.URL, ca.file
	c, err := New(cfg, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	require.Error(t, c.Warm(t.Context()))
	out, err := c.Send(t.Context(), to(newToken()), push.Hash{})
	require.NoError(t, err)
	require.Equal(t, "unreachable", out.Reason)
	require.Zero(t, requests.Load())
}

// TestSend_OddServers: answers that no APNs gives, from whatever sits in between.
func TestSend_OddServers(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	handlers := map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+"/elsewhere", http.StatusTemporaryRedirect)
		},
		"redirect with GET": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+"/elsewhere", http.StatusFound)
		},
		"endless dead body": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusGone)
			_, _ = w.Write([]byte(`{"reason":"Unregistered","x":"`))
			for range 1 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		},
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"login page": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte("<html>"))
		},
		"StatusCode 200": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusGone)
			_, _ = w.Write([]byte(`{"StatusCode":200}`))
		},
	}
	for _, name := range slices.Sorted(maps.Keys(handlers)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				handlers[name](w, r)
			}))
			server.EnableHTTP2 = true
			server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "", newKey(t, elliptic.P256()))}}
			server.StartTLS()
			defer server.Close()
			cfg := tokenConfig(t)
			cfg.Endpoint, cfg.CAFile = server.URL, ca.file
			c, err := New(cfg, Options{})
			require.NoError(t, err)
			defer func() { require.NoError(t, c.Close()) }()
			out, err := c.Send(t.Context(), to(newToken()), push.Hash{})
			require.NoError(t, err)
			require.Equal(t, push.Outcome{Reason: "unknown"}, out)
			require.EqualValues(t, 1, requests.Load(), "nobody is sent elsewhere")
		})
	}
}

func TestDial_RefusesWhatIsNotHTTP2OverTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "", newKey(t, elliptic.P256()))}})
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	go func() { // a server that knows nothing of protocols
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = conn.Read(make([]byte, 1))
			}()
		}
	}()
	plain := func(context.Context, string, string, *tls.Config) (net.Conn, error) {
		conn, _ := net.Pipe()
		return conn, nil
	}
	for name, dial := range map[string]DialTLS{"no protocol agreed": nil, "no TLS": plain} {
		cfg := tokenConfig(t)
		cfg.Endpoint, cfg.CAFile = "https://"+listener.Addr().String(), ca.file
		c, err := New(cfg, Options{DialTLS: dial})
		require.NoError(t, err)
		require.Error(t, c.Warm(t.Context()), name)
		require.NoError(t, c.Close())
	}
}

func TestSend_ThroughADialler(t *testing.T) {
	t.Parallel()
	var dialled atomic.Value
	r := newRig(t, simulator.Options{}, Options{DialTLS: func(ctx context.Context, network, addr string, cfg *tls.Config) (net.Conn, error) {
		dialled.Store(addr)
		return (&tls.Dialer{Config: cfg}).DialContext(ctx, network, addr)
	}}, nil)
	r.mustDeliver(t, event(nil))
	require.Equal(t, "https://"+dialled.Load().(string), r.cfg.Endpoint)
}

func TestClose_RequestsUnderWayFinish(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Options{Latency: 200 * time.Millisecond}, Options{}, nil)
	var wg sync.WaitGroup
	var outcomes map[string]push.Outcome
	wg.Go(func() { outcomes = r.burst(t, 1) })
	require.Eventually(t, func() bool { return r.sim.Stats().Services[simulator.APNs].StreamsOpen == 1 }, 20*time.Second, time.Millisecond)
	require.NoError(t, r.Close())
	wg.Wait()
	for _, out := range outcomes {
		require.Equal(t, push.Outcome{Verdict: push.Delivered, Reason: reasonOK}, out)
	}
	require.Eventually(t, func() bool { return r.sim.Stats().Services[simulator.APNs].ConnectionsOpen == 0 }, 20*time.Second, time.Millisecond)
}
