package apns

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Apple's hosts. Both also listen on port 2197.
const (
	hostProduction = "https://api.push.apple.com"
	hostSandbox    = "https://api.sandbox.push.apple.com"
)

// The environments. A device token belongs to one of them: development builds get sandbox tokens.
const (
	environmentProduction = "production"
	environmentSandbox    = "sandbox"
)

// Config is the apns section of one app. Exactly one credential is set: key_file (with key_id and team_id) or cert_file.
type Config struct {
	// Topic is the bundle id. With a certificate it may be left out: the certificate's UID names it.
	Topic string `yaml:"topic"`
	// Environment is production or sandbox.
	Environment string `yaml:"environment"`

	// KeyFile is the .p8 file from Apple's developer site, KeyID (10 characters) is in its name, TeamID (10 characters) on
	// the membership page.
	KeyFile string `yaml:"key_file"`
	KeyID   string `yaml:"key_id"`
	TeamID  string `yaml:"team_id"`

	// CertFile is a certificate with its private key: PKCS#12 (.p12, .pfx) or PEM with both in one file. CertPasswordFile
	// holds its password; one line end at its end is dropped.
	CertFile         string `yaml:"cert_file"`
	CertPasswordFile string `yaml:"cert_password_file"`

	// PushType is apns-push-type of everything this app gets. For voip and the other types with a topic of their own the
	// suffix (.voip) is added to Topic unless it is there.
	PushType string `yaml:"push_type"`

	// Endpoint (https://host:port) and CAFile replace Apple's host and the system's authorities: a simulator.
	Endpoint string `yaml:"endpoint"`
	CAFile   string `yaml:"ca_file"`

	// MaxInFlight bounds the requests of this app that are under way at once. The gateway keeps to it; connections are
	// opened for so many.
	MaxInFlight int `yaml:"max_in_flight"`

	EncryptedAlert EncryptedAlert `yaml:"encrypted_alert"`
}

// EncryptedAlert is what a phone shows if the app cannot decrypt in time. It is the same for everybody, so keep it
// neutral. Without an alert iOS does not start the app's extension at all, hence Body must not be empty.
type EncryptedAlert struct {
	Title string `yaml:"title"`
	Body  string `yaml:"body"`
}

// DefaultConfig returns the settings that apply where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Environment:    environmentProduction,
		PushType:       pushTypeAlert,
		MaxInFlight:    1000,
		EncryptedAlert: EncryptedAlert{Body: "New notification"},
	}
}

// maxInFlightLimit keeps a typing error from opening connections without end.
const maxInFlightLimit = 100_000

// maxAlert leaves the encrypted payload (1404 characters of ciphertext and four names) far below Apple's limit.
const maxAlert = 512

// Check reports every problem with its path below this struct. It reads the files that the settings name.
func (c Config) Check(report func(path, problem string)) {
	if c.Environment != environmentProduction && c.Environment != environmentSandbox {
		report("environment", "must be production or sandbox")
	}
	if _, ok := pushTypes()[c.PushType]; !ok {
		report("push_type", "unknown: must be one of "+strings.Join(pushTypeNames(), ", "))
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > maxInFlightLimit {
		report("max_in_flight", fmt.Sprintf("must be between 1 and %d", maxInFlightLimit))
	}
	if c.Topic != "" && !isTopic(c.Topic) {
		report("topic", "must be a bundle id: letters, digits, dots and hyphens")
	}
	if problem := topicProblem(c.Topic, c.PushType); problem != "" {
		report("push_type", problem)
	}
	if c.EncryptedAlert.Body == "" {
		report("encrypted_alert.body", "must not be empty: without an alert iOS does not start the app's extension")
	}
	if len(c.EncryptedAlert.Title)+len(c.EncryptedAlert.Body) > maxAlert {
		report("encrypted_alert", fmt.Sprintf("title and body together may have %d bytes", maxAlert))
	}
	c.checkEndpoint(report)
	c.checkCredentials(report)
}

func (c Config) checkEndpoint(report func(path, problem string)) {
	if c.Endpoint != "" {
		if problem := endpointProblem(c.Endpoint); problem != "" {
			report("endpoint", problem)
		}
	}
	if c.CAFile != "" {
		if _, err := c.loadAuthorities(); err != nil {
			report("ca_file", err.Error())
		}
	}
}

func (c Config) checkCredentials(report func(path, problem string)) {
	switch {
	case c.KeyFile == "" && c.CertFile == "":
		report("key_file", "missing: set key_file (with key_id and team_id) or cert_file")
	case c.KeyFile != "" && c.CertFile != "":
		report("cert_file", "set key_file or cert_file, not both")
	}
	if c.KeyFile != "" {
		if _, err := c.loadKey(); err != nil {
			report("key_file", err.Error())
		}
	}
	if c.KeyFile != "" || c.KeyID != "" || c.TeamID != "" {
		for _, id := range []struct{ path, value string }{{"key_id", c.KeyID}, {"team_id", c.TeamID}} {
			if problem := idProblem(id.value, c.KeyFile != ""); problem != "" {
				report(id.path, problem)
			}
		}
	}
	if c.CertFile == "" && c.CertPasswordFile != "" {
		report("cert_password_file", "belongs to cert_file, which is not set")
	}
	if c.CertFile != "" {
		c.checkCertificate(report)
	} else if c.Topic == "" {
		report("topic", "missing")
	}
	if c.CertFile != "" && (c.PushType == "location" || c.PushType == "liveactivity") {
		report("push_type", c.PushType+" works with key_file only")
	}
}

func (c Config) checkCertificate(report func(path, problem string)) {
	if _, err := c.password(); err != nil {
		report("cert_password_file", err.Error())
		return
	}
	cert, err := c.loadCertificate()
	if err != nil {
		report("cert_file", err.Error())
		return
	}
	if c.Topic != "" {
		return
	}
	topic := certificateTopic(cert.Leaf)
	if topic == "" {
		report("topic", "missing, and the certificate's subject has no UID to take it from")
	}
	if problem := topicProblem(topic, c.PushType); problem != "" {
		report("push_type", problem+" (the topic is the certificate's UID)")
	}
}

// idProblem checks a key id or team id: 10 upper-case letters and digits.
func idProblem(id string, needed bool) string {
	switch {
	case !needed && id != "":
		return "belongs to key_file, which is not set"
	case needed && id == "":
		return "missing"
	case needed && (len(id) != 10 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != ""):
		return "must be 10 upper-case letters and digits"
	}
	return ""
}

// isTopic reports whether s can be a bundle id, so that it cannot break a header either.
func isTopic(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 255
}

// endpointProblem says why an endpoint is not https://host[:port], empty if it is.
func endpointProblem(endpoint string) string {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "must be https://host:port"
	case u.Scheme != "https" || u.Hostname() == "":
		return "must be https://host:port"
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "must be https://host:port and nothing behind it"
	}
	return ""
}

// host returns the base of every URL, without a slash at its end.
func (c Config) host() string {
	switch {
	case c.Endpoint != "":
		return strings.TrimSuffix(c.Endpoint, "/")
	case c.Environment == environmentSandbox:
		return hostSandbox
	default:
		return hostProduction
	}
}

// Fingerprint returns a hash of all these settings and of the files they name, as text. When it differs from the last
// one, the app has to be made anew and guarded verdicts found before count no more. A file that cannot be read counts as
// such: New reports it.
func (c Config) Fingerprint() string {
	h := sha256.New()
	for _, part := range []string{
		"apns 1", c.host(), c.Topic, c.PushType, c.KeyID, c.TeamID, strconv.Itoa(c.MaxInFlight),
		c.EncryptedAlert.Title, c.EncryptedAlert.Body,
	} {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	for _, file := range []string{c.KeyFile, c.CertFile, c.CertPasswordFile, c.CAFile} {
		fingerprintFile(h, file)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func fingerprintFile(h io.Writer, file string) {
	if file == "" {
		_, _ = io.WriteString(h, "-,")
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		_, _ = io.WriteString(h, "?,")
		return
	}
	_, _ = fmt.Fprintf(h, "%d:%s,", len(text), text)
}
