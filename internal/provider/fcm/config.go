package fcm

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// defaultMaxInFlight matches an HTTP/2 stream limit of 1,000 on one connection, and 10,000 messages a second at 100 ms:
// FCM's default project quota (600,000 a minute).
const defaultMaxInFlight = 1000

// The longest credential file that makes sense; a service account is about 2.4 KB, a CA bundle about 250 KB.
const maxFileBytes = 1 << 20

// Config is the fcm section of one app.
type Config struct {
	// ProjectID is the Firebase project that the app's tokens belong to, part of the request's path.
	ProjectID string `yaml:"project_id"`
	// ServiceAccountFile is the JSON key file of a service account that may send messages in that project.
	ServiceAccountFile string `yaml:"service_account_file"`
	// Endpoint points at a simulator: https://host:port, no path. Empty is Google. Only with an endpoint may the
	// service account's token_uri leave Google's hosts.
	Endpoint string `yaml:"endpoint"`
	// CAFile replaces the system's certificate authorities, for FCM and for the token endpoint.
	CAFile string `yaml:"ca_file"`
	// Options is merged below each FCM message, as Sygnal's fcm_options is: members of the v1 message, snake or camel
	// case. android.priority is always the notification's, members of data give way to the notification's.
	Options map[string]any `yaml:"options"`
	// MaxInFlight bounds concurrent requests of this app. The gateway keeps it.
	MaxInFlight int `yaml:"max_in_flight"`
}

// DefaultConfig returns the settings that an operator need not give.
func DefaultConfig() Config { return Config{MaxInFlight: defaultMaxInFlight} }

// Check reports every problem with its path below the fcm section. It reads the files, and never puts anything
// from a credential into a report.
func (c Config) Check(report func(path, problem string)) {
	checkProject(c.ProjectID, report)
	if c.Endpoint != "" {
		if err := checkEndpoint(c.Endpoint); err != nil {
			report("endpoint", err.Error())
		}
	}
	if c.ServiceAccountFile == "" {
		report("service_account_file", "is missing")
	} else if raw, err := readFile(c.ServiceAccountFile); err != nil {
		report("service_account_file", err.Error())
	} else {
		checkAccount(raw, c.Endpoint != "", func(problem string) { report("service_account_file", problem) })
	}
	if _, err := c.authorities(); err != nil {
		report("ca_file", err.Error())
	}
	checkOptions(c.Options, report)
	if c.MaxInFlight < 1 {
		report("max_in_flight", "must be at least 1")
	}
}

// Fingerprint is a hash of all that an answer of FCM can depend on: settings, credential, authorities. Not of
// max_in_flight: tuning says nothing about what was learnt of tokens. A file that cannot be read counts as empty.
func (c Config) Fingerprint() string {
	h := sha256.New()
	part := func(b []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		_, _ = h.Write(size[:])
		_, _ = h.Write(b)
	}
	part([]byte("fcm"))
	part([]byte(c.ProjectID))
	part([]byte(c.Endpoint))
	options, err := json.Marshal(c.Options) // sorts members, so equal options have equal bytes
	if err != nil {
		options = nil
	}
	part(options)
	for _, path := range []string{c.ServiceAccountFile, c.CAFile} {
		raw, err := readFile(path)
		if err != nil {
			raw = nil
		}
		part(raw)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// authorities returns the pool of ca_file, nil (the system's) without one.
func (c Config) authorities() (*x509.CertPool, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	raw, err := readFile(c.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}

// checkProject keeps the id from changing the request's path. Google's own rules (6 to 30 characters, domain-scoped
// ids with a colon) are Google's to judge.
func checkProject(id string, report func(path, problem string)) {
	if id == "" {
		report("project_id", "is missing")
		return
	}
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._:", r) {
			report("project_id", "may hold letters, digits and -._: only")
			return
		}
	}
	if strings.Trim(id, ".") == "" {
		report("project_id", "is not a project id")
	}
}

func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("must be https://host:port")
	}
	if u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be https://host:port, without user, path or query")
	}
	return nil
}

// readFile reads a small file. Its errors name the reason only: the path is the operator's own setting.
func readFile(path string) ([]byte, error) {
	if path == "" {
		return nil, errors.New("is missing")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if len(raw) > maxFileBytes {
		return nil, fmt.Errorf("is longer than %d bytes", maxFileBytes)
	}
	return raw, nil
}

func unreadable(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Errorf("not readable: %w", err)
}
