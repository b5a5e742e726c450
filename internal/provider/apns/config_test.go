package apns

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"software.sslmate.com/src/go-pkcs12"
)

// problems returns what Check reports, as "path: problem".
func problems(cfg Config) []string {
	var all []string
	cfg.Check(func(path, problem string) { all = append(all, path+": "+problem) })
	return all
}

func TestConfig_Good(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	key := newKey(t, elliptic.P256())
	cert := ca.issue(t, "com.example.app", key)
	certConfig := func(file, password string) Config {
		cfg := DefaultConfig()
		cfg.CertFile = file
		if password != "" {
			cfg.CertPasswordFile = writeFile(t, "password", []byte(password+"\n"))
		}
		return cfg
	}
	both := append(pemBlock("CERTIFICATE", cert.Certificate[0]), pemBlock("PRIVATE KEY", pkcs8(t, key))...)
	sec1, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	simulator := tokenConfig(t)
	simulator.Endpoint, simulator.CAFile, simulator.Environment = "https://127.0.0.1:2197", ca.file, "sandbox"

	for name, cfg := range map[string]Config{
		"key":                      tokenConfig(t),
		"simulator":                simulator,
		"PKCS#12 of Keychain":      certConfig(p12(t, pkcs12.LegacyDES, cert, nil, "secret"), "secret"),
		"PKCS#12 of OpenSSL 3":     certConfig(p12(t, pkcs12.Modern2023, cert, nil, "secret"), "secret"),
		"PKCS#12 with a chain":     certConfig(p12(t, pkcs12.Modern2023, cert, []*x509.Certificate{ca.cert}, "s"), "s"),
		"PKCS#12 with no password": certConfig(p12(t, pkcs12.Modern2023, cert, nil, ""), ""),
		"PEM":                      certConfig(writeFile(t, "cert.pem", both), ""),
		"PEM, key first, SEC 1":    certConfig(writeFile(t, "cert.pem", append(pemBlock("EC PRIVATE KEY", sec1), pemBlock("CERTIFICATE", cert.Certificate[0])...)), ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, problems(cfg))
			c, err := New(cfg, Options{})
			require.NoError(t, err)
			require.Equal(t, "com.example.app", c.topic)
			if cfg.CertFile != "" {
				require.Equal(t, cert.Leaf.NotAfter, c.Credential().CertificateExpires)
				require.Zero(t, c.Credential().TokenIssued)
			} else {
				require.Zero(t, c.Credential().CertificateExpires)
				require.NotZero(t, c.Credential().TokenIssued)
			}
			require.NoError(t, c.Close())
		})
	}
}

func TestConfig_EncryptedPEMKey(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	cert := newAuthority(t).issue(t, "com.example.app", key)
	//nolint:staticcheck // weak as it is, operators have such files
	block, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), []byte("secret"), x509.PEMCipherAES256)
	require.NoError(t, err)
	cfg := DefaultConfig()
	cfg.CertFile = writeFile(t, "cert.pem", append(pemBlock("CERTIFICATE", cert.Certificate[0]), pem.EncodeToMemory(block)...))
	cfg.CertPasswordFile = writeFile(t, "password", []byte("secret\r\n"))
	require.Empty(t, problems(cfg))

	// The format has no checksum: about one wrong password in 256 seems to fit.
	padded, unpadded := "", ""
	for i := 0; padded == "" || unpadded == ""; i++ {
		require.Less(t, i, 10_000)
		//nolint:staticcheck // weak as it is, operators have such files
		if _, err := x509.DecryptPEMBlock(block, []byte(strconv.Itoa(i))); err == nil {
			padded = strconv.Itoa(i)
		} else {
			unpadded = strconv.Itoa(i)
		}
	}
	for _, wrong := range []string{padded, unpadded} {
		cfg.CertPasswordFile = writeFile(t, "password", []byte(wrong))
		require.Equal(t, []string{"cert_file: wrong password"}, problems(cfg))
	}
}

func TestConfig_EveryProblemIsReported(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	key := newKey(t, elliptic.P256())
	cert := ca.issue(t, "", key)
	certPEM := pemBlock("CERTIFICATE", cert.Certificate[0])
	voipCert := p12(t, pkcs12.Modern2023, ca.issue(t, "com.example.app.voip", key), nil, "")
	good := tokenConfig(t)
	edit := func(change func(*Config)) Config {
		cfg := good
		change(&cfg)
		return cfg
	}
	certConfig := func(file string) Config {
		return edit(func(c *Config) {
			c.KeyFile, c.KeyID, c.TeamID, c.CertFile = "", "", "", file
		})
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)

	for name, test := range map[string]struct {
		cfg  Config
		want []string
	}{
		"nothing set": {Config{}, []string{
			"environment: must be production or sandbox",
			"push_type: unknown: must be one of alert, background, complication, controls, fileprovider, liveactivity, location, mdm, pushtotalk, voip, widgets",
			"max_in_flight: must be between 1 and 100000",
			"encrypted_alert.body: must not be empty: without an alert iOS does not start the app's extension",
			"key_file: missing: set key_file (with key_id and team_id) or cert_file",
			"topic: missing",
		}},
		"both credentials": {edit(func(c *Config) { c.CertFile = writeFile(t, "c.pem", certPEM) }), []string{
			"cert_file: set key_file or cert_file, not both", "cert_file: no private key in it: certificate and key belong in one PEM file",
		}},
		"no key file":             {edit(func(c *Config) { c.KeyFile = "/nonexistent/key.p8" }), []string{"key_file: not readable: no such file or directory"}},
		"key file is a folder":    {edit(func(c *Config) { c.KeyFile = t.TempDir() }), []string{"key_file: not readable: is a directory"}},
		"key file is no PEM":      {edit(func(c *Config) { c.KeyFile = writeFile(t, "k", []byte("hello")) }), []string{"key_file: not a .p8 file: no PEM in it"}},
		"key file is no PKCS#8":   {edit(func(c *Config) { c.KeyFile = writeFile(t, "k", certPEM) }), []string{"key_file: not a .p8 file: no PKCS#8 key in it"}},
		"key is RSA":              {edit(func(c *Config) { c.KeyFile = p8(t, rsaKey) }), []string{"key_file: not an Apple key: must be ES256 (P-256)"}},
		"key is P-384":            {edit(func(c *Config) { c.KeyFile = p8(t, newKey(t, elliptic.P384())) }), []string{"key_file: not an Apple key: must be ES256 (P-256)"}},
		"ids missing":             {edit(func(c *Config) { c.KeyID, c.TeamID = "", "" }), []string{"key_id: missing", "team_id: missing"}},
		"ids of wrong shape":      {edit(func(c *Config) { c.KeyID, c.TeamID = "abc1234567", "TEAM" }), []string{"key_id: must be 10 upper-case letters and digits", "team_id: must be 10 upper-case letters and digits"}},
		"topic missing":           {edit(func(c *Config) { c.Topic = "" }), []string{"topic: missing"}},
		"topic that breaks lines": {edit(func(c *Config) { c.Topic = "a\r\nb" }), []string{"topic: must be a bundle id: letters, digits, dots and hyphens"}},
		"unknown environment":     {edit(func(c *Config) { c.Environment = "Production" }), []string{"environment: must be production or sandbox"}},
		"endpoint without TLS":    {edit(func(c *Config) { c.Endpoint = "http://127.0.0.1:1" }), []string{"endpoint: must be https://host:port"}},
		"endpoint with a path":    {edit(func(c *Config) { c.Endpoint = "https://127.0.0.1:1/3/device" }), []string{"endpoint: must be https://host:port and nothing behind it"}},
		"endpoint without a host": {edit(func(c *Config) { c.Endpoint = "https://" }), []string{"endpoint: must be https://host:port"}},
		"endpoint is nonsense":    {edit(func(c *Config) { c.Endpoint = "https://%zz" }), []string{"endpoint: must be https://host:port"}},
		"no CA file":              {edit(func(c *Config) { c.CAFile = "/nonexistent" }), []string{"ca_file: not readable: no such file or directory"}},
		"CA file without PEM":     {edit(func(c *Config) { c.CAFile = writeFile(t, "ca", []byte("x")) }), []string{"ca_file: no PEM certificate in it"}},
		"too many in flight":      {edit(func(c *Config) { c.MaxInFlight = 1_000_000 }), []string{"max_in_flight: must be between 1 and 100000"}},
		"endless alert":           {edit(func(c *Config) { c.EncryptedAlert.Title = strings.Repeat("x", 600) }), []string{"encrypted_alert: title and body together may have 512 bytes"}},
		"ids without a key":       {edit(func(c *Config) { c.KeyFile, c.CertFile = "", "/nonexistent" }), []string{"key_id: belongs to key_file, which is not set", "team_id: belongs to key_file, which is not set", "cert_file: not readable: no such file or directory"}},
		"password without a file": {edit(func(c *Config) { c.CertPasswordFile = "/nonexistent" }), []string{"cert_password_file: belongs to cert_file, which is not set"}},
		"password not readable":   {func() Config { c := certConfig("x"); c.CertPasswordFile = "/nonexistent"; return c }(), []string{"cert_password_file: not readable: no such file or directory"}},
		"certificate of nonsense": {certConfig(writeFile(t, "c", []byte("x"))), []string{"cert_file: not a PEM or PKCS#12 file with a certificate and its key"}},
		"certificate of another":  {certConfig(writeFile(t, "c", append(append([]byte(nil), certPEM...), pemBlock("PRIVATE KEY", pkcs8(t, rsaKey))...))), []string{"cert_file: certificate and private key do not belong together"}},
		"key without certificate": {certConfig(writeFile(t, "c", pemBlock("PRIVATE KEY", pkcs8(t, rsaKey)))), []string{"cert_file: no certificate in it"}},
		"wrong PKCS#12 password": {func() Config {
			c := certConfig(p12(t, pkcs12.Modern2023, cert, nil, "right"))
			c.CertPasswordFile = writeFile(t, "p", []byte("wrong"))
			return c
		}(), []string{"cert_file: wrong password"}},
		"no topic anywhere":                     {func() Config { c := certConfig(p12(t, pkcs12.Modern2023, cert, nil, "")); c.Topic = ""; return c }(), []string{"topic: missing, and the certificate's subject has no UID to take it from"}},
		"topic of calls, push type of messages": {edit(func(c *Config) { c.Topic += ".voip" }), []string{"push_type: alert does not go with the topic's ending .voip: set voip"}},
		"topic of another special type":         {edit(func(c *Config) { c.Topic += ".complication"; c.PushType = "voip" }), []string{"push_type: voip does not go with the topic's ending .complication: set complication"}},
		"certificate for calls":                 {func() Config { c := certConfig(voipCert); c.Topic = ""; return c }(), []string{"push_type: alert does not go with the topic's ending .voip: set voip (the topic is the certificate's UID)"}},
		"location needs a key": {func() Config {
			c := certConfig(p12(t, pkcs12.Modern2023, cert, nil, ""))
			c.PushType = "location"
			return c
		}(), []string{"push_type: location works with key_file only"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, problems(test.cfg))
		})
	}
}

func TestConfig_NewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"key":      func(c *Config) { c.KeyFile = "/nonexistent" },
		"ca":       func(c *Config) { c.CAFile = "/nonexistent" },
		"cert":     func(c *Config) { c.KeyFile, c.CertFile = "", "/nonexistent" },
		"endpoint": func(c *Config) { c.Endpoint = "https://" },
	} {
		cfg := tokenConfig(t)
		change(&cfg)
		_, err := New(cfg, Options{})
		require.Error(t, err, name)
	}
}

func TestConfig_Fingerprint(t *testing.T) {
	t.Parallel()
	base := tokenConfig(t)
	require.Equal(t, base.Fingerprint(), base.Fingerprint())
	require.Len(t, base.Fingerprint(), 64)

	seen := map[string]string{base.Fingerprint(): "base"}
	for name, change := range map[string]func(*Config){
		"topic":       func(c *Config) { c.Topic = "com.example.other" },
		"environment": func(c *Config) { c.Environment = "sandbox" },
		"endpoint":    func(c *Config) { c.Endpoint = "https://127.0.0.1:1" },
		"push type":   func(c *Config) { c.PushType = "voip" },
		"key id":      func(c *Config) { c.KeyID = "XYZ1234567" },
		"team id":     func(c *Config) { c.TeamID = "TEAM654321" },
		"in flight":   func(c *Config) { c.MaxInFlight = 5 },
		"alert title": func(c *Config) { c.EncryptedAlert.Title = "x" },
		"alert body":  func(c *Config) { c.EncryptedAlert.Body = "x" },
		"password":    func(c *Config) { c.CertPasswordFile = c.KeyFile },
		"authorities": func(c *Config) { c.CAFile = c.KeyFile },
		"certificate": func(c *Config) { c.CertFile = p8(t, newKey(t, elliptic.P256())) },
		"no key":      func(c *Config) { c.KeyFile = "" },
		"unreadable":  func(c *Config) { c.KeyFile = "/nonexistent" },
	} {
		cfg := base
		change(&cfg)
		require.NotContains(t, seen, cfg.Fingerprint(), "%s changes nothing", name)
		seen[cfg.Fingerprint()] = name
	}

	before := base.Fingerprint()
	require.NoError(t, os.WriteFile(base.KeyFile, pemBlock("PRIVATE KEY", pkcs8(t, newKey(t, elliptic.P256()))), 0o600))
	require.NotEqual(t, before, base.Fingerprint(), "a new key under the same name is noticed")
}

// TestTopicPushType: the ending says what a topic is for, and every push type goes with its own.
func TestTopicPushType(t *testing.T) {
	t.Parallel()
	for _, name := range pushTypeNames() {
		topic := topicFor("com.example.app", name)
		require.Empty(t, topicProblem(topic, name))
		require.Empty(t, topicProblem("com.example.app", name), "the ending is added")
		if topic == "com.example.app" {
			require.Empty(t, TopicPushType(topic), name)
			continue
		}
		require.Equal(t, name, TopicPushType(topic))
		require.NotEmpty(t, topicProblem(topic, pushTypeAlert))
		require.Empty(t, topicProblem(topic, "loud"), "said elsewhere")
	}
	require.Empty(t, TopicPushType("voip"))
	require.Empty(t, TopicPushType(""))
}

func TestTopicFor(t *testing.T) {
	t.Parallel()
	require.Equal(t, "com.example.app", topicFor("com.example.app", "alert"))
	require.Equal(t, "com.example.app.voip", topicFor("com.example.app", "voip"))
	require.Equal(t, "com.example.app.voip", topicFor("com.example.app.voip", "voip"))
	require.Equal(t, "com.example.app.voip-ptt", topicFor("com.example.app", "pushtotalk"))
	require.Equal(t, "com.example.app.pushkit.fileprovider", topicFor("com.example.app", "fileprovider"))
}
