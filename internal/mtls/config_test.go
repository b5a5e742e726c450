package mtls

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfig_Check(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := authority(t, "house")
	file := func(name string, text []byte) string { return write(t, filepath.Join(dir, name), text) }
	pair := must[*Pair](t)(a.Server())
	cert, key, err := pair.Write(dir, "server")
	require.NoError(t, err)
	_, otherKey, err := must[*Pair](t)(a.Server()).Write(dir, "other")
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ca, crl := file("ca.crt", a.CertPEM()), file("ca.crl", must[[]byte](t)(a.CRL()))
	der := file("ca.der.crl", pemBody(t, must[[]byte](t)(a.CRL())))
	garbage, nothing := file("garbage", []byte("c4n4ry garbage")), filepath.Join(dir, "nothing")
	partial := file("partial.crl", partialList(t, a))
	for _, c := range []struct {
		name   string
		config ServerConfig
		want   []string
	}{
		{"good", ServerConfig{cert, key, ca, crl}, nil},
		{"without clients", ServerConfig{CertFile: cert, KeyFile: key}, nil},
		{"list in DER", ServerConfig{cert, key, ca, der}, nil},
		{"nothing", ServerConfig{}, []string{"cert_file: is missing", "key_file: is missing"}},
		{"no files", ServerConfig{nothing, key, nothing, nothing}, []string{"cert_file: no such file", "client_ca_file: no such file", "crl_file: no such file"}},
		{"folders", ServerConfig{dir, key, dir, dir}, []string{"cert_file: not readable", "client_ca_file: not readable", "crl_file: not readable"}},
		{"garbage", ServerConfig{garbage, key, garbage, garbage}, []string{"cert_file: holds no certificate", "client_ca_file: holds no certificate", "crl_file: holds a revocation list that cannot be read"}},
		{"garbage for a key", ServerConfig{cert, garbage, "", ""}, []string{"key_file: holds no PEM block"}},
		{"swapped", ServerConfig{key, cert, crl, ca}, []string{"cert_file: holds no certificate", "client_ca_file: holds no certificate", "crl_file: holds no revocation list"}},
		{"certificate for a key", ServerConfig{cert, cert, "", ""}, []string{"key_file: holds no private key that can be used"}},
		{"key of another certificate", ServerConfig{cert, otherKey, "", ""}, []string{"key_file: does not belong to cert_file"}},
		{"key of another kind", ServerConfig{cert, file("rsa", encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))), "", ""}, []string{"key_file: does not belong to cert_file"}},
		{"broken certificate", ServerConfig{file("broken", encode("CERTIFICATE", []byte("c4n4ry"))), key, file("broken-ca", encode("CERTIFICATE", []byte("c4n4ry"))), ""}, []string{
			"cert_file: holds a certificate that cannot be used", "client_ca_file: holds a certificate that cannot be read"}},
		{"list without authorities", ServerConfig{cert, key, "", crl}, []string{"crl_file: needs client_ca_file"}},
		{"partial list", ServerConfig{cert, key, ca, partial}, []string{"crl_file: holds a partial revocation list (it has a critical extension)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			c.config.Check(func(path, problem string) { got = append(got, path+": "+problem) })
			require.Equal(t, c.want, got)
			_, err := NewServer(ServerOptions{Config: c.config})
			if len(c.want) == 0 {
				require.NoError(t, err)
			} else if c.config.ClientCAFile != "" || c.config.CRLFile == "" {
				require.Error(t, err)
				require.NotContains(t, err.Error(), "c4n4ry")
			}
		})
	}
}

func TestClientConfig_Check(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := authority(t, "house")
	cert, key, err := client(t, a, "x").Write(dir, "client")
	require.NoError(t, err)
	ca, crl := write(t, filepath.Join(dir, "ca"), a.CertPEM()), write(t, filepath.Join(dir, "crl"), must[[]byte](t)(a.CRL()))
	for _, c := range []struct {
		name   string
		config ClientConfig
		want   []string
	}{
		{"nothing", ClientConfig{}, nil},
		{"everything", ClientConfig{cert, key, ca, crl}, nil},
		{"certificate without a key", ClientConfig{CertFile: cert}, []string{"key_file: is missing"}},
		{"key without a certificate", ClientConfig{KeyFile: key}, []string{"cert_file: is missing"}},
		{"wrong files", ClientConfig{CAFile: key, CRLFile: key}, []string{"ca_file: holds no certificate", "crl_file: holds no revocation list"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			c.config.Check(func(path, problem string) { got = append(got, path+": "+problem) })
			require.Equal(t, c.want, got)
			k, err := NewClient(c.config)
			if len(c.want) > 0 {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.config.CertFile == "", k.Info().CertificateExpires.IsZero())
			require.Equal(t, c.config.CRLFile == "", k.Info().CRLExpires.IsZero())
		})
	}
}

func TestInfo_TellsWhatEndsFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := authority(t, "a"), authority(t, "b")
	short, err := a.issue([]string{"x"}, x509.ExtKeyUsageServerAuth, time.Hour)
	require.NoError(t, err)
	long, err := a.issue([]string{"x"}, x509.ExtKeyUsageServerAuth, 2*time.Hour)
	require.NoError(t, err)
	_, key, err := long.Write(dir, "long")
	require.NoError(t, err)
	// A chain ends with the first of its certificates that ends, whichever that is.
	cert := write(t, filepath.Join(dir, "chain"), append(long.CertPEM, short.CertPEM...))
	now := time.Now()
	one, err := a.list(now.Add(-3*time.Hour), now.Add(5*time.Hour), nil)
	require.NoError(t, err)
	two, err := b.list(now.Add(-2*time.Hour), now.Add(4*time.Hour), nil)
	require.NoError(t, err)
	s, err := NewServer(ServerOptions{Config: ServerConfig{
		CertFile: cert, KeyFile: key,
		ClientCAFile: write(t, filepath.Join(dir, "ca"), append(a.CertPEM(), b.CertPEM()...)),
		CRLFile:      write(t, filepath.Join(dir, "crl"), append(one, two...)),
	}})
	require.NoError(t, err)
	info := s.Info()
	require.Equal(t, short.Leaf.NotAfter, info.CertificateExpires)
	require.WithinDuration(t, now.Add(-3*time.Hour), info.CRLIssued, time.Second)
	require.WithinDuration(t, now.Add(4*time.Hour), info.CRLExpires, time.Second)
}

func TestAuthority_NamesAndFileModes(t *testing.T) {
	t.Parallel()
	a := authority(t, "house")
	p := client(t, a, "fd.example", "10.1.2.3", "::1", "https://fd.example/push", "urn:telematik:fd", "Ein Fachdienst")
	require.Equal(t, []string{"fd.example", "Ein Fachdienst"}, p.Leaf.DNSNames)
	require.Len(t, p.Leaf.IPAddresses, 2)
	require.True(t, p.Leaf.IPAddresses[0].Equal(net.ParseIP("10.1.2.3")))
	require.Equal(t, []string{"https://fd.example/push", "urn:telematik:fd"}, func() (all []string) {
		for _, u := range p.Leaf.URIs {
			all = append(all, (*url.URL).String(u))
		}
		return all
	}())
	server := must[*Pair](t)(a.Server())
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		require.NoError(t, server.Leaf.VerifyHostname(name))
	}
	cert, key, err := p.Write(t.TempDir(), "p")
	require.NoError(t, err)
	for _, f := range []string{cert, key} {
		info, err := os.Stat(f)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	_, _, err = p.Write(filepath.Join(t.TempDir(), "missing"), "p")
	require.Error(t, err)
}

func pemBody(t *testing.T, text []byte) []byte {
	t.Helper()
	body := must[*revocations](t)(loadRevocations(write(t, filepath.Join(t.TempDir(), "x"), text)))
	return body.lists[0].list.Raw
}

// partialList is a delta list: it holds only what changed since another one.
func partialList(t *testing.T, a *Authority) []byte {
	t.Helper()
	template := &x509.RevocationList{
		Number: big.NewInt(2), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}},
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	require.NoError(t, err)
	return encode("X509 CRL", der)
}
