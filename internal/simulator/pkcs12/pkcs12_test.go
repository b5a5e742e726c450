package pkcs12

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	reader "golang.org/x/crypto/pkcs12"
)

func TestEncode_IsReadByAnIndependentReader(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "app"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)

	for _, password := range []string{"secret", "", "pässwort €", "a password that is much longer than one block of the digest"} {
		file, err := Encode(der, pkcs8, password)
		require.NoError(t, err)

		gotKey, gotCert, err := reader.Decode(file, password)
		require.NoError(t, err, "password %q", password)
		require.Equal(t, der, gotCert.Raw)
		require.True(t, key.Equal(gotKey))

		_, _, err = reader.Decode(file, password+"x")
		require.ErrorIs(t, err, reader.ErrIncorrectPassword)
	}
}
