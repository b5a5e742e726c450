package auth

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"

	"github.com/pushgate/pushgate/internal/push"
)

// Config is the section auth. Per realm the first source that knows a token wins: the file, the issuers in their order,
// the homeserver.
type Config struct {
	// TokensFile is a YAML list of {token_sha256, user_id, device_id}: only hashes, and user ids as ParseUser reads them.
	TokensFile string `yaml:"tokens_file"`
	// JWT lists issuers of signed tokens.
	JWT []JWTConfig `yaml:"jwt"`
	// Matrix is the homeserver whose tokens count in the Matrix realm.
	Matrix MatrixConfig `yaml:"matrix"`
}

// JWTConfig is one issuer.
type JWTConfig struct {
	Realm push.Realm `yaml:"realm"`
	// IDType says what UserClaim holds in the Fachdienst realm: kvnr or telematik-id. The Matrix realm has none.
	IDType string `yaml:"id_type"`
	// Issuer must equal iss. Audience must be among aud: without it a token for another service would do here.
	Issuer   string `yaml:"issuer"`
	Audience string `yaml:"audience"`
	// JWKSURL or JWKSFile is where the public keys are. The file is read again on reload.
	JWKSURL  string `yaml:"jwks_url"`
	JWKSFile string `yaml:"jwks_file"`
	// UserClaim names the person: a KVNR, a Telematik-ID or a Matrix user id.
	UserClaim string `yaml:"user_claim"`
	// Require names claims and the text that each must be, or hold in a list; else 403 (A_28112, E-Rezept: invalidOid).
	Require map[string]string `yaml:"require"`
}

// MatrixConfig names the homeserver.
type MatrixConfig struct {
	// HomeserverURL is the base of its client API; empty: off. Plain http is for a homeserver on the same network.
	HomeserverURL string `yaml:"homeserver_url"`
}

// DefaultConfig returns the section of a file that does not mention it: nobody is known.
func DefaultConfig() Config { return Config{} }

// Serves reports whether a source is configured that may know tokens of a realm; without one everybody is unknown there.
func (c Config) Serves(realm push.Realm) bool {
	return c.TokensFile != "" || realm == push.RealmMatrix && c.Matrix.HomeserverURL != "" ||
		slices.ContainsFunc(c.JWT, func(j JWTConfig) bool { return j.Realm == realm })
}

// DefaultJWTConfig returns what one issuer starts from.
func DefaultJWTConfig() JWTConfig {
	return JWTConfig{Realm: push.RealmFachdienst, IDType: IDTypeKVNR, UserClaim: "sub"}
}

// normal fills what was left empty.
func (c JWTConfig) normal() JWTConfig {
	c.UserClaim = cmp.Or(c.UserClaim, "sub")
	if c.Realm == push.RealmFachdienst {
		c.IDType = cmp.Or(c.IDType, IDTypeKVNR)
	}
	return c
}

// Check reports every problem with its path in the section. It reads the files, so it belongs to roles that use tokens.
func (c Config) Check(report func(path, problem string)) {
	if c.TokensFile != "" {
		checkFile("tokens_file", c.TokensFile, report, func(text []byte) error {
			_, err := parseTokens(text)
			return err
		})
	}
	for i, j := range c.JWT {
		j.normal().check(func(path, problem string) { report(fmt.Sprintf("jwt[%d].%s", i, path), problem) })
	}
	if text := c.Matrix.HomeserverURL; text != "" {
		if u := webURL(text); u == nil || u.RawQuery != "" {
			report("matrix.homeserver_url", "must be a URL like https://matrix.example.com")
		}
	}
}

func (c JWTConfig) check(report func(path, problem string)) {
	if !c.Realm.Valid() {
		report("realm", "must be matrix or fachdienst")
	}
	if c.Realm == push.RealmFachdienst && !slices.Contains([]string{IDTypeKVNR, IDTypeTelematikID}, c.IDType) {
		report("id_type", "must be kvnr or telematik-id")
	}
	if c.Issuer == "" {
		report("issuer", "is missing")
	}
	if c.Audience == "" {
		report("audience", "is missing: without it a token for another service would do")
	}
	if (c.JWKSURL == "") == (c.JWKSFile == "") {
		report("jwks_url", "needs exactly one of jwks_url and jwks_file")
		return
	}
	if c.JWKSFile != "" {
		checkFile("jwks_file", c.JWKSFile, report, func(text []byte) error {
			_, err := parseKeySet(text)
			return err
		})
		return
	}
	// Whoever can change the keys on their way can be anybody, so plain http only goes to this machine.
	if u := webURL(c.JWKSURL); u == nil || u.Scheme != "https" && !loopback(u.Hostname()) {
		report("jwks_url", "must be an https URL")
	}
}

// checkFile reports a file that cannot be read or holds the wrong thing.
func checkFile(path, name string, report func(path, problem string), parse func([]byte) error) {
	text, err := os.ReadFile(name)
	if err != nil {
		report(path, "not readable")
		return
	}
	if err := parse(text); err != nil {
		report(path, err.Error())
	}
}

// webURL returns nil for what is no http or https URL, or holds a user name or a fragment.
func webURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil
	}
	return u
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
