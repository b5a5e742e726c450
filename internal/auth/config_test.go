package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

func problems(check func(func(path, problem string))) map[string]string {
	found := map[string]string{}
	check(func(path, problem string) { found[path] = problem })
	return found
}

func TestConfig_DefaultsAreGood(t *testing.T) {
	t.Parallel()
	require.Empty(t, problems(auth.DefaultConfig().Check))
	require.Empty(t, problems(auth.DefaultLimitsConfig().Check))
	require.Equal(t, auth.LimitsConfig{WritesPerUser: auth.Rate{Count: 10, Per: time.Second}, WritesPerAddress: auth.Rate{Count: 50, Per: time.Second}},
		auth.DefaultLimitsConfig())
	require.Equal(t, auth.JWTConfig{Realm: push.RealmFachdienst, IDType: "kvnr", UserClaim: "sub"}, auth.DefaultJWTConfig())
}

func TestConfig_ReportsEveryProblem(t *testing.T) {
	t.Parallel()
	good := jwtConfig(func(c *auth.JWTConfig) { c.JWKSURL = "https://idp.example.org/jwks.json?v=1" })
	bent := func(f func(*auth.JWTConfig)) auth.JWTConfig { c := good; f(&c); return c }
	c := auth.Config{
		TokensFile: t.TempDir() + "/none",
		JWT: []auth.JWTConfig{
			good,
			{JWKSURL: "https://idp.example.org/", JWKSFile: "x"},
			bent(func(c *auth.JWTConfig) { c.Realm, c.IDType = "other", "mail" }),
			bent(func(c *auth.JWTConfig) { c.IDType = "mail" }),
			bent(func(c *auth.JWTConfig) { c.JWKSURL = "http://idp.example.org/" }),
			bent(func(c *auth.JWTConfig) { c.JWKSURL = "http://127.0.0.1:8080/jwks.json" }),
			bent(func(c *auth.JWTConfig) { c.JWKSURL = "https://user@idp.example.org/" }),
			bent(func(c *auth.JWTConfig) { c.JWKSURL, c.JWKSFile = "", "none" }),
			bent(func(c *auth.JWTConfig) { c.JWKSURL = "" }),
			bent(func(c *auth.JWTConfig) { c.JWKSURL, c.JWKSFile = "", file(t, "{}") }),
		},
		Matrix: auth.MatrixConfig{HomeserverURL: "matrix.example.org"},
	}
	require.Equal(t, map[string]string{
		"tokens_file":           "not readable",
		"jwt[1].realm":          "must be matrix or fachdienst",
		"jwt[1].issuer":         "is missing",
		"jwt[1].audience":       "is missing: without it a token for another service would do",
		"jwt[1].jwks_url":       "needs exactly one of jwks_url and jwks_file",
		"jwt[2].realm":          "must be matrix or fachdienst",
		"jwt[3].id_type":        "must be kvnr or telematik-id",
		"jwt[4].jwks_url":       "must be an https URL",
		"jwt[6].jwks_url":       "must be an https URL",
		"jwt[7].jwks_file":      "not readable",
		"jwt[8].jwks_url":       "needs exactly one of jwks_url and jwks_file",
		"jwt[9].jwks_file":      "not a JSON Web Key Set",
		"matrix.homeserver_url": "must be a URL like https://matrix.example.com",
	}, problems(c.Check))

	for text, good := range map[string]bool{
		"https://matrix.example.org": true, "http://localhost:8008/": true, "https://example.org/base": true, "": true,
		"ftp://example.org": false, "https://": false, "https://u:p@example.org": false, "https://example.org?x": false, "https://example.org#x": false,
	} {
		c := auth.Config{Matrix: auth.MatrixConfig{HomeserverURL: text}}
		require.Equalf(t, good, len(problems(c.Check)) == 0, "%s", text)
	}
	require.Equal(t, map[string]string{
		"writes_per_user": "must be a rate like 10/s, 600/m or 1000/h", "writes_per_address": "must be a rate like 10/s, 600/m or 1000/h",
	}, problems(auth.LimitsConfig{}.Check))
}

func TestConfig_Serves(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		config             auth.Config
		matrix, fachdienst bool
	}{
		{auth.Config{}, false, false},
		{auth.Config{TokensFile: "f"}, true, true},
		{auth.Config{Matrix: auth.MatrixConfig{HomeserverURL: "https://h"}}, true, false},
		{auth.Config{JWT: []auth.JWTConfig{{Realm: push.RealmFachdienst}}}, false, true},
		{auth.Config{JWT: []auth.JWTConfig{{Realm: push.RealmFachdienst}, {Realm: push.RealmMatrix}}}, true, true},
	} {
		require.Equal(t, tt.matrix, tt.config.Serves(push.RealmMatrix), "%+v", tt.config)
		require.Equal(t, tt.fachdienst, tt.config.Serves(push.RealmFachdienst), "%+v", tt.config)
	}
}
