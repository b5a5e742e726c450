package simulator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (r *rig) tryDial(url string) error {
	dialer := tls.Dialer{Config: r.clientTLS()}
	tc, err := dialer.DialContext(r.t.Context(), "tcp", strings.TrimPrefix(url, "https://"))
	if err == nil {
		_ = tc.Close()
	}
	return err
}

func (l *line) sendFails(t *testing.T, bearer string) {
	t.Helper()
	p := newPush(bearer)
	_, err := l.try(l.r.request(p.method, l.r.APNsURL()+p.path, p.payload, p.header))
	require.Error(t, err)
}

func TestOutage_Refuse(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	require.Equal(t, 200, l.send(bearer).status)
	url := r.APNsURL()
	for range 3 {
		require.NoError(t, r.SetConditions(APNs, Conditions{Outage: OutageRefuse}))
		require.NoError(t, r.SetConditions(APNs, Conditions{Outage: OutageRefuse}), "twice is no more")
		require.ErrorIs(t, r.tryDial(url), syscall.ECONNREFUSED)
		l.sendFails(t, bearer)
		_, err := (&net.Dialer{LocalAddr: addressOf(t, url)}).Dial("tcp", strings.TrimPrefix(r.FCMURL(), "https://"))
		require.ErrorIs(t, err, syscall.EADDRINUSE, "nobody borrows the port meanwhile")
		require.NoError(t, r.tryDial(r.FCMURL()), "the other services are there")
		require.NoError(t, r.SetConditions(APNs, Conditions{}))
		require.Equal(t, url, r.APNsURL())
		l = r.dial(url)
		require.Equal(t, 200, l.send(bearer).status)
	}
}

func addressOf(t *testing.T, url string) net.Addr {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(url, "https://"))
	require.NoError(t, err)
	return addr
}

func TestOutage_Reset(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	require.Equal(t, 200, l.send(bearer).status)
	require.NoError(t, r.SetConditions(APNs, Conditions{Outage: OutageReset}))
	l.sendFails(t, bearer)
	err := r.tryDial(r.APNsURL())
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.EqualValues(t, 1, r.apnsStats().ConnectionsRefused)
	require.NoError(t, r.Reset())
	require.Equal(t, 200, r.dial(r.APNsURL()).send(bearer).status)
}

// Half-open: nothing comes back, not even a PING; when the path is back, what waited is served.
func TestOutage_Silent(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	require.Equal(t, 200, l.send(bearer).status)
	require.NoError(t, r.SetConditions(APNs, Conditions{Outage: OutageSilent}))

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, l.Ping(ctx), context.DeadlineExceeded)

	var wg sync.WaitGroup
	wg.Go(func() { // on the connection that hangs
		p := newPush(bearer)
		a, err := l.try(r.request(p.method, r.APNsURL()+p.path, p.payload, p.header))
		if err != nil || a.status != 200 {
			t.Errorf("old connection: %d, %v", a.status, err)
		}
	})
	wg.Go(func() { // in a handshake that hangs
		if err := r.tryDial(r.APNsURL()); err != nil {
			t.Errorf("new connection: %v", err)
		}
	})
	soon(t, "both wait", func() bool { return r.apnsStats().ConnectionsOpen == 2 })
	require.EqualValues(t, 1, r.apnsStats().Requests)
	require.NoError(t, r.SetConditions(APNs, Conditions{}))
	wg.Wait()
	require.EqualValues(t, 2, r.Stats().Delivered)
}

func TestOutage_Unanswered(t *testing.T) {
	t.Parallel()
	r, bearer, l := apnsRig(t, Options{})
	require.NoError(t, r.SetConditions(APNs, Conditions{Outage: OutageUnanswered}))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		p := newPush(bearer)
		_, err := l.try(r.request(p.method, r.APNsURL()+p.path, p.payload, p.header).WithContext(ctx))
		failed <- err
	}()
	all, err := r.WaitReceipts(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, FaultHang, all[0].Fault)
	require.False(t, all[0].Delivered)
	require.NoError(t, l.Ping(t.Context()), "the connection is alive")
	require.NoError(t, r.SetConditions(APNs, Conditions{}))
	require.Equal(t, 200, l.send(bearer).status)
	require.Empty(t, failed, "what was swallowed stays so")
	cancel()
	require.Error(t, <-failed)
}

func TestConditions_Certificate(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Names: []string{"push.example"}})
	for kind, check := range map[Certificate]func(error){
		CertificateExpired: func(err error) {
			var invalid x509.CertificateInvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, x509.Expired, invalid.Reason)
		},
		CertificateWrongName: func(err error) { require.ErrorAs(t, err, new(x509.HostnameError)) },
		CertificateWrongCA:   func(err error) { require.ErrorAs(t, err, new(x509.UnknownAuthorityError)) },
		"":                   func(err error) { require.NoError(t, err) },
	} {
		require.NoError(t, r.SetConditions(FCM, Conditions{Certificate: kind}))
		check(r.tryDial(r.FCMURL()))
		require.NoError(t, r.tryDial(r.APNsURL()))
	}
	cfg := r.clientTLS()
	cfg.ServerName = "push.example"
	tc, err := tls.Dial("tcp", strings.TrimPrefix(r.APNsURL(), "https://"), cfg)
	require.NoError(t, err, "a further name")
	_ = tc.Close()
}

// holdAll scripts n requests that stay under way, sent over Go's pool, and waits until all have arrived.
func holdAll(t *testing.T, r *rig, n int, answer Answer) (statuses chan int, failures chan error) {
	t.Helper()
	bearer := r.provider(CredentialOptions{}).token(0)
	statuses, failures = make(chan int, n), make(chan error, n)
	client := r.sender()
	answer.Times = n
	r.Script(APNs, testToken, answer)
	for range n {
		go func() {
			status, err := r.sendVia(client, bearer)
			if err != nil {
				failures <- err
				return
			}
			statuses <- status
		}()
	}
	r.scriptTaken(t, APNs)
	return statuses, failures
}

// All in flight lie above the last stream id: the caller resends them, and each arrives exactly once.
func TestGoAway_Unprocessed(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	const n = 20
	statuses, failures := holdAll(t, r, n, Answer{Delay: time.Hour})
	opened := r.apnsStats().ConnectionsOpened
	r.GoAway(APNs, GoAway{Unprocessed: 1, Reason: "Shutdown"})
	for range n {
		select {
		case status := <-statuses:
			require.Equal(t, 200, status)
		case err := <-failures:
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, n, r.Stats().Delivered)
	require.Greater(t, r.apnsStats().ConnectionsOpened, opened)
}

// None are above it: all are answered on the old connection, which then closes.
func TestGoAway_Processed(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	const n = 20
	statuses, failures := holdAll(t, r, n, Answer{Delay: 300 * time.Millisecond})
	opened := r.apnsStats().ConnectionsOpened
	r.GoAway(APNs, GoAway{})
	for range n {
		select {
		case status := <-statuses:
			require.Equal(t, 200, status)
		case err := <-failures:
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, n, r.Stats().Delivered)
	require.Equal(t, opened, r.apnsStats().ConnectionsOpened)
	soon(t, "the connection closes", func() bool { return r.apnsStats().ConnectionsOpen == 0 })
}

func TestGoAway_Abort(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	_, failures := holdAll(t, r, 5, Answer{Delay: 200 * time.Millisecond})
	r.GoAway(APNs, GoAway{Abort: true})
	for range 5 {
		require.Error(t, <-failures)
	}
	all, err := r.WaitReceipts(t.Context(), 5)
	require.NoError(t, err)
	for _, got := range all {
		require.Equal(t, FaultAbandoned, got.Fault)
		require.False(t, got.Delivered, "what this side broke was not processed")
	}
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	_, failures := holdAll(t, r, 5, Answer{Delay: 200 * time.Millisecond})
	r.Disconnect(APNs)
	for range 5 {
		require.Error(t, <-failures)
	}
	all, err := r.WaitReceipts(t.Context(), 5)
	require.NoError(t, err)
	for _, got := range all {
		require.Equal(t, FaultAbandoned, got.Fault)
	}
	require.Zero(t, r.Stats().Delivered)
}

// Whatever is under way when the simulator closes: nothing stays behind (TestMain looks for goroutines).
func TestClose_EndsEverything(t *testing.T) {
	t.Parallel()
	s, err := Start(Options{})
	require.NoError(t, err)
	r := &rig{Simulator: s, t: t}
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	open := func(url string, protocols ...string) *tls.Conn {
		cfg := r.clientTLS()
		cfg.NextProtos = protocols
		tc, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), cfg)
		require.NoError(t, err)
		conns = append(conns, tc)
		return tc
	}
	open(s.APNsURL(), "h2")
	open(s.FCMURL(), "http/1.1")
	s.Script(WebPush, AnyToken, Answer{Fault: FaultHang})
	require.NoError(t, s.SetConditions(OAuth, Conditions{Latency: time.Hour}))
	for _, url := range []string{s.TokenURL(), s.WebPushURL() + "/push/x"} {
		tc := open(strings.TrimSuffix(strings.TrimSuffix(url, "/push/x"), "/token"), "http/1.1")
		_, err := io.WriteString(tc, "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		require.NoError(t, err)
	}
	raw, err := net.Dial("tcp", strings.TrimPrefix(s.APNsURL(), "https://")) // never says anything
	require.NoError(t, err)
	conns = append(conns, raw)
	require.NoError(t, s.SetConditions(APNs, Conditions{Outage: OutageSilent}))
	soon(t, "the token request is under way", func() bool { return s.Stats().Services[OAuth].StreamsOpen == 1 })

	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice")
	require.Error(t, r.tryDial(s.FCMURL()))
}
