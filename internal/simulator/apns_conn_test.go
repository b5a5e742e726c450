package simulator

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAPNs_TokenAgesOnItsConnection(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	p := r.provider(CredentialOptions{})
	bearer := p.token(0)
	l := r.dial(r.APNsURL())
	require.Equal(t, 200, l.send(bearer).status)
	r.advance(59 * time.Minute)
	require.Equal(t, 200, l.send(bearer).status)
	r.advance(2 * time.Minute)
	l.send(bearer).requireReason(t, 403, "ExpiredProviderToken")

	fresh := p.token(0)
	l.send(fresh).requireReason(t, 403, "ExpiredProviderToken") // the connection is spoilt
	require.Equal(t, 200, r.dial(r.APNsURL()).send(fresh).status, "a new one is not")
}

func TestAPNs_TooManyProviderTokenUpdates(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	p := r.provider(CredentialOptions{})
	l, l2 := r.dial(r.APNsURL()), r.dial(r.APNsURL())
	first, second := p.token(0), p.token(1*time.Minute)
	require.Equal(t, 200, l.send(first).status)
	require.Equal(t, 200, l2.send(second).status, "another connection may have another token")

	r.advance(19 * time.Minute)
	l.send(second).requireReason(t, 429, "TooManyProviderTokenUpdates")
	require.Equal(t, 200, l.send(first).status, "the old token still works")
	r.advance(time.Minute)
	require.Equal(t, 200, l.send(second).status, "20 minutes have passed")
	require.Equal(t, 200, l.send(first).status, "requests under way with the previous token")
	require.Equal(t, 200, l.send(second).status)
	l.send(p.token(2*time.Minute)).requireReason(t, 429, "TooManyProviderTokenUpdates")
}

func TestAPNs_TokenUpdateIntervalIsSwitchable(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Rules: Rules{TokenUpdateInterval: -1}})
	p := r.provider(CredentialOptions{})
	l := r.dial(r.APNsURL())
	for i := range 5 {
		require.Equal(t, 200, l.send(p.token(time.Duration(i)*time.Minute)).status)
	}
	r.SetRules(Rules{TokenUpdateInterval: time.Minute})
	l.send(p.token(9*time.Minute)).requireReason(t, 429, "TooManyProviderTokenUpdates")
	r.advance(time.Minute)
	require.Equal(t, 200, l.send(p.token(9*time.Minute)).status)
}

func TestAPNs_ConnectionBelongsToOneKey(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Rules: Rules{TokenUpdateInterval: -1}})
	p, sameTeam, otherTeam := r.provider(CredentialOptions{}), r.provider(CredentialOptions{}), r.provider(CredentialOptions{TeamID: "OTHERTEAM1"})
	l := r.dial(r.APNsURL())
	require.Equal(t, 200, l.send(p.token(0)).status)
	l.send(sameTeam.token(0)).requireReason(t, 403, "UnrelatedKeyIdInToken")
	l.send(otherTeam.token(0)).requireReason(t, 403, "UnrelatedKeyIdInToken")
	require.Equal(t, 200, l.send(p.token(0)).status)
	require.Equal(t, 200, r.dial(r.APNsURL()).send(otherTeam.token(0)).status)
}

func TestAPNs_RevokedKey(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	p, other := r.provider(CredentialOptions{}), r.provider(CredentialOptions{})
	bearer, otherBearer := p.token(0), other.token(0)
	l, l2 := r.dial(r.APNsURL()), r.dial(r.APNsURL())
	require.Equal(t, 200, l.send(bearer).status)
	require.Equal(t, 200, l2.send(otherBearer).status)
	require.NoError(t, r.Revoke(p.keyID))
	l.send(bearer).requireReason(t, 403, "InvalidProviderToken")
	require.Equal(t, 200, l2.send(otherBearer).status, "the other key is still trusted")
	require.Equal(t, other.keyID, r.last().KeyID)
	require.Error(t, r.Revoke(p.keyID))
}

func TestAPNs_ClockSkew(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	p := r.provider(CredentialOptions{})
	for skew, reason := range map[time.Duration]string{
		2 * time.Hour: "ExpiredProviderToken", -2 * time.Hour: "InvalidProviderToken", 30 * time.Minute: "", -30 * time.Minute: "",
	} {
		require.NoError(t, r.SetConditions(APNs, Conditions{ClockSkew: skew}))
		a := r.dial(r.APNsURL()).send(p.token(0))
		if reason == "" {
			require.Equal(t, 200, a.status)
			continue
		}
		a.requireReason(t, 403, reason)
	}
}

func TestAPNs_OneStreamFirst(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Rules: Rules{OneStreamFirst: true}, StreamLimit: 10})
	p := r.provider(CredentialOptions{})
	l := r.dial(r.APNsURL())
	require.NoError(t, l.Ping(t.Context())) // the settings have arrived
	require.EqualValues(t, 1, l.State().MaxConcurrentStreams)
	l.send("bad").requireReason(t, 403, "InvalidProviderToken")
	require.EqualValues(t, 1, l.State().MaxConcurrentStreams, "a bad token opens nothing")
	require.NoError(t, r.SetConditions(APNs, Conditions{StreamLimit: 20}))
	require.NoError(t, l.Ping(t.Context()))
	require.EqualValues(t, 1, l.State().MaxConcurrentStreams, "nor do conditions")
	require.Equal(t, 200, l.send(p.token(0)).status)
	require.NoError(t, l.Ping(t.Context()))
	require.EqualValues(t, 20, l.State().MaxConcurrentStreams)

	cert, _ := r.certificate(testTopic)
	l = r.dial(r.APNsURL(), cert)
	require.NoError(t, l.Ping(t.Context()))
	require.EqualValues(t, 20, l.State().MaxConcurrentStreams, "a certificate has proved itself")
}

func TestAPNs_BadTokensEndTheConnection(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Rules: Rules{BadTokenLimit: 3}})
	bearer := r.provider(CredentialOptions{}).token(0)
	l := r.dial(r.APNsURL())
	bad := newPush(bearer)
	bad.path = "/3/device/zz"
	for range 3 { // a good one in between starts the count again
		l.push(bad).requireReason(t, 400, "BadDeviceToken")
		l.push(bad).requireReason(t, 400, "BadDeviceToken")
		require.Equal(t, 200, l.send(bearer).status)
	}
	for range 3 {
		require.True(t, l.CanTakeNewRequest())
		l.push(bad).requireReason(t, 400, "BadDeviceToken")
	}
	require.Eventually(t, func() bool { return !l.CanTakeNewRequest() }, 10*time.Second, time.Millisecond, "no GOAWAY")
}

func TestAPNs_Certificate(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	cert, set := r.certificate(testTopic)
	l := r.dial(r.APNsURL(), cert)
	with := func(edit func(*push)) answer {
		n := newPush("")
		n.set("Authorization", "")
		edit(n)
		return l.push(n)
	}
	require.Equal(t, 200, with(func(*push) {}).status)
	require.Equal(t, "cert:"+set.Credentials.APNsCertSerial, r.last().KeyID)
	require.Equal(t, 200, with(func(p *push) { p.set("Apns-Topic", "") }).status)
	require.Equal(t, testTopic, r.last().Topic, "the certificate's own")
	require.Equal(t, 200, with(func(p *push) { p.set("Authorization", "bearer nonsense") }).status, "Apple ignores it")
	require.Equal(t, 200, with(func(p *push) { p.set("Apns-Push-Type", "voip"); p.set("Apns-Topic", testTopic+".voip") }).status)
	with(func(p *push) { p.set("Apns-Topic", "com.example.other") }).requireReason(t, 400, "TopicDisallowed")
	with(func(p *push) {
		p.set("Apns-Push-Type", "location")
		p.set("Apns-Topic", testTopic+".location-query")
	}).requireReason(t, 403, "MissingProviderToken")

	require.NoError(t, r.Revoke(set.Credentials.APNsCertSerial))
	with(func(*push) {}).requireReason(t, 403, "BadCertificate")
	requireHandshakeFails(t, r, cert)
}

func TestAPNs_ForeignCertificate(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	stranger := start(t, Options{})
	cert, _ := stranger.certificate(testTopic)
	requireHandshakeFails(t, r, cert)
}

// requireHandshakeFails dials; with TLS 1.3 a client hears of it at its first read.
func requireHandshakeFails(t *testing.T, r *rig, certs ...tls.Certificate) {
	t.Helper()
	cfg := r.clientTLS()
	cfg.Certificates = certs
	tc, err := tls.Dial("tcp", strings.TrimPrefix(r.APNsURL(), "https://"), cfg)
	if err == nil {
		defer tc.Close()
		_, err = tc.Read(make([]byte, 1))
	}
	require.ErrorContains(t, err, "tls: ")
}

func TestAPNs_SpeaksHTTP2Only(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr := strings.TrimPrefix(r.APNsURL(), "https://")
	cfg := r.clientTLS()
	for _, protocols := range [][]string{{"http/1.1"}, nil} { // crypto/tls treats both as no ALPN
		cfg.NextProtos = protocols
		tc, err := tls.Dial("tcp", addr, cfg)
		require.NoError(t, err)
		defer tc.Close()
		_, err = tc.Read(make([]byte, 1))
		require.Error(t, err, "shown the door")
	}
	cfg.NextProtos = []string{"spdy/3"}
	_, err := tls.Dial("tcp", addr, cfg)
	require.ErrorContains(t, err, "no application protocol")

	cfg.MaxVersion = tls.VersionTLS11
	cfg.MinVersion = tls.VersionTLS10
	_, err = tls.Dial("tcp", addr, cfg)
	require.Error(t, err, "TLS 1.1")

	plain, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer plain.Close()
	req, err := http.NewRequest("GET", "http://x/", nil)
	require.NoError(t, err)
	require.NoError(t, req.Write(plain))
	require.NoError(t, plain.SetReadDeadline(time.Now().Add(10*time.Second)))
	buf := make([]byte, 64)
	n, _ := plain.Read(buf)
	require.NotContains(t, string(buf[:n]), "HTTP/")
}
