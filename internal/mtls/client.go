package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// Client is what we show to, and demand of, the servers that we call. It never changes: to reload, make a new one.
type Client struct {
	pair  *tls.Certificate // nil: we stay anonymous
	roots *x509.CertPool   // nil: the system's
	crl   *revocations     // nil: nothing is looked up
	now   func() time.Time
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
		authorities, err := loadAuthorities("ca_file", c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("load authorities: %w", err)
		}
		k.roots = pool(authorities)
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
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: k.roots, Time: k.now}
	if k.pair != nil {
		// Always this one: a server that names other authorities shall refuse us aloud instead of seeing nobody.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return k.pair, nil }
	}
	if k.crl != nil {
		c.VerifyConnection = func(cs tls.ConnectionState) error { return k.crl.check(cs.VerifiedChains, k.now()) }
	}
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
