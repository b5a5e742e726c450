package simulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"

	"github.com/pushgate/pushgate/internal/simulator/pkcs12"
)

// Credentials are files in the shape operators have, and what they hold. All of them are trusted until revoked.
type Credentials struct {
	CAFile string `json:"ca_file"`

	APNsKeyFile         string `json:"apns_key_file"`
	APNsKeyID           string `json:"apns_key_id"`
	APNsTeamID          string `json:"apns_team_id"`
	APNsTopic           string `json:"apns_topic"` // the certificate's topic
	APNsP12File         string `json:"apns_p12_file"`
	APNsP12PasswordFile string `json:"apns_p12_password_file"`
	APNsPEMFile         string `json:"apns_pem_file"`    // certificate and key in one file
	APNsCertSerial      string `json:"apns_cert_serial"` // hex

	ServiceAccountFile  string `json:"service_account_file"`
	ServiceAccountEmail string `json:"service_account_email"`
	ServiceAccountKeyID string `json:"service_account_key_id"`
	ProjectID           string `json:"project_id"`

	VAPIDKeyFile   string `json:"vapid_key_file"`
	VAPIDPublicKey string `json:"vapid_public_key"` // base64url, what a browser calls applicationServerKey
}

// CredentialOptions name what credentials are for; the zero value takes the names that `pushgate dev` uses.
type CredentialOptions struct {
	TeamID    string `json:"team_id,omitempty"`    // ten capitals and digits
	Topic     string `json:"topic,omitempty"`      // bundle id
	ProjectID string `json:"project_id,omitempty"` // Firebase project
}

func (o CredentialOptions) withDefaults() CredentialOptions {
	if o.TeamID == "" {
		o.TeamID = "PUSHGATE42"
	}
	if o.Topic == "" {
		o.Topic = "com.example.pushgate.ios"
	}
	if o.ProjectID == "" {
		o.ProjectID = "pushgate-sim"
	}
	return o
}

// WriteCredentials makes a fresh set of credentials, trusts them beside those made before, and writes them to dir.
func (s *Simulator) WriteCredentials(dir string) (Credentials, error) {
	return s.WriteCredentialsFor(dir, CredentialOptions{})
}

// WriteCredentialsFor is WriteCredentials with names of one's own.
func (s *Simulator) WriteCredentialsFor(dir string, o CredentialOptions) (Credentials, error) {
	set, err := s.makeCredentials(o.withDefaults())
	if err != nil {
		return Credentials{}, fmt.Errorf("make credentials: %w", err)
	}
	return set.write(dir)
}

// credentialSet is a set with its files' contents: what the control API sends and WriteCredentials writes.
type credentialSet struct {
	Credentials Credentials       `json:"credentials"` // file names without a folder
	Files       map[string][]byte `json:"files"`
}

func (c *credentialSet) add(field *string, name string, content []byte) {
	*field = name
	c.Files[name] = content
}

func (c *credentialSet) write(dir string) (Credentials, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Credentials{}, fmt.Errorf("make credentials folder: %w", err)
	}
	for name, content := range c.Files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o600); err != nil {
			return Credentials{}, fmt.Errorf("write credentials: %w", err)
		}
	}
	out := c.Credentials
	for _, file := range []*string{
		&out.CAFile, &out.APNsKeyFile, &out.APNsP12File, &out.APNsP12PasswordFile, &out.APNsPEMFile,
		&out.ServiceAccountFile, &out.VAPIDKeyFile,
	} {
		*file = filepath.Join(dir, filepath.Base(*file))
	}
	return out, nil
}

func (s *Simulator) makeCredentials(o CredentialOptions) (*credentialSet, error) {
	set := &credentialSet{Files: map[string][]byte{}}
	set.add(&set.Credentials.CAFile, "ca.pem", s.CAPEM())
	for _, add := range []func(*credentialSet, CredentialOptions) error{
		s.makeAPNsKey, s.makeAPNsCertificate, s.makeServiceAccount, s.makeVAPIDKey,
	} {
		if err := add(set, o); err != nil {
			return nil, err
		}
	}
	return set, nil
}

func (s *Simulator) makeAPNsKey(set *credentialSet, o CredentialOptions) error {
	key, block, err := newECKey()
	if err != nil {
		return err
	}
	c := &set.Credentials
	c.APNsKeyID, c.APNsTeamID = randomText(10, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), o.TeamID
	set.add(&c.APNsKeyFile, "AuthKey_"+c.APNsKeyID+".p8", block)
	s.trust.mu.Lock()
	defer s.trust.mu.Unlock()
	s.trust.apnsKeys[c.APNsKeyID] = apnsKey{&key.PublicKey, o.TeamID}
	return nil
}

func (s *Simulator) makeAPNsCertificate(set *credentialSet, o CredentialOptions) error {
	leaf, err := s.authority.clients.client(o.Topic)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	password := randomText(16, "abcdefghijkmnpqrstuvwxyz23456789")
	p12, err := pkcs12.Encode(leaf.cert.Raw, pkcs8, password)
	if err != nil {
		return err
	}
	c := &set.Credentials
	c.APNsTopic, c.APNsCertSerial = o.Topic, serialText(leaf.cert)
	set.add(&c.APNsP12File, "apns.p12", p12)
	set.add(&c.APNsP12PasswordFile, "apns.p12.password", []byte(password+"\n"))
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	set.add(&c.APNsPEMFile, "apns.pem", append(leaf.pem(), block...))
	s.trust.mu.Lock()
	defer s.trust.mu.Unlock()
	s.trust.certificates[c.APNsCertSerial] = false
	return nil
}

func (s *Simulator) makeServiceAccount(set *credentialSet, o CredentialOptions) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make service account key: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	c := &set.Credentials
	c.ProjectID, c.ServiceAccountKeyID = o.ProjectID, randomText(40, "0123456789abcdef")
	c.ServiceAccountEmail = "firebase-adminsdk-" + c.ServiceAccountKeyID[:5] + "@" + o.ProjectID + ".iam.gserviceaccount.com"
	file, err := json.MarshalIndent(map[string]string{
		"type":                        "service_account",
		"project_id":                  o.ProjectID,
		"private_key_id":              c.ServiceAccountKeyID,
		"private_key":                 string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
		"client_email":                c.ServiceAccountEmail,
		"client_id":                   randomText(21, "123456789"),
		"auth_uri":                    "https://accounts.google.com/o/oauth2/auth",
		"token_uri":                   s.TokenURL(),
		"auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
		"universe_domain":             "googleapis.com",
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write service account: %w", err)
	}
	set.add(&c.ServiceAccountFile, "service-account.json", file)
	s.trust.mu.Lock()
	defer s.trust.mu.Unlock()
	s.trust.accounts[c.ServiceAccountEmail] = serviceAccount{&key.PublicKey, c.ServiceAccountKeyID, o.ProjectID}
	return nil
}

func (s *Simulator) makeVAPIDKey(set *credentialSet, _ CredentialOptions) error {
	key, block, err := newECKey()
	if err != nil {
		return err
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return fmt.Errorf("write VAPID key: %w", err)
	}
	c := &set.Credentials
	c.VAPIDPublicKey = base64.RawURLEncoding.EncodeToString(public)
	set.add(&c.VAPIDKeyFile, "vapid.pem", block)
	s.trust.mu.Lock()
	defer s.trust.mu.Unlock()
	s.trust.vapid[c.VAPIDPublicKey] = false
	return nil
}

// newECKey makes a P-256 key and its PKCS #8 file, the shape of Apple's .p8.
func newECKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("write key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func randomText(n int, alphabet string) string {
	var b strings.Builder
	for range n {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		b.WriteByte(alphabet[i.Int64()])
	}
	return b.String()
}

// newUUID is a random lower-case UUID.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // does not fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
