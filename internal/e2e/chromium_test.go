//go:build browser

package e2e

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// keyPage makes a subscription's keys as a browser's push manager does, and shows them.
const keyPage = `<!doctype html><pre id="out">pending</pre><script>
(async () => {
  const out = document.getElementById("out");
  try {
    const pair = await crypto.subtle.generateKey({name: "ECDH", namedCurve: "P-256"}, true, ["deriveBits"]);
    const auth = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16)))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    out.textContent = "RESULT" + JSON.stringify({private: await crypto.subtle.exportKey("jwk", pair.privateKey), auth}) + "END";
  } catch (e) { out.textContent = "ERROR " + e; }
})();
</script>`

// openPage decrypts one push with WebCrypto alone, step by step as RFC 8291 3.4 and RFC 8188 2 say.
const openPage = `<!doctype html><pre id="out">pending</pre><script>
(async () => {
  const out = document.getElementById("out");
  try {
    const bytes = (s) => Uint8Array.from(atob(s.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const join = (...parts) => new Uint8Array(parts.flatMap((p) => [...p]));
    const text = (s) => new TextEncoder().encode(s);
    const jwk = {{.Private}}, auth = bytes({{.Auth}}), body = bytes({{.Body}});
    const curve = {name: "ECDH", namedCurve: "P-256"};
    const hkdf = async (secret, salt, info, length) => new Uint8Array(await crypto.subtle.deriveBits(
      {name: "HKDF", hash: "SHA-256", salt, info}, await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]), 8 * length));
    const key = await crypto.subtle.importKey("jwk", jwk, curve, false, ["deriveBits"]);
    const own = join([4], bytes(jwk.x), bytes(jwk.y)), salt = body.slice(0, 16), theirs = body.slice(21, 21 + body[20]);
    const shared = new Uint8Array(await crypto.subtle.deriveBits({name: "ECDH", public: await crypto.subtle.importKey("raw", theirs, curve, false, [])}, key, 256));
    const ikm = await hkdf(shared, auth, join(text("WebPush: info\0"), own, theirs), 32);
    const cek = await hkdf(ikm, salt, text("Content-Encoding: aes128gcm\0"), 16), nonce = await hkdf(ikm, salt, text("Content-Encoding: nonce\0"), 12);
    const plain = new Uint8Array(await crypto.subtle.decrypt({name: "AES-GCM", iv: nonce},
      await crypto.subtle.importKey("raw", cek, "AES-GCM", false, ["decrypt"]), body.slice(21 + body[20])));
    let end = plain.length;
    while (end > 0 && plain[end - 1] === 0) end--;
    if (plain[end - 1] !== 2) throw new Error("no delimiter");
    out.textContent = "RESULT" + btoa(String.fromCharCode(...plain.slice(0, end - 1))) + "END";
  } catch (e) { out.textContent = "ERROR " + e; }
})();
</script>`

var result = regexp.MustCompile(`RESULT(.*)END</pre>`)

// chromium shows a page in a real browser and returns what its script wrote.
func chromium(t *testing.T, page string) string {
	t.Helper()
	name := os.Getenv("CHROMIUM")
	if name == "" {
		name = "chromium"
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	require.NoError(t, os.WriteFile(file, []byte(page), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--virtual-time-budget=10000", "--dump-dom", "file://"+file)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	m := result.FindSubmatch(out)
	require.NotNil(t, m, "%s\n%s", out, complaints.String())
	return strings.ReplaceAll(strings.ReplaceAll(string(m[1]), "&amp;", "&"), "&quot;", `"`)
}

// browserKeys are what keyPage shows.
type browserKeys struct {
	Private struct {
		D string `json:"d"`
		X string `json:"x"`
		Y string `json:"y"`
	} `json:"private"`
	Auth string `json:"auth"`
}

// TestChromium_KeysOfARealBrowser sends to keys that a browser's WebCrypto made. The simulator's user agent, this test's
// own RFC 8291 and the browser itself must read the same text.
func TestChromium_KeysOfARealBrowser(t *testing.T) {
	page := chromium(t, keyPage)
	var keys browserKeys
	require.NoError(t, json.Unmarshal([]byte(page), &keys))
	raw := func(text string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(text)
		require.NoError(t, err)
		return b
	}
	private, err := ecdh.P256().NewPrivateKey(raw(keys.Private.D))
	require.NoError(t, err)
	point := append(append([]byte{4}, raw(keys.Private.X)...), raw(keys.Private.Y)...)
	require.Equal(t, private.PublicKey().Bytes(), point)
	ua := userAgent{private: private, auth: raw(keys.Auth)}

	s, web := harness.StartSim(t), startPushService(t)
	n := harness.NewNode(t, s, harness.Settings{Apps: "  - app_id: com.example.browser\n    webpush: {vapid_private_key_file: " + s.Info.Credentials.VAPIDKeyFile +
		`, contact: "mailto:ops@example.com", allowed_hosts: ["` + web.addr + `"], ca_file: ` + web.caFile + "}\n"}).Up(t)
	c := n.Client(t)
	send := func(device string) {
		a := n.Post(t, c, "/_matrix/push/v1/notify", `{"notification":{"event_id":"$browser","room_id":"!r:x","content":{"body":"Grüße 🚀","n":1.10},"devices":[`+device+`]}}`)
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		require.JSONEq(t, `{"rejected":[]}`, a.Body)
	}
	const want = `{"content":{"body":"Grüße 🚀","n":1.10},"event_id":"$browser","room_id":"!r:x"}`

	sub, err := s.Subscribe(t.Context(), simulator.SubscribeOptions{PrivateKey: keys.Private.D, Auth: keys.Auth})
	require.NoError(t, err)
	send(ua.device(harness.AppWeb, sub.Endpoint))
	require.Equal(t, want, string(s.Delivered(t, 1)[0].Payload), "the simulator's user agent")

	send(ua.device("com.example.browser", "https://"+web.addr+"/s/1"))
	got := web.next(t)
	require.Equal(t, want, ua.open(t, got), "RFC 8291 written by hand")

	var filled strings.Builder
	require.NoError(t, template.Must(template.New("").Parse(openPage)).Execute(&filled, map[string]any{
		"Private": map[string]string{"kty": "EC", "crv": "P-256", "d": keys.Private.D, "x": keys.Private.X, "y": keys.Private.Y},
		"Auth":    keys.Auth, "Body": base64.StdEncoding.EncodeToString(got.body),
	}))
	plain, err := base64.StdEncoding.DecodeString(chromium(t, filled.String()))
	require.NoError(t, err)
	require.Equal(t, want, string(plain), "the browser itself")
}
