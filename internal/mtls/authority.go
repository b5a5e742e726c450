package mtls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Authority is a throw-away certificate authority for pushgate dev and for tests. Its key lives in memory only.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// Lifetimes of what an Authority issues: long enough for a day at the desk, short enough to be useless later.
const (
	authorityLife = 30 * 24 * time.Hour
	pairLife      = 7 * 24 * time.Hour
	clockSkew     = time.Hour
)

// NewAuthority makes an authority of the given name.
func NewAuthority(name string) (*Authority, error) { return newAuthority(name, time.Now) }

func newAuthority(name string, now func() time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	a := &Authority{key: key, now: now}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now().Add(-clockSkew),
		NotAfter:              now().Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a.cert, err = a.sign(template, template, key)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// CertPEM returns the authority's certificate.
func (a *Authority) CertPEM() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// Pool returns a pool that trusts this authority only.
func (a *Authority) Pool() *x509.CertPool { return pool([]*x509.Certificate{a.cert}) }

// Server issues a certificate for a server. Without names it is for loopback: localhost, 127.0.0.1 and ::1.
func (a *Authority) Server(names ...string) (*Pair, error) {
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
	}
	return a.issue(names, x509.ExtKeyUsageServerAuth, pairLife)
}

// Client issues a certificate for a caller with these subject alternative names: DNS names, IP addresses, URIs.
func (a *Authority) Client(names ...string) (*Pair, error) {
	return a.issue(names, x509.ExtKeyUsageClientAuth, pairLife)
}

// CRL issues a list of revoked certificates, valid for as long as they are.
func (a *Authority) CRL(revoked ...*Pair) ([]byte, error) {
	return a.list(a.now().Add(-clockSkew), a.now().Add(pairLife), revoked)
}

func (a *Authority) list(issued, next time.Time, revoked []*Pair) ([]byte, error) {
	template := &x509.RevocationList{Number: big.NewInt(issued.UnixNano()), ThisUpdate: issued, NextUpdate: next}
	for _, p := range revoked {
		entry := x509.RevocationListEntry{SerialNumber: p.Leaf.SerialNumber, RevocationTime: issued}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, entry)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign revocation list: %w", err)
	}
	return encode("X509 CRL", der), nil
}

func (a *Authority) issue(names []string, usage x509.ExtKeyUsage, life time.Duration) (*Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: strings.Join(names[:min(len(names), 1)], "")},
		NotBefore:   a.now().Add(-clockSkew),
		NotAfter:    a.now().Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	for _, n := range names {
		addName(template, n)
	}
	leaf, err := a.sign(template, a.cert, key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return &Pair{CertPEM: encode("CERTIFICATE", leaf.Raw), KeyPEM: encode("PRIVATE KEY", der), Leaf: leaf}, nil
}

// sign makes a certificate for key's public half. The serial is random, as revocation lists go by it.
func (a *Authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, fmt.Errorf("make serial: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate back: %w", err)
	}
	return cert, nil
}

func addName(c *x509.Certificate, name string) {
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = append(c.IPAddresses, ip)
		return
	}
	if u, err := url.Parse(name); err == nil && u.Scheme != "" && strings.Contains(name, ":") {
		c.URIs = append(c.URIs, u)
		return
	}
	c.DNSNames = append(c.DNSNames, name)
}

// Pair is a certificate with its private key.
type Pair struct {
	CertPEM []byte
	KeyPEM  []byte
	Leaf    *x509.Certificate
}

// TLS returns the pair for a tls.Config.
func (p *Pair) TLS() (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("join certificate and key: %w", err)
	}
	return pair, nil
}

// Write writes name.crt and name.key into dir, readable by their owner only, and returns their paths.
func (p *Pair) Write(dir, name string) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if err := os.WriteFile(certFile, p.CertPEM, 0o600); err != nil {
		return "", "", fmt.Errorf("write certificate: %w", err)
	}
	if err := os.WriteFile(keyFile, p.KeyPEM, 0o600); err != nil {
		return "", "", fmt.Errorf("write key: %w", err)
	}
	return certFile, keyFile, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
