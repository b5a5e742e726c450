package config

import (
	"fmt"
	"net/url"
)

// Auth says whose bearer tokens the client APIs believe. Per realm the first source that knows a token wins.
type Auth struct {
	// TokensFile is a YAML list of {token_sha256, user_id, device_id}.
	TokensFile string     `yaml:"tokens_file"`
	JWT        []JWT      `yaml:"jwt"`
	Matrix     AuthMatrix `yaml:"matrix"`
}

// JWT is one issuer of signed tokens. The issuer's keys come from JWKSURL or from JWKSFile.
type JWT struct {
	Realm     string `yaml:"realm"`   // matrix or fachdienst
	IDType    string `yaml:"id_type"` // kvnr or telematik-id, for the realm fachdienst
	Issuer    string `yaml:"issuer"`
	Audience  string `yaml:"audience"`
	JWKSURL   string `yaml:"jwks_url"`
	JWKSFile  string `yaml:"jwks_file"`
	UserClaim string `yaml:"user_claim"`
	// Require names claims and the values they must have; another value is 403.
	Require map[string]string `yaml:"require"`
}

// AuthMatrix asks a homeserver who a token belongs to.
type AuthMatrix struct {
	HomeserverURL string `yaml:"homeserver_url"`
}

func defaultJWT() JWT { return JWT{Realm: "fachdienst", IDType: "kvnr", UserClaim: "sub"} }

// Check reports every problem with its path in the section. What is merely missing counts only when used is true: with
// a role that reads tokens.
func (a Auth) Check(used bool, report func(path, problem string)) {
	if used && a.TokensFile != "" {
		checkReadable("tokens_file", a.TokensFile, report)
	}
	for i, j := range a.JWT {
		j.check(used, func(path, problem string) { report(fmt.Sprintf("jwt[%d].%s", i, path), problem) })
	}
	if u := a.Matrix.HomeserverURL; u != "" && !isWebURL(u, "https", "http") {
		report("matrix.homeserver_url", "must be a URL like https://matrix.example.com")
	}
}

func (j JWT) check(used bool, report func(path, problem string)) {
	if !oneOf(j.Realm, "matrix", "fachdienst") {
		report("realm", "must be matrix or fachdienst")
	}
	if j.Realm == "fachdienst" && !oneOf(j.IDType, "kvnr", "telematik-id") {
		report("id_type", "must be kvnr or telematik-id")
	}
	if j.UserClaim == "" {
		report("user_claim", "is missing")
	}
	if j.JWKSURL != "" && !isWebURL(j.JWKSURL, "https") {
		report("jwks_url", "must be an https URL")
	}
	if !used {
		return
	}
	if j.Issuer == "" {
		report("issuer", "is missing")
	}
	if j.Audience == "" {
		report("audience", "is missing: without it a token for another service would do")
	}
	switch {
	case (j.JWKSURL == "") == (j.JWKSFile == ""):
		report("", "needs exactly one of jwks_url and jwks_file")
	case j.JWKSFile != "":
		checkReadable("jwks_file", j.JWKSFile, report)
	}
}

func isWebURL(text string, schemes ...string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && oneOf(u.Scheme, schemes...)
}
