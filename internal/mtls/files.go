package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"time"
)

// loadPair reads a certificate with its key and checks that they belong together.
func loadPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, unreadable("cert_file", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, unreadable("key_file", err)
	}
	if block, _ := pem.Decode(key); block == nil {
		return nil, &fileError{key: "key_file", problem: "holds no PEM block"}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, pairProblem(cert, err)
	}
	return &pair, nil
}

// pairProblem says which of the two files is wrong. The library's own texts are not passed on: they may quote.
func pairProblem(cert []byte, err error) *fileError {
	block, _ := pem.Decode(cert)
	switch {
	case block == nil || !bytes.Contains(cert, []byte("BEGIN CERTIFICATE")):
		return &fileError{"cert_file", "holds no certificate", err}
	case strings.Contains(err.Error(), "does not match"):
		return &fileError{"key_file", "does not belong to cert_file", err}
	case strings.Contains(err.Error(), "private key"):
		return &fileError{"key_file", "holds no private key that can be used", err}
	default:
		return &fileError{"cert_file", "holds a certificate that cannot be used", err}
	}
}

// loadAuthorities reads a bundle of CA certificates.
func loadAuthorities(key, file string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(key, err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &fileError{key, "holds a certificate that cannot be read", err}
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, &fileError{key: key, problem: "holds no certificate"}
	}
	return all, nil
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

// earliestEnd is when the first certificate of a presented chain ends.
func earliestEnd(pair *tls.Certificate) time.Time {
	var end time.Time
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err == nil && (end.IsZero() || c.NotAfter.Before(end)) {
			end = c.NotAfter
		}
	}
	return end
}
