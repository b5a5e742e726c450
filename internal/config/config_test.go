package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/config/strict"
	"github.com/pushgate/pushgate/internal/mtls"
)

// fixtures makes, once, a folder with every file that the samples in testdata name: no key is kept in the repository.
var fixtures = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "pushgate-config")
	check(err)
	write := func(name string, text []byte) { check(os.WriteFile(filepath.Join(dir, name), text, 0o600)) }
	key := func(name string) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(err)
		der, err := x509.MarshalPKCS8PrivateKey(k)
		check(err)
		write(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	key("AuthKey.p8")
	key("vapid.pem")
	write("sa.json", serviceAccount())
	write("password", []byte("hunter22 and more\n"))
	write("key.hex", []byte(hex.EncodeToString(bytes.Repeat([]byte{7}, 32))+"\n"))
	write("key.base64", []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{8}, 32))+"\n"))
	ca, err := mtls.NewAuthority("test")
	check(err)
	for _, name := range []string{"server", "other"} {
		pair, err := ca.Server()
		check(err)
		_, _, err = pair.Write(dir, name)
		check(err)
	}
	write("fd-ca.crt", ca.CertPEM())
	crl, err := ca.CRL()
	check(err)
	write("fd-ca.crl", crl)
	return dir
})

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func serviceAccount() []byte {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	check(err)
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "my-project", "private_key_id": "1", "client_email": "push@my-project.example",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://oauth2.googleapis.com/token",
	})
	check(err)
	return text
}

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(fixtures())
	os.Exit(code)
}

func samples(t *testing.T, pattern string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		all[filepath.Base(f)] = string(text)
	}
	return all
}

func TestParse_GoodSamplesLoad(t *testing.T) {
	t.Parallel()
	for name, text := range samples(t, "good-*.yaml") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Parse([]byte(text), fixtures())
			require.NoError(t, err)
			for _, f := range strict.Files(c) {
				require.True(t, filepath.IsAbs(f.Name), "%s is not absolute", f.Path)
			}
			require.True(t, filepath.IsAbs(c.DataDir))
		})
	}
}

func TestParse_BadSamplesFailWithTheTextInTheirFirstLine(t *testing.T) {
	t.Parallel()
	for name, text := range samples(t, "bad-*.yaml") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, _, _ := strings.Cut(text, "\n")
			want := strings.TrimPrefix(first, "# ")
			require.NotEqual(t, first, want, "the first line says what is wrong")
			c, err := config.Parse([]byte(text), fixtures())
			require.Nil(t, c)
			var all *strict.Error
			require.ErrorAs(t, err, &all)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "c4n4ry")
		})
	}
}

func TestParse_EveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Loader{Roles: []config.Role{config.RoleGateway}}.Parse([]byte(`roles: [gateway, fachdienst]
listen: {public: "", admin: "0.0.0.0:1"}
gateway: {retention: 48h, matirx: true}
apps:
- app_id: a
- app_id: com.example.app
  apns: {topic: com.example.app, key_file: AuthKey.p8, key_id: ABC1234567, team_id: TEAM123456, push_type: loud}
- app_id: com.example.android
  fcm: {project_id: p, service_account_file: nothing.json}
log: {level: loud}
`), fixtures())
	require.Error(t, err)
	for _, want := range []string{
		"roles[1]: fachdienst is not built yet (line 1)",
		"listen: neither public nor tls.address is set: nobody could call (line 2)",
		"listen.admin: has no authentication and must stay on loopback: use 127.0.0.1, or set listen.admin_allow_remote (line 2)",
		"gateway.retention: must not be longer than 24h0m0s (gematik A_27757) (line 3)",
		"gateway.matirx: unknown key, did you mean matrix? (line 3)",
		"apps[0]: needs exactly one of apns, fcm and webpush, has 0 (line 5)",
		"apps[1].apns.push_type: ",
		"apps[2].fcm.service_account_file: ",
		"log.level: must be debug, info, warn or error (line 10)",
	} {
		require.ErrorContains(t, err, want)
	}
	require.True(t, strings.HasPrefix(err.Error(), "9 problems:\n"), err.Error())
}

func TestParse_DesignExample(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte(samples(t, "good-design.yaml")["good-design.yaml"]), fixtures())
	require.NoError(t, err)
	want := config.Default()
	// The example spells out the defaults, so what differs is what it adds to them.
	require.Equal(t, []string{"data_dir", "listen.tls.cert_file", "listen.tls.key_file", "listen.tls.client_ca_file",
		"apps", "fachdienst.channels", "fachdienst.gateways", "auth.jwt"}, differences(&want, c))
	require.Equal(t, filepath.Join(fixtures(), "data"), c.DataDir)
	require.Equal(t, filepath.Join(fixtures(), "AuthKey.p8"), c.Apps[0].APNs.KeyFile)
	require.Equal(t, filepath.Join(fixtures(), "sa.json"), c.Apps[1].FCM.ServiceAccountFile)
	require.Equal(t, 24*time.Hour, c.Apps[2].WebPush.TTL)
	require.Equal(t, 1000, c.Apps[2].WebPush.MaxInFlight, "the section's own default")
	require.Equal(t, []auth.JWTConfig{{Realm: "fachdienst", IDType: "kvnr", UserClaim: "sub", Require: map[string]string{}}}, c.Auth.JWT)
	require.Equal(t, auth.Rate{Count: 50, Per: time.Second}, c.Limits.WritesPerAddress)
}

// differences is Changed without the distinction between a nil list and an empty one.
func differences(a, b *config.Config) []string {
	var all []string
	for _, key := range config.Changed(a, b) {
		if key != "storage.old_key_files" && key != "listen.trusted_proxies" && key != "senders" && key != "egress.allow_networks" {
			all = append(all, key)
		}
	}
	return all
}

func TestLoader_RolesAreAParameter(t *testing.T) {
	t.Parallel()
	text := []byte("roles: [clientserver, fachdienst]\nauth: {jwt: [{}]}\n")
	_, err := config.Loader{}.Parse(text, fixtures())
	require.ErrorContains(t, err, "roles[0]: clientserver is not built yet (line 1)")
	_, err = config.Loader{Roles: []config.Role{config.RoleClientServer, config.RoleFachdienst}}.Parse(text, fixtures())
	require.NotContains(t, err.Error(), "not built yet")
	require.NotContains(t, err.Error(), "apps: ", "apps are the gateway's")
	require.ErrorContains(t, err, "auth.jwt[0].issuer: is missing (line 2)", "now somebody reads tokens")
}

func TestLoader_Environment(t *testing.T) {
	t.Parallel()
	text := []byte(samples(t, "good-minimal.yaml")["good-minimal.yaml"])
	parse := func(environ ...string) (*config.Config, error) {
		return config.Loader{Roles: config.BuiltRoles(), Environ: environ}.Parse(text, fixtures())
	}
	c, err := parse("PUSHGATE_LISTEN_PUBLIC=127.0.0.1:9", "PUSHGATE_DATA_DIR=elsewhere", "PUSHGATE_GATEWAY_REJECT_GUARD_SHARE=0.5",
		"PUSHGATE_LISTEN_TLS_ADDRESS=127.0.0.1:10", "PUSHGATE_LISTEN_TLS_CERT_FILE=server.crt", "PUSHGATE_LISTEN_TLS_KEY_FILE=server.key",
		"PUSHGATE_LIMITS_WRITES_PER_USER=3/m", "PUSHGATE_SERVICE_HOST=10.0.0.1", "PUSHGATE_PORT_8080_TCP=tcp://10.0.0.1:8080", "PATH=/bin")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:9", c.Listen.Public)
	require.Equal(t, filepath.Join(fixtures(), "elsewhere"), c.DataDir)
	require.Equal(t, filepath.Join(fixtures(), "server.crt"), c.Listen.TLS.CertFile)
	require.Equal(t, auth.Rate{Count: 3, Per: time.Minute}, c.Limits.WritesPerUser)
	require.InDelta(t, 0.5, c.Gateway.RejectGuard.Share, 0)

	for variable, want := range map[string]string{
		"PUSHGATE_LISTEN_PUBLC=x":        "the environment variable PUSHGATE_LISTEN_PUBLC names no key, did you mean PUSHGATE_LISTEN_PUBLIC?",
		"PUSHGATE_ROLES=gateway":         "roles: cannot be set by the environment variable PUSHGATE_ROLES, only in the file",
		"PUSHGATE_GATEWAY_RETENTION=48h": "gateway.retention: must not be longer than",
		"PUSHGATE_GATEWAY_MATRIX=on":     "gateway.matrix: must be true or false (from the environment variable PUSHGATE_GATEWAY_MATRIX)",
	} {
		_, err := parse(variable)
		require.ErrorContains(t, err, want)
	}
}

// TestVariables_AreUnambiguous guards the mapping from paths to names: two keys must never share one, and none may look
// like what Kubernetes adds for a service named pushgate.
func TestVariables_AreUnambiguous(t *testing.T) {
	t.Parallel()
	c := config.Default()
	service := regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_.*)$`)
	seen := map[string]bool{}
	for _, name := range strict.Variables(&c, config.EnvPrefix) {
		require.False(t, seen[name], name)
		require.NotRegexp(t, service, name)
		seen[name] = true
	}
	require.True(t, seen["PUSHGATE_LISTEN_PUBLIC"])
	require.True(t, seen["PUSHGATE_LISTEN_TLS_CLIENT_CA_FILE"])
	require.True(t, seen["PUSHGATE_GATEWAY_RETRY_INITIAL"])
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(fixtures())))
	file := filepath.Join(dir, "pushgate.yaml")
	require.NoError(t, os.WriteFile(file, []byte(samples(t, "good-minimal.yaml")["good-minimal.yaml"]), 0o600))
	t.Chdir(dir)
	t.Setenv("PUSHGATE_LOG_LEVEL", "warn")
	c, err := config.Load("pushgate.yaml")
	require.NoError(t, err)
	require.Equal(t, "warn", c.Log.Level)
	require.Equal(t, filepath.Join(dir, "data"), c.DataDir, "relative to the file, not to wherever the process runs")

	_, err = config.Load(filepath.Join(dir, "nothing.yaml"))
	require.ErrorContains(t, err, "read configuration: ")
	_, err = config.Load(dir)
	require.ErrorContains(t, err, "read configuration: ")
}

func TestStorage_DSN(t *testing.T) {
	t.Parallel()
	s := config.Storage{URL: "postgres://pushgate@db.example:5432/x?sslmode=disable"}
	dsn, err := s.DSN()
	require.NoError(t, err)
	require.Equal(t, s.URL, dsn)
	s.PasswordFile = filepath.Join(fixtures(), "password")
	dsn, err = s.DSN()
	require.NoError(t, err)
	require.Equal(t, "postgres://pushgate:hunter22%20and%20more@db.example:5432/x?sslmode=disable", dsn)
	s.PasswordFile += "x"
	_, err = s.DSN()
	require.ErrorContains(t, err, "read storage.password_file")
}

func TestChanged(t *testing.T) {
	t.Parallel()
	a, b := config.Default(), config.Default()
	require.Empty(t, config.Changed(&a, &b))
	b.Listen.Public, b.Gateway.Retry.Max = "127.0.0.1:1", time.Hour
	b.Roles = append(b.Roles, config.RoleFachdienst)
	require.Equal(t, []string{"roles", "listen.public", "gateway.retry.max"}, config.Changed(&a, &b))
}

// TestConfig_EveryKeyIsReadable makes sure that no section has a field of a type that the reader does not know, or
// without a name in the file.
func TestConfig_EveryKeyIsReadable(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type, string)
	visit = func(typ reflect.Type, path string) {
		if reflect.PointerTo(typ).Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()) {
			return
		}
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(typ.Elem(), path)
		case reflect.Struct:
			if seen[typ] {
				return
			}
			seen[typ] = true
			for f := range typ.Fields() {
				tag := f.Tag.Get("yaml")
				require.NotEmpty(t, tag, "%s.%s has no name in the file", path, f.Name)
				require.True(t, f.IsExported(), "%s.%s cannot be set", path, f.Name)
				visit(f.Type, path+"."+f.Name)
			}
		case reflect.Interface, reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		default:
			t.Errorf("%s is a %s, which the reader does not know", path, typ)
		}
	}
	visit(reflect.TypeFor[config.Config](), "config")
}

func FuzzParse(f *testing.F) {
	dir := fixtures()
	files, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	check(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse(text, dir)
		if err != nil {
			require.Nil(t, c)
			require.IsType(t, &strict.Error{}, err)
			return
		}
		require.NotEmpty(t, c.Apps)
		for _, f := range strict.Files(c) {
			require.True(t, filepath.IsAbs(f.Name), f.Path)
		}
	})
}
