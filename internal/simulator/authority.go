package simulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	certificateLife = 30 * 24 * time.Hour
	clockSlack      = 48 * time.Hour // certificates stand a test whose clock is a day off
)

// issuer is a throw-away certificate authority.
type issuer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// authority holds the issuers of one simulator and the server's certificates, good and bad.
type authority struct {
	servers *issuer
	clients *issuer // signs APNs client certificates
	good    tls.Certificate
	bad     map[Certificate]*tls.Certificate
}

func newAuthority(names []string) (*authority, error) {
	servers, err := newIssuer("pushgate simulator CA")
	if err != nil {
		return nil, err
	}
	clients, err := newIssuer("pushgate simulator client CA")
	if err != nil {
		return nil, err
	}
	stranger, err := newIssuer("nobody's CA")
	if err != nil {
		return nil, err
	}
	a := &authority{servers: servers, clients: clients, bad: map[Certificate]*tls.Certificate{}}
	names = append([]string{"localhost", "127.0.0.1", "::1"}, names...)
	now := time.Now()
	for kind, issue := range map[Certificate]func() (tls.Certificate, error){
		"":                 func() (tls.Certificate, error) { return servers.server(names, now.Add(certificateLife)) },
		CertificateExpired: func() (tls.Certificate, error) { return servers.server(names, now.Add(-time.Hour)) },
		CertificateWrongName: func() (tls.Certificate, error) {
			return servers.server([]string{"wrong.example"}, now.Add(certificateLife))
		},
		CertificateWrongCA: func() (tls.Certificate, error) { return stranger.server(names, now.Add(certificateLife)) },
	} {
		cert, err := issue()
		if err != nil {
			return nil, err
		}
		a.bad[kind] = &cert
	}
	a.good = *a.bad[""]
	return a, nil
}

func (a *authority) serverCertificate(kind Certificate) *tls.Certificate {
	if c := a.bad[kind]; c != nil {
		return c
	}
	return &a.good
}

func newIssuer(name string) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-clockSlack), NotAfter: time.Now().Add(certificateLife + clockSlack),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return sign(template, &issuer{key: key, cert: template}, &key.PublicKey, key)
}

// sign issues a certificate and parses it back, as the owner of key.
func sign(template *x509.Certificate, by *issuer, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*issuer, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, public, by.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate back: %w", err)
	}
	return &issuer{key: key, cert: cert}, nil
}

func (i *issuer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

func (i *issuer) server(names []string, notAfter time.Time) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: notAfter.Add(-certificateLife - clockSlack), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	leaf, err := i.issue(template)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key, Leaf: leaf.cert}, nil
}

func (i *issuer) issue(template *x509.Certificate) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return sign(template, i, &key.PublicKey, key)
}

// client issues an APNs certificate in the shape of Apple's: the bundle id as UID of the subject, and an extension
// that lists the topics.
func (i *issuer) client(topic string) (*issuer, error) {
	topics, err := topicExtension(certificateTopics(topic))
	if err != nil {
		return nil, err
	}
	uid := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: topic}
	return i.issue(&x509.Certificate{
		SerialNumber:    serial(),
		Subject:         pkix.Name{CommonName: "Apple Push Services: " + topic, ExtraNames: []pkix.AttributeTypeAndValue{uid}},
		NotBefore:       time.Now().Add(-clockSlack),
		NotAfter:        time.Now().Add(certificateLife),
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{topics},
	})
}

// certificateTopics are what a certificate for an app may send to.
func certificateTopics(topic string) []string {
	return []string{topic, topic + ".voip", topic + ".complication"}
}

// topicExtension is 1.2.840.113635.100.6.3.6: pairs of a topic and what kind it is.
func topicExtension(topics []string) (pkix.Extension, error) {
	var content []byte
	for i, topic := range topics {
		name, err := asn1.MarshalWithParams(topic, "utf8")
		if err != nil {
			return pkix.Extension{}, fmt.Errorf("write topics: %w", err)
		}
		kind, err := asn1.Marshal([]string{[]string{"app", "voip", "complication"}[i]})
		if err != nil {
			return pkix.Extension{}, fmt.Errorf("write topics: %w", err)
		}
		content = append(append(content, name...), kind...)
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: content})
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("write topics: %w", err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 6}, Value: der}, nil
}

// subjectUID is the bundle id in a certificate's subject.
func subjectUID(c *x509.Certificate) string {
	for _, name := range c.Subject.Names {
		if name.Type.Equal(asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}) {
			uid, _ := name.Value.(string)
			return uid
		}
	}
	return ""
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n.Add(n, big.NewInt(1))
}
