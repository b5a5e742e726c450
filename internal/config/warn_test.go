package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/config"
)

func TestWarnings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(fixtures())))
	for _, open := range []string{"AuthKey.p8", "key.base64", "server.crt", "server.key", "fd-ca.crt"} {
		require.NoError(t, os.Chmod(filepath.Join(dir, open), 0o644))
	}
	require.NoError(t, os.Chmod(filepath.Join(dir, "key.hex"), 0o440)) // as Kubernetes mounts secrets
	c, err := config.Parse([]byte(`
listen:
  public: "0.0.0.0:8080"
  tls: {address: "127.0.0.1:8443", cert_file: server.crt, key_file: server.key, client_ca_file: fd-ca.crt}
  admin: ":8081"
  admin_allow_remote: true
  behind_mtls_proxy: true
senders: [{san: backend.example.de, channels: ["*"]}, {san: fd.example.de, app_ids: [com.example.app]}]
storage: {encryption_key_file: key.hex, old_key_files: [key.base64]}
apps: [{app_id: com.example.app, apns: {topic: com.example.app, key_file: AuthKey.p8, key_id: ABC1234567, team_id: TEAM123456}}]
`), dir)
	require.NoError(t, err)
	require.Equal(t, []string{
		"listen.tls.key_file: every user of this machine can read the file, it should have mode 0600 or 0400",
		"storage.old_key_files[0]: every user of this machine can read the file, it should have mode 0600 or 0400",
		"apps[0].apns.key_file: every user of this machine can read the file, it should have mode 0600 or 0400",
		"listen.behind_mtls_proxy: whoever reaches listen.public past the proxy counts as a verified caller",
		"senders: callers that come through the proxy of listen.behind_mtls_proxy have no name and reach no app, only those on listen.tls.address do",
		"listen.public: plain HTTP beyond this machine, pushkeys and message texts are readable on the way",
		"listen.admin: whoever reaches it can read metrics and readiness, keep it inside your own network",
	}, c.Warnings())

	direct, err := config.Parse([]byte(`
listen:
  tls: {address: ":8443", cert_file: server.crt, key_file: server.key, client_ca_file: fd-ca.crt}
  behind_mtls_proxy: true
gateway: {require_client_cert: true}
apps: [{app_id: com.example.app, apns: {topic: com.example.app, key_file: AuthKey.p8, key_id: ABC1234567, team_id: TEAM123456}}]
`), fixtures())
	require.NoError(t, err)
	require.Empty(t, direct.Warnings(), "who reaches listen.tls past the proxy shows a certificate")

	quiet, err := config.Parse([]byte(samples(t, "good-minimal.yaml")["good-minimal.yaml"]), fixtures())
	require.NoError(t, err)
	require.Empty(t, quiet.Warnings())
}

func TestWarnings_AFachdienstWithNothingToDo(t *testing.T) {
	t.Parallel()
	warnings := func(text string) []string {
		c, err := config.Parse([]byte("roles: [fachdienst]\n"+text), fixtures())
		require.NoError(t, err)
		return c.Warnings()
	}
	require.Equal(t, []string{
		"auth: no app can register, set tokens_file or a jwt of realm fachdienst",
		"fachdienst.channels: there are none that a person could choose or a backend send to",
		"senders: no backend may submit events, list one with its channels",
	}, warnings(""))
	const busy = `
auth: {jwt: [{realm: fachdienst, issuer: "https://idp.example", audience: "https://fd.example", jwks_url: "https://idp.example/jwks"}]}
fachdienst: {channels: [{id: a}]}
senders: [{san: backend.example.de, channels: ["*"]}]
`
	require.Equal(t, []string{
		"senders: no backend can submit events, its certificate is checked on listen.tls.address with client_ca_file only",
	}, warnings(busy))
	require.Empty(t, warnings(busy+`listen: {tls: {address: "127.0.0.1:8443", cert_file: server.crt, key_file: server.key, client_ca_file: fd-ca.crt}}`))
}
