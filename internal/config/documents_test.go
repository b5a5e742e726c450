package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/pushgate/pushgate/internal/config"
)

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(text)
}

// TestDocuments_ShowConfigurationsThatLoad takes what operators copy, with our keys in place of theirs.
func TestDocuments_ShowConfigurationsThatLoad(t *testing.T) {
	t.Parallel()
	sample := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(document(t, "README.md"))
	require.NotNil(t, sample)
	var configMap struct{ Data map[string]string }
	require.NoError(t, yaml.Unmarshal([]byte(document(t, "deploy/kubernetes/pushgate.yaml")), &configMap))
	for name, text := range map[string]string{"README.md": sample[1], "Kubernetes": configMap.Data["pushgate.yaml"]} {
		text = strings.NewReplacer(
			"/etc/pushgate/tls/tls.", "server.", "/etc/pushgate/keys/encryption.key", "key.hex", "/etc/pushgate/keys/db-password", "password",
			"/etc/pushgate/keys/", "",
		).Replace(text)
		c, err := config.Parse([]byte(text), fixtures())
		require.NoError(t, err, name)
		require.Greater(t, len(c.Apps), 1, name)
	}
}

// TestExample_HasEveryKeyWithItsDefault holds the reference against the code, so that copying it changes nothing.
func TestExample_HasEveryKeyWithItsDefault(t *testing.T) {
	t.Parallel()
	text := document(t, "deploy/pushgate.example.yaml")
	example, err := config.Parse([]byte(text), fixtures())
	require.NoError(t, err)
	have := map[string]bool{}
	keys(reflect.TypeFor[config.Config](), "", have)
	for key := range have {
		name := key[strings.LastIndexByte(key, '.')+1:]
		require.Regexpf(t, `\b`+name+`:`, text, "the example lacks %s", key)
	}
	for _, app := range []string{
		"{app_id: com.example.app.ios, apns: {topic: com.example.app, key_file: AuthKey.p8, key_id: ABC1234567, team_id: TEAM123456}}",
		"{app_id: com.example.app.android, fcm: {project_id: my-project, service_account_file: sa.json}}",
		`{app_id: "com.example.web.*", webpush: {vapid_private_key_file: vapid.pem, contact: "mailto:ops@example.com"}}`,
	} {
		plain, err := config.Parse([]byte("apps: ["+app+"]"), fixtures())
		require.NoError(t, err)
		require.Contains(t, example.Apps, plain.Apps[0])
		plain.Apps = example.Apps
		require.Empty(t, config.Changed(plain, example))
	}
}

// TestDocuments_NameKeysThatExist reads the keys that the prose names with their section.
func TestDocuments_NameKeysThatExist(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	keys(reflect.TypeFor[config.Config](), "", have)
	require.True(t, have["listen.tls.cert_file"])
	named := regexp.MustCompile("`((?:listen|storage|gateway|limits|clientserver|fachdienst|auth|egress|log)\\.[a-z_.]*[a-z])(?:: [^`]*)?`")
	for _, name := range []string{"README.md", "deploy/README.md"} {
		found := named.FindAllStringSubmatch(document(t, name), -1)
		require.NotEmpty(t, found, name)
		for _, m := range found {
			require.Truef(t, have[m[1]], "%s: there is no key %s", name, m[1])
		}
	}
}

// keys collects the paths of all keys.
func keys(typ reflect.Type, prefix string, into map[string]bool) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return
	}
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.Anonymous && name == "" {
			keys(f.Type, prefix, into)
		} else if name != "" {
			into[prefix+name] = true
			keys(f.Type, prefix+name+".", into)
		}
	}
}
