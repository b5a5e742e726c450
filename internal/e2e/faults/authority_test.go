package faults

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/mtls"
)

// ownAuthority makes an authority that can issue what a decent one would not: a certificate that has expired.
func ownAuthority(x *rig) (caPEM []byte, good, expired *mtls.Pair) {
	x.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(x, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another"}, NotBefore: time.Now().Add(-48 * time.Hour),
		NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(x, err)
	ca, err := x509.ParseCertificate(der)
	require.NoError(x, err)
	issue := func(until time.Time) *mtls.Pair {
		leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(x, err)
		leaf, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "fd"}, DNSNames: []string{"fd.example.com"},
			NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, ca, &leafKey.PublicKey, key)
		require.NoError(x, err)
		keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
		require.NoError(x, err)
		return &mtls.Pair{CertPEM: pemOf("CERTIFICATE", leaf), KeyPEM: pemOf("PRIVATE KEY", keyDER)}
	}
	return pemOf("CERTIFICATE", der), issue(time.Now().Add(time.Hour)), issue(time.Now().Add(-time.Hour))
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
