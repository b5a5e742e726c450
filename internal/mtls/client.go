package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// Client is what we show to, and demand of, the servers that we call. It never changes: to reload, make a new one.
type Client struct {
	pair        *tls.Certificate    // nil: we stay anonymous
	authorities []*x509.Certificate // none: the system's
	crl         *revocations        // nil: nothing is looked up
	now         func() time.Time
}

// NewClient reads the files. Errors name the key of the section and never quote a file.
func NewClient(c ClientConfig) (*Client, error) {
	k := &Client{now: time.Now}
	var err error
	if c.CertFile != "" || c.KeyFile != "" {
		if k.pair, err = loadPair(c.CertFile, c.KeyFile); err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
	}
	if c.CAFile != "" {
		if k.authorities, err = loadAuthorities("ca_file", c.CAFile); err != nil {
			return nil, fmt.Errorf("load authorities: %w", err)
		}
	}
	if c.CRLFile != "" {
		if k.crl, err = loadRevocations(c.CRLFile); err != nil {
			return nil, fmt.Errorf("load revocation lists: %w", err)
		}
	}
	return k, nil
}

// TLSConfig returns a new configuration for a transport.
func (k *Client) TLSConfig() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, Time: k.now}
	if len(k.authorities) > 0 {
		c.RootCAs = pool(k.authorities)
	}
	if k.pair != nil {
		// Always this one: a server that names other authorities shall refuse us aloud instead of seeing nobody.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return k.pair, nil }
	}
	if k.crl != nil {
		c.VerifyConnection = func(cs tls.ConnectionState) error { return k.crl.check(cs.VerifiedChains, k.now()) }
	}
	return c
}

// StrangerTLSConfig returns a new configuration for servers that others than the operator have named. They see no
// certificate of ours, the system's authorities vouch for them beside our own, and the lists of revoked certificates,
// which are those of our authorities only, are not asked.
func (k *Client) StrangerTLSConfig() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, Time: k.now}
	if len(k.authorities) == 0 {
		return c
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a machine without authorities of its own
	}
	for _, a := range k.authorities {
		roots.AddCert(a)
	}
	c.RootCAs = roots
	return c
}

// Info returns the ages of what is in use.
func (k *Client) Info() Info {
	var info Info
	if k.pair != nil {
		info.CertificateExpires = earliestEnd(k.pair)
	}
	if k.crl != nil {
		info.CRLIssued, info.CRLExpires = k.crl.thisUpdate(), k.crl.nextUpdate()
	}
	return info
}
