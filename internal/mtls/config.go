package mtls

import (
	"errors"
	"io/fs"
)

// ServerConfig names the files of a TLS listener. All are PEM; the list of revoked certificates may be DER.
type ServerConfig struct {
	// CertFile holds the listener's certificate, followed by its intermediates; KeyFile the private key.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCAFile holds the authorities whose client certificates are accepted. Empty: client certificates are not asked for.
	ClientCAFile string `yaml:"client_ca_file"`
	// CRLFile holds the revocation lists of these authorities, of each one. Once set, a client certificate is refused
	// when its issuer has no list in the file or an outdated one.
	CRLFile string `yaml:"crl_file"`
}

// Check reports every problem with its path in the section. It reads the files.
func (c ServerConfig) Check(report func(path, problem string)) {
	checkPair(c.CertFile, c.KeyFile, report)
	if c.CRLFile != "" && c.ClientCAFile == "" {
		report("crl_file", "needs client_ca_file")
	}
	checkTrust("client_ca_file", c.ClientCAFile, c.CRLFile, report)
}

// ClientConfig names the files that we call other servers with. Everything is optional.
type ClientConfig struct {
	// CertFile and KeyFile identify us.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// CAFile holds the authorities that the other side's certificate must come from; empty means the system's.
	CAFile string `yaml:"ca_file"`
	// CRLFile holds the revocation lists of these authorities. Once set, a server whose issuers have no current list in
	// the file is not talked to (hard fail, gematik A_27857).
	CRLFile string `yaml:"crl_file"`
}

// Check reports every problem with its path in the section. It reads the files.
func (c ClientConfig) Check(report func(path, problem string)) {
	if c.CertFile != "" || c.KeyFile != "" {
		checkPair(c.CertFile, c.KeyFile, report)
	}
	checkTrust("ca_file", c.CAFile, c.CRLFile, report)
}

func checkPair(certFile, keyFile string, report func(path, problem string)) {
	if certFile == "" {
		report("cert_file", "is missing")
	}
	if keyFile == "" {
		report("key_file", "is missing")
	}
	if certFile == "" || keyFile == "" {
		return
	}
	if _, err := loadPair(certFile, keyFile); err != nil {
		reportFile(err, report)
	}
}

func checkTrust(caKey, caFile, crlFile string, report func(path, problem string)) {
	if caFile != "" {
		if _, err := loadAuthorities(caKey, caFile); err != nil {
			reportFile(err, report)
		}
	}
	if crlFile != "" {
		if _, err := loadRevocations(crlFile); err != nil {
			reportFile(err, report)
		}
	}
}

// fileError is a problem with one of the configured files. Its text names the key, never what the file holds.
type fileError struct {
	key     string // cert_file, ...
	problem string
	err     error
}

// Error returns "key: problem".
func (e *fileError) Error() string { return e.key + ": " + e.problem }

// Unwrap returns the cause.
func (e *fileError) Unwrap() error { return e.err }

func unreadable(key string, err error) *fileError {
	if errors.Is(err, fs.ErrNotExist) {
		return &fileError{key, "no such file", err}
	}
	return &fileError{key, "not readable", err}
}

func reportFile(err error, report func(path, problem string)) {
	if f, ok := errors.AsType[*fileError](err); ok {
		report(f.key, f.problem)
		return
	}
	report("", "cannot be loaded")
}
