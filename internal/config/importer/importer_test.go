package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// golden compares with testdata/<name>, or writes it when UPDATE_GOLDEN is set.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func render(r Result) string {
	var b strings.Builder
	b.Write(r.YAML)
	b.WriteString("---\n")
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "# %s: %s\n", n.Key, n.Text)
	}
	return b.String()
}

func TestSygnal_EveryKeyIsAccountedFor(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/sygnal-every-key.yaml")
	require.NoError(t, err)
	got, err := Sygnal(text)
	require.NoError(t, err)
	golden(t, "sygnal-every-key.golden", render(got))
	require.Equal(t, map[string]string{"proxy-password": "canary-secret"}, got.Files)
	for _, secret := range []string{"canary-secret", "canary-api-key"} {
		require.NotContains(t, render(got), secret)
	}
	noted := map[string]bool{}
	for _, n := range got.Notes {
		noted[n.Key] = true
	}
	for _, key := range []string{"mystery", "apps.com.example.token.surprise", "db", "database", "metrics.sentry.dsn", "metrics.opentracing.jaeger",
		"log.setup.formatters", "log.access.file", "apps.com.example.legacy.api_key", "apps.com.example.plugin.type", "apps.com.example.web.allowed_endpoints[1]"} {
		require.Truef(t, noted[key], "%s was ignored silently", key)
	}
}

func TestGematik_EveryKeyIsAccountedFor(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/gematik.yaml")
	require.NoError(t, err)
	got, err := Gematik(text)
	require.NoError(t, err)
	golden(t, "gematik.golden", render(got))
}

func TestSygnal_RefusesWhatIsNoConfiguration(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "a list": "- 1", "not YAML": "a: [", "a text": "hello"} {
		_, err := Sygnal([]byte(text))
		require.Error(t, err, name)
	}
}

func FuzzImport_NeverPanics(f *testing.F) {
	for _, file := range []string{"sygnal-every-key.yaml", "gematik.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("apps: {a: {type: apns, topic: [1]}}\nproxy: {a: 1}\nlog: 5"))
	f.Add([]byte("apps: &a {x: *a}"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = Sygnal(text)
		_, _ = Gematik(text)
	})
}
