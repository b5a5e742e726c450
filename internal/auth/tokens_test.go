package auth_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

func TestTokensFile(t *testing.T) {
	t.Parallel()
	path := file(t, fmt.Sprintf(`
- {token_sha256: %s, user_id: "@alice:example.org", device_id: PHONE}
- token_sha256: %s
  user_id: X110400001
- {token_sha256: %s, user_id: "telematik-id:1-2"}
`, hashOf("matrix"), strings.ToUpper(hashOf("person")), hashOf("institution")))
	a := open(t, auth.Config{TokensFile: path}, nil)
	tests := []struct {
		name  string
		realm push.Realm
		token auth.Token
		want  auth.Identity // zero: unknown
	}{
		{"Matrix", push.RealmMatrix, "matrix", auth.Identity{Realm: push.RealmMatrix, User: "@alice:example.org", Device: "PHONE"}},
		{"a bare value is a KVNR", push.RealmFachdienst, "person", auth.Identity{Realm: push.RealmFachdienst, User: "kvnr:X110400001", IDType: "kvnr"}},
		{"an institution", push.RealmFachdienst, "institution", auth.Identity{Realm: push.RealmFachdienst, User: "telematik-id:1-2", IDType: "telematik-id"}},
		{"Matrix token at the Fachdienst", push.RealmFachdienst, "matrix", auth.Identity{}},
		{"Fachdienst token at Matrix", push.RealmMatrix, "person", auth.Identity{}},
		{"unknown", push.RealmMatrix, "other", auth.Identity{}},
		{"the hash itself is no token", push.RealmMatrix, auth.Token(hashOf("matrix")), auth.Identity{}},
		{"no realm", "", "matrix", auth.Identity{}},
		{"with a newline", push.RealmMatrix, "matrix\n", auth.Identity{}},
		{"endless", push.RealmMatrix, auth.Token(strings.Repeat("a", 8193)), auth.Identity{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := a.Authenticate(t.Context(), tt.realm, tt.token)
			require.Equal(t, tt.want, got)
			if tt.want.User == "" {
				requireDenied(t, err, push.Unauthenticated, "M_UNKNOWN_TOKEN")
				return
			}
			require.NoError(t, err)
		})
	}
	_, err := a.Authenticate(t.Context(), push.RealmMatrix, "")
	requireDenied(t, err, push.Unauthenticated, "M_MISSING_TOKEN")
}

func TestTokensFile_Refuses(t *testing.T) {
	t.Parallel()
	good := hashOf("matrix")
	const secret = "syt_secret_token"
	for name, tt := range map[string]struct{ text, problem string }{
		"a token instead of its hash": {"- {token_sha256: " + secret + ", user_id: X1}", "entry 1: token_sha256 must be 64 hex digits"},
		"a short hash":                {"- {token_sha256: " + good[2:] + ", user_id: X1}", "entry 1: token_sha256 must be 64 hex digits"},
		"the token itself":            {"- {token_sha256: " + good + ", user_id: X1, token: " + secret + "}", "must be a YAML list of {token_sha256, user_id, device_id} (line 1)"},
		"no list":                     {secret, "must be a YAML list of {token_sha256, user_id, device_id} (line 1)"},
		"no user":                     {"- {token_sha256: " + good + "}", "entry 1: user_id: not a user"},
		"an unknown type":             {"- {token_sha256: " + good + ", user_id: 'mail:" + secret + "'}", "entry 1: user_id: not a user"},
		"twice":                       {"- {token_sha256: " + good + ", user_id: X1}\n- {token_sha256: " + strings.ToUpper(good) + ", user_id: X2}", "entry 2: the same token_sha256 stands there before"},
		"not YAML":                    {"- {" + secret, "must be a YAML list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := file(t, tt.text)
			c := auth.Config{TokensFile: path}
			var problems []string
			c.Check(func(path, problem string) { problems = append(problems, path+": "+problem) })
			require.Len(t, problems, 1)
			require.Contains(t, problems[0], "tokens_file: "+tt.problem)
			_, err := auth.New(auth.Options{Config: c})
			require.ErrorContains(t, err, tt.problem)
			require.NotContains(t, err.Error()+problems[0], secret)
		})
	}
}

// An all-digit hash is a number to YAML; an empty file knows nobody.
func TestTokensFile_Edges(t *testing.T) {
	t.Parallel()
	open(t, auth.Config{TokensFile: file(t, "- {token_sha256: "+strings.Repeat("1234", 16)+", user_id: 110400001}")}, nil)
	open(t, auth.Config{TokensFile: file(t, "")}, nil)
	open(t, auth.Config{TokensFile: file(t, "[]")}, nil)
}

func TestReload_IsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := edSigner(t, "k1")
	tokens := file(t, fmt.Sprintf("- {token_sha256: %s, user_id: X1}", hashOf("old")))
	jwks := file(t, string(keySet(s)))
	a := open(t, auth.Config{TokensFile: tokens, JWT: []auth.JWTConfig{jwtConfig(func(c *auth.JWTConfig) { c.JWKSFile = jwks })}}, nil)
	next := edSigner(t, "k2")
	signed, signedNext := s.token(t, claims(nil), nil), next.token(t, claims(nil), nil)
	knows := func(token auth.Token) bool {
		_, err := a.Authenticate(t.Context(), push.RealmFachdienst, token)
		return err == nil
	}

	require.NoError(t, os.WriteFile(tokens, fmt.Appendf(nil, "- {token_sha256: %s, user_id: X1}", hashOf("new")), 0o600))
	require.NoError(t, os.WriteFile(jwks, []byte("{}"), 0o600))
	require.Error(t, a.Reload())
	require.True(t, knows("old") && !knows("new") && knows(signed), "a wrong file must change nothing")

	require.NoError(t, os.WriteFile(jwks, keySet(next), 0o600))
	require.NoError(t, a.Reload())
	require.True(t, knows("new") && !knows("old") && knows(signedNext) && !knows(signed))

	require.NoError(t, os.Remove(tokens))
	require.Error(t, a.Reload())
	require.True(t, knows("new"))
}

func FuzzTokensFile(f *testing.F) {
	f.Add("- {token_sha256: " + hashOf("a") + ", user_id: X1}")
	f.Add("- {token_sha256: x, user_id: '@a:b', device_id: [1]}")
	f.Add("&a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		c := auth.Config{TokensFile: file(t, text)}
		problems := 0
		c.Check(func(string, string) { problems++ })
		a, err := auth.New(auth.Options{Config: c})
		require.Equal(t, problems == 0, err == nil, "check and start must agree")
		if err == nil {
			a.Close()
		}
	})
}
