package simulator

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// trust is whom the services believe.
type trust struct {
	clients *x509.CertPool
	version atomic.Uint64 // grows when something is no longer trusted: cached verdicts of older versions are void

	mu           sync.RWMutex
	apnsKeys     map[string]apnsKey        // by key id
	certificates map[string]bool           // APNs client certificates by serial number: revoked?
	accounts     map[string]serviceAccount // by e-mail address
	vapid        map[string]bool           // by public key: revoked?
	access       map[string]accessToken
}

type apnsKey struct {
	public *ecdsa.PublicKey
	team   string
}

type serviceAccount struct {
	public  *rsa.PublicKey
	keyID   string
	project string
}

type accessToken struct {
	email, project string
	expires        time.Time
}

var errUnknownCredential = errors.New("simulator: no such credential")

func newTrust(clientCA *x509.Certificate) *trust {
	t := &trust{
		clients: x509.NewCertPool(), apnsKeys: map[string]apnsKey{}, certificates: map[string]bool{},
		accounts: map[string]serviceAccount{}, vapid: map[string]bool{}, access: map[string]accessToken{},
	}
	t.clients.AddCert(clientCA)
	return t
}

// verifyClient ends the handshake of a client with a certificate that Apple would not have issued or has revoked.
func (t *trust) verifyClient(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf, rest := state.PeerCertificates[0], x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		rest.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: t.clients, Intermediates: rest, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	if t.certificateRevoked(leaf) {
		return errors.New("client certificate is revoked")
	}
	return nil
}

func (t *trust) certificateRevoked(c *x509.Certificate) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.certificates[serialText(c)]
}

func serialText(c *x509.Certificate) string { return fmt.Sprintf("%x", c.SerialNumber) }

func (t *trust) apnsKey(id string) (apnsKey, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	k, ok := t.apnsKeys[id]
	return k, ok
}

func (t *trust) account(email string) (serviceAccount, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	a, ok := t.accounts[email]
	return a, ok
}

func (t *trust) vapidRevoked(public string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.vapid[public]
}

// issueAccess makes an access token; expired ones are thrown away on the way.
func (t *trust) issueAccess(a accessToken, now time.Time) string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // does not fail
	token := "ya29.sim." + base64.RawURLEncoding.EncodeToString(random)
	t.mu.Lock()
	defer t.mu.Unlock()
	for old, o := range t.access {
		if now.Sub(o.expires) > time.Hour {
			delete(t.access, old)
		}
	}
	t.access[token] = a
	return token
}

func (t *trust) accessToken(token string) (accessToken, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	a, ok := t.access[token]
	return a, ok
}

func (t *trust) revokeAccess(match func(accessToken) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for token, a := range t.access {
		if match(a) {
			delete(t.access, token)
		}
	}
}

// revoke ends the trust in one credential.
func (t *trust) revoke(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.version.Add(1)
	if _, ok := t.apnsKeys[id]; ok {
		delete(t.apnsKeys, id)
		return nil
	}
	for _, set := range []map[string]bool{t.certificates, t.vapid} {
		if _, ok := set[id]; ok {
			set[id] = true
			return nil
		}
	}
	for email, a := range t.accounts {
		if a.keyID != id {
			continue
		}
		delete(t.accounts, email)
		for token, issued := range t.access {
			if issued.email == email {
				delete(t.access, token)
			}
		}
		return nil
	}
	return errUnknownCredential
}
