package simulator

import (
	"crypto"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	testToken   = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	testTopic   = "com.example.pushgate.ios"
	testPayload = `{"aps":{"alert":{"title":"t","loc-key":"k","loc-args":["a","b"]},"badge":0,"sound":"default","mutable-content":1},"custom":[1.0,null]}`
	testID      = "0b9f9a0c-8f6e-4c0e-9d35-0a4d5f6b7c8d"
)

// provider is a sender with a .p8 key.
type provider struct {
	r     *rig
	key   crypto.Signer
	keyID string
	team  string
}

func (r *rig) provider(o CredentialOptions) *provider {
	r.t.Helper()
	set := r.make(r.makeAPNsKey, o)
	c := set.Credentials
	return &provider{r, privateKey(r.t, set.Files[c.APNsKeyFile]), c.APNsKeyID, c.APNsTeamID}
}

// token signs a provider token that was issued so long ago.
func (p *provider) token(ago time.Duration) string {
	return jwt(p.r.t, p.key, map[string]any{"alg": "ES256", "kid": p.keyID}, map[string]any{"iss": p.team, "iat": p.r.now().Add(-ago).Unix()})
}

// push is a notification request to be bent.
type push struct {
	method, path, payload string
	header                http.Header
}

// set replaces a header field; an empty value removes it.
func (p *push) set(name, value string) {
	p.header[name] = []string{value}
	if value == "" {
		delete(p.header, name)
	}
}

func newPush(bearer string) *push {
	p := &push{"POST", "/3/device/" + testToken, testPayload, http.Header{}}
	p.set("Authorization", "bearer "+bearer)
	p.set("Apns-Topic", testTopic)
	p.set("Apns-Push-Type", "alert")
	p.set("Apns-Priority", "10")
	p.set("Apns-Id", testID)
	return p
}

func (l *line) push(p *push) answer {
	l.r.t.Helper()
	return l.do(l.r.request(p.method, l.r.APNsURL()+p.path, p.payload, p.header))
}

// send pushes a good notification with a provider token.
func (l *line) send(bearer string) answer {
	l.r.t.Helper()
	return l.push(newPush(bearer))
}

func (a answer) requireReason(t *testing.T, status int, reason string) {
	t.Helper()
	require.Equal(t, reason, a.reason(t))
	require.Equal(t, status, a.status)
}

// certificate is a client certificate for a topic.
func (r *rig) certificate(topic string) (tls.Certificate, *credentialSet) {
	r.t.Helper()
	set := r.make(r.makeAPNsCertificate, CredentialOptions{Topic: topic})
	file := set.Files[set.Credentials.APNsPEMFile]
	cert, err := tls.X509KeyPair(file, file)
	require.NoError(r.t, err)
	return cert, set
}

// filled is a payload of exactly n bytes.
func filled(n int) string {
	const head, tail = `{"aps":{"alert":"`, `"}}`
	return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
}
