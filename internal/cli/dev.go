package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/pushgate/pushgate/internal/app"
	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/mtls"
	"github.com/pushgate/pushgate/internal/simulator"
)

// devConfig is the configuration that `pushgate dev` writes for itself. It is what an operator would write, with
// simulators in place of Apple, Google and the browsers.
const devConfig = `roles: [{{.Roles}}]
data_dir: data
listen:
  public: {{.Public}}
  tls: {address: "{{.TLS}}", cert_file: server.crt, key_file: server.key, client_ca_file: ca.pem}
  admin: {{.Admin}}
apps:
  - app_id: com.example.pushgate.ios
    apns: {topic: com.example.pushgate, key_file: {{.Creds.APNsKeyFile}}, key_id: {{.Creds.APNsKeyID}}, team_id: {{.Creds.APNsTeamID}}, endpoint: "{{.Sim.APNsURL}}", ca_file: {{.Creds.CAFile}}}
  - app_id: com.example.pushgate.android
    fcm: {project_id: {{.Creds.ProjectID}}, service_account_file: {{.Creds.ServiceAccountFile}}, endpoint: "{{.Sim.FCMURL}}", ca_file: {{.Creds.CAFile}}}
  - app_id: com.example.pushgate.web
    webpush: {vapid_private_key_file: {{.Creds.VAPIDKeyFile}}, contact: "mailto:dev@example.com", allowed_hosts: ["{{.WebPushHost}}"], ca_file: {{.Creds.CAFile}}}
egress: {allow_networks: ["127.0.0.0/8"]}
log: {level: warn, format: text}
{{- if .Registry}}
auth: {tokens_file: tokens.yaml}
fachdienst:
  encryption: optional
  gateways: ["https://{{.TLS}}/push/v1/"]
  gateway_client: {cert_file: fd.crt, key_file: fd.key, ca_file: ca.pem}
  channels: [{id: erp.task.activate, default: not_set}, {id: erp.communication.new, default: enabled}]
{{- end}}
`

// devGuide is what a newcomer reads: one line to paste for each operation.
const devGuide = `pushgate {{.Version}} is running against simulators; nothing leaves this machine. Ctrl-C ends it.

  gateway  http://{{.Public}} (plain)   https://{{.TLS}} (client certificates, authority {{.Dir}}/ca.pem)
  admin    http://{{.Admin}}/metrics  /healthz  /readyz
{{- if .Moved}}
  ({{.Moved}} of the README taken: the lines below name other ports)
{{- end}}

Paste a line; each arriving push is printed below. Pasted twice, the same event does not ring again.

Matrix event to an iPhone:
  curl -s http://{{.Public}}/_matrix/push/v1/notify -d '{"notification":{"event_id":"$1","room_id":"!r:example.com","type":"m.room.message","sender":"@ada:example.com","sender_display_name":"Ada","room_name":"Engines","content":{"msgtype":"m.text","body":"Hello"},"counts":{"unread":1},"devices":[{"app_id":"com.example.pushgate.ios","pushkey":"{{.IOS}}"}]}}'

gematik plain notification to an Android phone, with a client certificate:
  curl -s --cacert {{.Dir}}/ca.pem --cert {{.Dir}}/fd.crt --key {{.Dir}}/fd.key https://{{.TLS}}/push/v1/notify -H 'Content-Type: application/json' -d '{"notification":{"event_id":"$2","room_id":"!r","type":"m.room.message","prio":"low","content":{"body":"Hello"},"devices":[{"app_id":"com.example.pushgate.android","pushkey":"{{.Android}}"}]}}'

gematik plain batch:
  curl -s http://{{.Public}}/push/v1/notify/batch -H 'Content-Type: application/json' -d '{"notifications":[{"id":"a","notification":{"event_id":"$3","room_id":"!r","type":"m.room.message","devices":[{"app_id":"com.example.pushgate.ios","pushkey":"{{.IOS}}"}]}},{"id":"b","notification":{"event_id":"$4","room_id":"!r","devices":[{"app_id":"com.example.unknown","pushkey":"x"}]}}]}'

gematik encrypted batch (random bytes stand for the ciphertext):
  curl -s http://{{.Public}}/push/v1/notifyEncrypted/batch -H 'Content-Type: application/json' -d '{"notifications":[{"id":"a","notification":{"ciphertext":"'"$(openssl rand -base64 1052 | tr -d '\n')"'","time_message_encrypted":"2026-11","key_identifier":"7f6c1f1c-2f5e-4c6e-9a3e-0d6f1f0b8f52","prio":"high","device":{"app_id":"com.example.pushgate.ios","pushkey":"{{.IOS}}"}}}]}'

Matrix event to a browser:
  curl -s http://{{.Public}}/_matrix/push/v1/notify -d '{"notification":{"event_id":"$5","room_id":"!r:example.com","type":"m.room.message","sender":"@ada:example.com","content":{"msgtype":"m.text","body":"Hello"},"devices":[{"app_id":"com.example.pushgate.web","pushkey":"{{.Browser.P256DH}}","data":{"endpoint":"{{.Browser.Endpoint}}","auth":"{{.Browser.Auth}}"}}]}}'
{{if .Registry}}
A Matrix client registers a pusher and lists its own:
  curl -s http://{{.Public}}/_matrix/client/v3/pushers/set -H 'Authorization: Bearer {{.MatrixToken}}' -d '{"kind":"http","app_id":"com.example.pushgate.ios","pushkey":"{{.IOS}}","app_display_name":"Dev","device_display_name":"iPhone","lang":"en","data":{"url":"https://push.example.com/_matrix/push/v1/notify","format":"event_id_only"}}'
  curl -s http://{{.Public}}/_matrix/client/v3/pushers -H 'Authorization: Bearer {{.MatrixToken}}'

A gematik app registers, switches a channel on, and reads its channels:
  curl -s http://{{.Public}}/push/v1/pushers/set -H 'Authorization: Bearer {{.FDToken}}' -d '{"kind":"http","app_id":"com.example.pushgate.ios","pushkey":"{{.IOS}}","app_display_name":"Dev","device_display_name":"iPhone","lang":"de","data":{"url":"https://{{.TLS}}/push/v1/"},"encryption":{"method":"aes-hmac-sha256","time_iss_created":"2026-07","iss":"{{.ISS}}","key_identifier":"7f6c1f1c-2f5e-4c6e-9a3e-0d6f1f0b8f52"}}'
  curl -s http://{{.Public}}/push/v1/channels/{{.IOS}} -H 'Authorization: Bearer {{.FDToken}}' -d '{"channels":[{"id":"erp.task.activate","status":"enabled"}]}'
  curl -s http://{{.Public}}/push/v1/channels/{{.IOS}} -H 'Authorization: Bearer {{.FDToken}}'

A backend says that something happened; the phone of the registration above gets it encrypted, through this gateway:
  curl -s http://{{.Public}}/notification-service/v1/notifications -H 'Content-Type: application/json' -d '{"user":{"id_type":"kvnr","value":"X110400000"},"channel":"erp.task.activate","payload":{"Identifier":"160.000.000.000.000.01","IdentifierType":"TaskId"}}'
{{end}}
`

// dev is everything that the two texts above show.
type dev struct {
	Version, Dir       string
	Public, TLS, Admin string
	Moved              string // the usual addresses that another process has
	Roles, WebPushHost string
	IOS, Android       string
	Registry           bool // pushers and channels are among the roles
	MatrixToken        string
	FDToken, ISS       string
	Creds              simulator.Credentials
	Sim                *simulator.Simulator
	Browser            simulator.Subscription
}

// runDev starts simulators and a gateway in this process, all with throw-away keys.
func runDev(ctx context.Context, env Env) error {
	fs := newFlags(env, "dev", "")
	if _, err := parse(env, fs, 0); err != nil {
		return err
	}
	dir, cleanup, err := folderFor("")
	if err != nil {
		return err
	}
	defer cleanup()
	sim, err := simulator.Start(simulator.Options{OnReceipt: newArrivals(env.Stdout).print, KeepReceipts: -1})
	if err != nil {
		return err
	}
	defer func() { _ = sim.Close() }()
	d, err := newDev(dir, sim)
	if err != nil {
		return err
	}
	cfg, err := d.config()
	if err != nil {
		return err
	}
	return app.Run(ctx, app.Options{
		Config: cfg, Log: env.Stderr, Version: Version(), Dev: true,
		Ready: func() { _ = template.Must(template.New("guide").Parse(devGuide)).Execute(env.Stdout, d) },
	})
}

// newDev makes keys, certificates and devices.
func newDev(dir string, sim *simulator.Simulator) (*dev, error) {
	creds, err := sim.WriteCredentials(filepath.Join(dir, "providers"))
	if err != nil {
		return nil, fmt.Errorf("write credentials: %w", err)
	}
	browser, err := sim.Subscribe(simulator.SubscribeOptions{VAPIDPublicKey: creds.VAPIDPublicKey})
	if err != nil {
		return nil, fmt.Errorf("subscribe a browser: %w", err)
	}
	if err := writeAuthority(dir); err != nil {
		return nil, err
	}
	roles := make([]string, 0, len(config.BuiltRoles()))
	for _, r := range config.BuiltRoles() {
		roles = append(roles, string(r))
	}
	host := strings.TrimPrefix(sim.WebPushURL(), "https://")
	d := &dev{
		Version: Version(), Dir: dir, Roles: strings.Join(roles, ", "), WebPushHost: host, Creds: creds, Sim: sim, Browser: browser,
		IOS: randomHex(32), Android: "dev-" + randomHex(60),
		Registry:    slices.Contains(config.BuiltRoles(), config.RoleClientServer),
		MatrixToken: "dev-matrix-" + randomHex(8), FDToken: "dev-fd-" + randomHex(8), ISS: randomHex(32),
	}
	d.Public, d.TLS, d.Admin = d.listen("8080"), d.listen("8443"), d.listen("8081")
	return d, d.writeTokens()
}

// writeTokens writes the file that says whose token is whose: a Matrix user's and an insured person's.
func (d *dev) writeTokens() error {
	line := func(token, user, device string) string {
		return fmt.Sprintf("- {token_sha256: %x, user_id: %q, device_id: %s}\n", sha256.Sum256([]byte(token)), user, device)
	}
	text := line(d.MatrixToken, "@ada:example.com", "DEV") + line(d.FDToken, "kvnr:X110400000", "DEV")
	if err := os.WriteFile(filepath.Join(d.Dir, "tokens.yaml"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the tokens: %w", err)
	}
	return nil
}

// writeAuthority writes a throw-away authority with a server's and a caller's certificate.
func writeAuthority(dir string) error {
	ca, err := mtls.NewAuthority("pushgate dev")
	if err != nil {
		return fmt.Errorf("make an authority: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca.CertPEM(), 0o600); err != nil {
		return fmt.Errorf("write the authority: %w", err)
	}
	server, err := ca.Server()
	if err != nil {
		return fmt.Errorf("make a server certificate: %w", err)
	}
	if _, _, err := server.Write(dir, "server"); err != nil {
		return fmt.Errorf("write the server certificate: %w", err)
	}
	fd, err := ca.Client("fd.example.com")
	if err != nil {
		return fmt.Errorf("make a client certificate: %w", err)
	}
	if _, _, err := fd.Write(dir, "fd"); err != nil {
		return fmt.Errorf("write the client certificate: %w", err)
	}
	return nil
}

func (d *dev) config() (*config.Config, error) {
	var text strings.Builder
	if err := template.Must(template.New("config").Parse(devConfig)).Execute(&text, d); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	cfg, err := config.Parse([]byte(text.String()), d.Dir)
	if err != nil {
		return nil, fmt.Errorf("own configuration: %w", err)
	}
	return cfg, nil
}

// listen returns a loopback address with the port that the documentation names, or with another where that is taken.
func (d *dev) listen(port string) string {
	want := net.JoinHostPort("127.0.0.1", port)
	for _, addr := range []string{want, "127.0.0.1:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		if addr != want {
			d.Moved = strings.TrimPrefix(d.Moved+", "+port, ", ")
		}
		return l.Addr().String()
	}
	return want
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
