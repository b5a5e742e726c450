package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/simulator"
)

// run executes a command and returns its exit code and what it wrote.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Run(t.Context(), Env{Args: args, Stdout: &out, Stderr: &err})
	return code, out.String(), err.String()
}

func write(t *testing.T, file, text string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

const foreign = `apps:
  com.example.ios: {type: apns, keyfile: AuthKey.p8, key_id: ABC1234567, team_id: TEAM123456, topic: com.example.ios, mystery: 1}
`

func TestImport_PrintsTheConfigurationAndTheNotesApart(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "sygnal.yaml"), foreign)
	code, out, notes := run(t, "config", "import", "sygnal", file)
	require.Zero(t, code)
	require.Contains(t, out, "app_id: com.example.ios")
	require.NotContains(t, out, "mystery")
	require.Contains(t, notes, "apps.com.example.ios.mystery: ")
	require.Contains(t, notes, "unknown_app_id: fail")
	require.Contains(t, notes, "apps[0].apns.key_file", "what the check misses is said at once")
}

func TestImport_WritesChecksAndNeverOverwrites(t *testing.T) {
	t.Parallel()
	sim, err := simulator.Start(simulator.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = sim.Close() })
	dir := t.TempDir()
	creds, err := sim.WriteCredentials(dir)
	require.NoError(t, err)
	require.NoError(t, os.Rename(creds.APNsKeyFile, filepath.Join(dir, "AuthKey.p8")))
	file := write(t, filepath.Join(dir, "sygnal.yaml"), "proxy: http://user:s3cret-word@proxy.example:3128\n"+foreign)
	out := filepath.Join(dir, "pushgate.yaml")

	code, _, notes := run(t, "config", "import", "sygnal", file)
	require.Equal(t, 1, code, "a secret is never printed")
	require.NotContains(t, notes, "s3cret-word")

	code, printed, notes := run(t, "config", "import", "sygnal", "-o", out, file)
	require.Zero(t, code, notes)
	require.Empty(t, printed)
	require.Contains(t, notes, "it is good; next: pushgate serve --config "+out)
	require.NotContains(t, notes, "s3cret-word")
	password := filepath.Join(dir, "proxy-password")
	for name, want := range map[string]string{out: "proxy_password_file: proxy-password", password: "s3cret-word\n"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Contains(t, string(text), want)
	}
	code, _, notes = run(t, "config", "check", out)
	require.Zero(t, code, notes)

	require.NoError(t, os.Remove(out))
	code, _, _ = run(t, "config", "import", "sygnal", "-o", out, file)
	require.Equal(t, 1, code, "the password's file is there already")
	_, err = os.Stat(out)
	require.ErrorIs(t, err, os.ErrNotExist, "all files or none")
}

func TestImport_Gematik(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "push.yaml"), `push: {firebase: [{projectId: p-1, credentialsPath: sa.json, receivingAppIds: [p-1.app.firebase]}]}`)
	code, out, notes := run(t, "config", "import", "gematik", file)
	require.Zero(t, code)
	require.Contains(t, out, "project_id: p-1")
	require.Contains(t, notes, "$JMS_BROKER_URL: ")
	require.Contains(t, notes, "apps[0].fcm.service_account_file")
}

func TestImport_WrongUse(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "x"), "- 1")
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"no file":       {[]string{"config", "import", "sygnal"}, 2},
		"not there":     {[]string{"config", "import", "sygnal", file + ".no"}, 1},
		"not a mapping": {[]string{"config", "import", "gematik", file}, 1},
		"no kind":       {[]string{"config", "import"}, 2},
		"folder absent": {[]string{"config", "import", "sygnal", "-o", filepath.Join(file, "a", "b"), file}, 1},
	} {
		code, _, _ := run(t, c.args...)
		require.Equal(t, c.code, code, name)
	}
}
