package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/ops/opstest"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

// registryConfig runs the two roles that keep pushers, without a gateway.
const registryConfig = `roles: [clientserver, fachdienst]
data_dir: data
listen: {public: "127.0.0.1:0", admin: "127.0.0.1:0"}
storage: %s
auth: {tokens_file: tokens.yaml}
fachdienst:
  erezept_paths: true
  encryption: required
  channels: [{id: erp.task.activate, default: not_set}, {id: erp.communication.new, default: enabled}]
log: {level: debug, format: json}
`

// registry is a process with these roles and the folder that outlives it.
type registry struct {
	*harness.Process
	dir, base string
}

func newRegistry(t *testing.T, storage string) *registry {
	t.Helper()
	r := &registry{dir: t.TempDir()}
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600))
	}
	token := func(token, user string) string {
		return fmt.Sprintf("- {token_sha256: %x, user_id: %q, device_id: %s-session}\n", sha256.Sum256([]byte(token)), user, token)
	}
	write("tokens.yaml", token("canary-ada", "@canary-ada:example.com")+token("canary-bob", "@canary-bob:example.com")+token("canary-fd", "kvnr:X110400000"))
	write("key", strings.Repeat("42", 32)+"\n")
	write("pushgate.yaml", fmt.Sprintf(registryConfig, storage))
	return r
}

func (r *registry) up(t *testing.T) *registry {
	t.Helper()
	r.Process = harness.Start(t, nil, nil, "serve", "--config", filepath.Join(r.dir, "pushgate.yaml"))
	addr, err := r.Ready()
	require.NoError(t, err)
	r.base = "http://" + addr["public"]
	return r
}

// call makes one request as the owner of a token.
func (r *registry) call(t *testing.T, token, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.base+path, strings.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

// admin runs a command of the binary on the process's socket.
func (r *registry) admin(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	p := harness.Start(t, &out, nil, append(args, "-data-dir", filepath.Join(r.dir, "data"))...)
	require.Zero(t, p.Wait(t), p.Output())
	return p.Output()
}

// clean looks for what nobody may read in the log and in every file of data_dir.
func (r *registry) clean(t *testing.T, canaries ...string) {
	t.Helper()
	for _, line := range strings.Split(r.Output(), "\n") {
		opstest.RequireClean(t, "log line "+line, []byte(line), canaries...)
	}
	require.NoError(t, filepath.Walk(filepath.Join(r.dir, "data"), func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		opstest.RequireClean(t, info.Name(), text, canaries...)
		return err
	}))
}

// postgresStorage is a fresh database as the section names it: the password in a file of its own.
func postgresStorage(t *testing.T) string { return postgresSection(t, pgtest.URL(t)) }

// postgresSection is a database as the section names it.
func postgresSection(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(password), 0o600))
	return fmt.Sprintf("{url: %q, password_file: %s, encryption_key_file: key}", u, file)
}

func matrixPusher(append bool) string {
	return fmt.Sprintf(`{"kind":"http","app_id":"com.example.app","pushkey":"canary-pushkey","app_display_name":"canary-app","device_display_name":"canary-phone","lang":"en",
		"append":%t,"data":{"url":"https://push.example.com/_matrix/push/v1/notify","custom":12345678901234567890,"s":"canary-data"}}`, append)
}

// iosRegistration is what the iOS app sends, byte for byte but for the key.
const iosRegistration = `{"lang":"de","kind":"http","app_display_name":"E-Rezept","device_display_name":"iPhone","app_id":"de.gematik.erp4ios.eRezept.apns",
 "pushkey":"%s","data":{"url":"https:\/\/gw.example.com\/push\/v1\/"},
 "encryption":{"method":"aes-hmac-sha256","time_iss_created":"2026-07","iss":"f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2","key_identifier":"5EBB1486-7430-42C0-B9AA-B57CA6C90EA4"},"append":false}`

// TestRegistry_SurvivesAKillAndShowsNothing walks through both client APIs of the built binary, kills it, and goes on.
func TestRegistry_SurvivesAKillAndShowsNothing(t *testing.T) {
	t.Parallel()
	for name, storage := range map[string]func(t *testing.T) string{
		"sqlite":   func(*testing.T) string { return "{url: sqlite}" },
		"postgres": postgresStorage,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t, storage(t)).up(t)
			key := strings.Repeat("ab", 32)
			ok := func(token, method, path, body, want string) {
				t.Helper()
				status, text := r.call(t, token, method, path, body)
				require.Equal(t, http.StatusOK, status, text)
				require.JSONEq(t, want, text)
			}
			ok("canary-ada", "POST", "/_matrix/client/v3/pushers/set", matrixPusher(false), `{}`)
			ok("canary-fd", "POST", "/push/v1/pushers/set", fmt.Sprintf(iosRegistration, key), `{}`)
			ok("canary-fd", "POST", "/channels/v1/"+key, `{"channels":[{"id":"erp.task.activate","status":"enabled"}]}`, `{}`)
			status, text := r.call(t, "", "GET", "/_matrix/client/v3/pushers", "")
			require.Equal(t, http.StatusUnauthorized, status)
			require.Contains(t, text, "M_MISSING_TOKEN")
			status, text = r.call(t, "canary-ada", "GET", "/push/v1/pushers", "")
			require.Equal(t, http.StatusUnauthorized, status, "nothing crosses realms: %s", text)

			r.Kill()
			r.Wait(t)
			r.up(t)
			_, text = r.call(t, "canary-ada", "GET", "/_matrix/client/r0/pushers", "")
			require.Contains(t, text, "12345678901234567890", "custom members keep their digits")
			ok("canary-fd", "GET", "/push/v1/channels/"+key, "", `{"channels":[{"id":"erp.task.activate","status":"enabled"},{"id":"erp.communication.new","status":"enabled"}]}`)
			_, text = r.call(t, "canary-fd", "GET", "/pushers/v1", "")
			require.Contains(t, text, key)
			require.NotContains(t, text, "f2ca1bb6", "encryption is write-only")

			ok("canary-bob", "POST", "/_matrix/client/v3/pushers/set", matrixPusher(false), `{}`)
			ok("canary-ada", "GET", "/_matrix/client/v3/pushers", "", `{"pushers":[]}`)
			require.Contains(t, r.admin(t, "pusher", "list", "-user", "kvnr:X110400000"), "gw.example.com")
			require.Contains(t, r.admin(t, "pusher", "delete", "-user", "@canary-bob:example.com", "-device", "canary-bob-session"), "1 removed")
			ok("canary-bob", "GET", "/_matrix/client/v3/pushers", "", `{"pushers":[]}`)

			r.clean(t, "canary-pushkey", "canary-phone", "canary-data", "@canary-ada:example.com", "canary-bob-session", key, "X110400000", "5EBB1486-7430-42C0")
		})
	}
}
