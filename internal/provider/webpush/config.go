package webpush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxTTL is the longest time a push service is asked to keep a message; services cut more than that off silently.
const maxTTL = 28 * 24 * time.Hour

// Config is the webpush section of an app.
type Config struct {
	// VAPIDPrivateKeyFile holds the P-256 key that the browser subscribed with: PEM (SEC 1 or PKCS #8) or one line of Base64.
	VAPIDPrivateKeyFile string `yaml:"vapid_private_key_file"`
	// Contact is the mailto: or https: address that a push service writes to when something is wrong (RFC 8292 2.1).
	Contact string `yaml:"contact"`
	// TTL is how long a push service keeps a message for a browser that is offline (RFC 8030 5.2).
	TTL time.Duration `yaml:"ttl"`
	// AllowedHosts are host names or globs (*.example.com) that a subscription's endpoint may name. Empty means the known
	// push services. An entry may carry a port; without one only 443 is allowed.
	AllowedHosts []string `yaml:"allowed_hosts"`
	// CAFile holds further certificate authorities (PEM) for push services inside the house and for simulators; empty
	// trusts the system's only.
	CAFile string `yaml:"ca_file"`
	// MaxInFlight bounds requests under way for this app.
	MaxInFlight int `yaml:"max_in_flight"`
}

// DefaultConfig returns what an empty section means.
func DefaultConfig() Config {
	return Config{TTL: 24 * time.Hour, MaxInFlight: 1000}
}

// Check reports every problem of the section.
func (c Config) Check(report func(path, problem string)) {
	if c.VAPIDPrivateKeyFile == "" {
		report("vapid_private_key_file", "is required")
	} else if _, err := readKey(c.VAPIDPrivateKeyFile); err != nil {
		report("vapid_private_key_file", err.Error())
	}
	if !strings.HasPrefix(c.Contact, "mailto:") && !strings.HasPrefix(c.Contact, "https://") {
		report("contact", "must begin with mailto: or https://")
	}
	if c.TTL < 0 || c.TTL > maxTTL {
		report("ttl", "must be between 0s and 672h")
	}
	if c.MaxInFlight < 1 {
		report("max_in_flight", "must be at least 1")
	}
	if _, err := c.TLS(); err != nil {
		report("ca_file", err.Error())
	}
	for i, h := range c.AllowedHosts {
		if !isHostPattern(h) {
			report(fmt.Sprintf("allowed_hosts[%d]", i), "must be a host name, *.host or *, with an optional port")
		}
	}
}

// isHostPattern reports whether an entry of allowed_hosts can fit anything.
func isHostPattern(entry string) bool {
	name := entry
	if host, port, err := net.SplitHostPort(entry); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return false
		}
		name = host
	} else if strings.Contains(entry, ":") {
		return false
	}
	rest := strings.TrimPrefix(name, "*.")
	return name == "*" || rest != "" && !strings.ContainsAny(rest, "*/@?#% ")
}

// TLS returns what the HTTP client needs to trust.
func (c Config) TLS() (*tls.Config, error) {
	if c.CAFile == "" {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, errors.New("is not readable")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// Ports returns the ports besides 443 that allowed_hosts names.
func (c Config) Ports() []uint16 {
	var ports []uint16
	for _, h := range c.AllowedHosts {
		if _, p, err := net.SplitHostPort(h); err == nil {
			if n, err := strconv.ParseUint(p, 10, 16); err == nil {
				ports = append(ports, uint16(n))
			}
		}
	}
	return ports
}

// Fingerprint changes whenever a setting or the key changes. It holds no part of the key.
func (c Config) Fingerprint() string {
	content := func(file string) [sha256.Size]byte {
		text, err := os.ReadFile(file)
		if err != nil {
			text = nil // counts as empty: New reports it
		}
		return sha256.Sum256(text)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "webpush %q %d %q %x %x", c.Contact, c.TTL, c.AllowedHosts, content(c.VAPIDPrivateKeyFile), content(c.CAFile)))
	return hex.EncodeToString(sum[:])
}

var errKeyShape = errors.New("is not a P-256 private key (PEM, or 32 bytes in Base64)")

// readKey reads a VAPID key in any of the shapes operators have. Its errors never hold the file's content.
func readKey(file string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, errors.New("is not readable")
	}
	if block, _ := pem.Decode(text); block != nil {
		return keyFromDER(block.Bytes)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if err != nil {
		return nil, errKeyShape
	}
	if len(raw) == 32 {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
		if err != nil {
			return nil, errKeyShape
		}
		return key, nil
	}
	return keyFromDER(raw)
}

func keyFromDER(der []byte) (*ecdsa.PrivateKey, error) {
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		any, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, errKeyShape
		}
		ec, ok := any.(*ecdsa.PrivateKey)
		if !ok {
			return nil, errKeyShape
		}
		key = ec
	}
	if key.Curve != elliptic.P256() {
		return nil, errKeyShape
	}
	return key, nil
}
