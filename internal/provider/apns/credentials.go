package apns

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sideshow/apns2/certificate"
	"github.com/sideshow/apns2/token"
	"software.sslmate.com/src/go-pkcs12"
)

// read returns a file's bytes; its error names no path, because the caller reports the setting's.
func read(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("not readable: %w", pathErr.Err)
	}
	if err != nil {
		return nil, errors.New("not readable")
	}
	return text, nil
}

// loadKey reads the .p8 key: PKCS#8 in PEM, on the curve P-256, which ES256 demands.
func (c Config) loadKey() (*ecdsa.PrivateKey, error) {
	text, err := read(c.KeyFile)
	if err != nil {
		return nil, err
	}
	key, err := token.AuthKeyFromBytes(text)
	switch {
	case errors.Is(err, token.ErrAuthKeyNotPem):
		return nil, errors.New("not a .p8 file: no PEM in it")
	case errors.Is(err, token.ErrAuthKeyNotECDSA):
		return nil, errors.New("not an Apple key: must be ES256 (P-256)")
	case err != nil:
		return nil, errors.New("not a .p8 file: no PKCS#8 key in it")
	case key.Curve != elliptic.P256():
		return nil, errors.New("not an Apple key: must be ES256 (P-256)")
	}
	return key, nil
}

// password returns the password of the certificate file, empty when there is none.
func (c Config) password() (string, error) {
	if c.CertPasswordFile == "" {
		return "", nil
	}
	text, err := read(c.CertPasswordFile)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// loadCertificate reads certificate, chain and key from PKCS#12 or PEM and checks that they belong together.
func (c Config) loadCertificate() (tls.Certificate, error) {
	text, err := read(c.CertFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	password, err := c.password()
	if err != nil {
		return tls.Certificate{}, errors.New("the password file is not readable")
	}
	if block, _ := pem.Decode(text); block != nil {
		return fromPEM(text, password)
	}
	return fromPKCS12(text, password)
}

// fromPEM reads a PEM file that holds both, as the Matrix world keeps them. The standard library knows every kind of key
// but none with a password; apns2 knows those.
func fromPEM(text []byte, password string) (tls.Certificate, error) {
	if cert, err := tls.X509KeyPair(text, text); err == nil {
		return cert, nil
	}
	cert, err := certificate.FromPemBytes(text, password)
	switch {
	case errors.Is(err, certificate.ErrNoCertificate):
		return tls.Certificate{}, errors.New("no certificate in it")
	case errors.Is(err, certificate.ErrNoPrivateKey):
		return tls.Certificate{}, errors.New("no private key in it: certificate and key belong in one PEM file")
	case errors.Is(err, certificate.ErrFailedToDecryptKey), !opens(text, password):
		return tls.Certificate{}, errors.New("wrong password")
	case err != nil || cert.Leaf == nil:
		return tls.Certificate{}, errors.New("not a readable PEM certificate with its key")
	case !belongs(cert.PrivateKey, cert.Leaf):
		return tls.Certificate{}, errors.New("certificate and private key do not belong together")
	}
	return cert, nil
}

// opens reports whether the password opens each encrypted key in text. These files carry no checksum: about one wrong
// password in 256 leaves valid padding behind, and only the key that is none tells.
func opens(text []byte, password string) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if !x509.IsEncryptedPEMBlock(block) { //nolint:staticcheck // weak as it is, operators have such files
			continue
		}
		key, err := x509.DecryptPEMBlock(block, []byte(password)) //nolint:staticcheck // the same
		if err != nil {
			return false
		}
		var der asn1.RawValue
		if rest, err := asn1.Unmarshal(key, &der); err != nil || len(rest) > 0 || der.Tag != asn1.TagSequence {
			return false
		}
	}
	return true
}

// fromPKCS12 reads what Keychain Access and OpenSSL export. (apns2's own reader knows neither chains nor the encryption
// that OpenSSL 3 uses.)
func fromPKCS12(data []byte, password string) (tls.Certificate, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return tls.Certificate{}, errors.New("wrong password")
	case err != nil:
		return tls.Certificate{}, errors.New("not a PEM or PKCS#12 file with a certificate and its key")
	}
	certs := append([]*x509.Certificate{leaf}, chain...)
	for i, candidate := range certs {
		if !belongs(key, candidate) {
			continue
		}
		certs[0], certs[i] = certs[i], certs[0]
		cert := tls.Certificate{PrivateKey: key, Leaf: candidate}
		for _, one := range certs {
			cert.Certificate = append(cert.Certificate, one.Raw)
		}
		return cert, nil
	}
	return tls.Certificate{}, errors.New("certificate and private key do not belong together")
}

// belongs reports whether key is the private key of cert.
func belongs(key crypto.PrivateKey, cert *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// certificateTopic returns the UID (0.9.2342.19200300.100.1.1) of the subject, where Apple puts the bundle id.
func certificateTopic(leaf *x509.Certificate) string {
	if leaf == nil {
		return ""
	}
	for _, name := range leaf.Subject.Names {
		if name.Type.String() == "0.9.2342.19200300.100.1.1" {
			topic, _ := name.Value.(string)
			return topic
		}
	}
	return ""
}

// loadAuthorities returns the authorities of ca_file, nil (the system's) when there is none.
func (c Config) loadAuthorities() (*x509.CertPool, error) {
	if c.CAFile == "" {
		return nil, nil // a nil pool means the system's authorities, in crypto/tls too
	}
	text, err := read(c.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bytes.TrimSpace(text)) {
		return nil, errors.New("no PEM certificate in it")
	}
	return pool, nil
}
