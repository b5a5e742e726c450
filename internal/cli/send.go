package cli

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/gen/client/pushgateway"
)

// ciphertextBytes is nonce, PNM1 frame and tag: 1404 characters of Base64.
const ciphertextBytes = 12 + 1024 + 16

// The operations, as -operation names them.
const (
	opMatrix    = "matrix"
	opNotify    = "notify"
	opBatch     = "batch"
	opEncrypted = "encrypted"
)

// sendFlags are the words of one notification.
type sendFlags struct {
	url, operation         string
	app, pushkey           string
	event, room, body      string
	prio                   string
	unread                 int64
	keyID, month, secret   string
	cert, key, ca          string
	timeout                time.Duration
	data                   string
	fs                     *flag.FlagSet
	pushkeyFile, eventType string
}

func runSend(ctx context.Context, env Env) error {
	f := newSendFlags(env)
	if _, err := parse(env, f.fs, 0); err != nil {
		return err
	}
	if err := f.complete(env); err != nil {
		return err
	}
	httpClient, err := f.httpClient()
	if err != nil {
		return err
	}
	client, err := pushgateway.NewClient(strings.TrimRight(f.url, "/"), pushgateway.WithHTTPClient(httpClient))
	if err != nil {
		return fmt.Errorf("gateway url: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	res, err := f.call(ctx, client)
	if err != nil {
		return fmt.Errorf("call the gateway: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	_, _ = fmt.Fprintf(env.Stdout, "%s\n%s\n", res.Status, strings.TrimSpace(string(answer)))
	if res.StatusCode != http.StatusOK {
		return errors.New("the gateway did not take the notification")
	}
	return nil
}

func newSendFlags(env Env) *sendFlags {
	f := &sendFlags{fs: newFlags(env, "send", "--app APP_ID --pushkey-file FILE [flags]")}
	f.fs.StringVar(&f.url, "url", "http://127.0.0.1:8080", "the gateway")
	f.fs.StringVar(&f.operation, "operation", opMatrix, "matrix, notify, batch or encrypted")
	f.fs.StringVar(&f.app, "app", "", "app_id of the device")
	f.fs.StringVar(&f.pushkey, "pushkey", "", "pushkey of the device (other users of this machine can see it; prefer --pushkey-file)")
	f.fs.StringVar(&f.pushkeyFile, "pushkey-file", "", "file with the pushkey; - for standard input")
	f.fs.StringVar(&f.data, "data", "", "device.data, a JSON object")
	f.fs.StringVar(&f.event, "event-id", "", "event id; empty makes one")
	f.fs.StringVar(&f.eventType, "type", "m.room.message", "event type; empty sends the event_id_only form")
	f.fs.StringVar(&f.room, "room", "!pushgate:example.com", "room id")
	f.fs.StringVar(&f.body, "body", "Hello from pushgate send", "message text")
	f.fs.StringVar(&f.prio, "prio", "high", "high or low")
	f.fs.Int64Var(&f.unread, "unread", -1, "badge count; negative sends none")
	f.fs.StringVar(&f.secret, "ciphertext-file", "", "encrypted: file with 1404 characters of ciphertext; empty sends random bytes")
	f.fs.StringVar(&f.keyID, "key-id", "00000000-0000-4000-8000-000000000000", "encrypted: key_identifier")
	f.fs.StringVar(&f.month, "month", time.Now().Format("2006-01"), "encrypted: time_message_encrypted")
	f.fs.StringVar(&f.cert, "cert", "", "client certificate (PEM)")
	f.fs.StringVar(&f.key, "key", "", "client key (PEM)")
	f.fs.StringVar(&f.ca, "ca", "", "certificate authority of the gateway (PEM); empty uses the system's")
	f.fs.DurationVar(&f.timeout, "timeout", 30*time.Second, "bound on the whole call")
	return f
}

// complete reads the pushkey and fills what was left out.
func (f *sendFlags) complete(env Env) error {
	switch {
	case f.pushkeyFile == "-":
		text, err := io.ReadAll(io.LimitReader(env.Stdin, 4096))
		if err != nil {
			return fmt.Errorf("read the pushkey: %w", err)
		}
		f.pushkey = strings.TrimSpace(string(text))
	case f.pushkeyFile != "":
		text, err := os.ReadFile(f.pushkeyFile)
		if err != nil {
			return fmt.Errorf("read the pushkey: %w", err)
		}
		f.pushkey = strings.TrimSpace(string(text))
	}
	if f.app == "" {
		return wrong(env, f.fs, "needs --app")
	}
	if f.pushkey == "" {
		return wrong(env, f.fs, "needs --pushkey-file (or --pushkey), and a pushkey in it")
	}
	if !slices.Contains([]string{opMatrix, opNotify, opBatch, opEncrypted}, f.operation) {
		return wrong(env, f.fs, fmt.Sprintf("there is no operation %q", f.operation))
	}
	if f.data != "" && !json.Valid([]byte(f.data)) {
		return errors.New("--data is not JSON")
	}
	if f.event == "" {
		var id [12]byte
		_, _ = rand.Read(id[:])
		f.event = "$" + hex.EncodeToString(id[:])
	}
	return nil
}

// httpClient trusts and presents what the flags say.
func (f *sendFlags) httpClient() (*http.Client, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("read the authority: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("--ca holds no certificate")
		}
	}
	if f.cert != "" || f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}}, nil
}

// call makes the one request that the operation names.
func (f *sendFlags) call(ctx context.Context, c *pushgateway.Client) (*http.Response, error) {
	switch f.operation {
	case opMatrix:
		body, err := json.Marshal(pushgateway.NotifyRequest{Notification: f.plain()})
		if err != nil {
			return nil, fmt.Errorf("build the request: %w", err)
		}
		return c.MatrixNotifyWithBody(ctx, "application/json", strings.NewReader(string(body)))
	case opNotify:
		return c.Notify(ctx, pushgateway.NotifyRequest{Notification: f.plain()})
	case opBatch:
		return c.NotifyBatch(ctx, pushgateway.BatchRequest{Notifications: []pushgateway.BatchItem{{ID: "1", Notification: f.plain()}}})
	default:
		sealed, err := f.sealed()
		if err != nil {
			return nil, err
		}
		return c.NotifyEncryptedBatch(ctx, pushgateway.EncryptedBatchRequest{Notifications: []pushgateway.EncryptedBatchItem{{ID: "1", Notification: sealed}}})
	}
}

func (f *sendFlags) device() pushgateway.Device {
	return pushgateway.Device{AppID: f.app, Pushkey: f.pushkey, Data: json.RawMessage(f.data)}
}

func (f *sendFlags) counts() *pushgateway.Counts {
	if f.unread < 0 {
		return nil
	}
	return &pushgateway.Counts{Unread: &f.unread}
}

func (f *sendFlags) plain() pushgateway.PlainNotification {
	prio, sender := pushgateway.Priority(f.prio), "@pushgate:example.com"
	n := pushgateway.PlainNotification{
		EventID: &f.event, RoomID: &f.room, Prio: &prio, Counts: f.counts(), Devices: []pushgateway.Device{f.device()},
	}
	if f.eventType == "" {
		return n
	}
	content, _ := json.Marshal(map[string]string{"msgtype": "m.text", "body": f.body}) // strings always encode
	n.Type, n.Sender, n.Content = &f.eventType, &sender, content
	return n
}

func (f *sendFlags) sealed() (pushgateway.EncryptedNotification, error) {
	prio := pushgateway.Priority(f.prio)
	n := pushgateway.EncryptedNotification{
		TimeMessageEncrypted: f.month, KeyIdentifier: f.keyID, Prio: &prio, Counts: f.counts(), Device: f.device(),
	}
	if f.secret != "" {
		text, err := os.ReadFile(f.secret)
		if err != nil {
			return n, fmt.Errorf("read the ciphertext: %w", err)
		}
		n.Ciphertext = strings.TrimSpace(string(text))
		return n, nil
	}
	var raw [ciphertextBytes]byte
	_, _ = rand.Read(raw[:])
	n.Ciphertext = base64.StdEncoding.EncodeToString(raw[:])
	return n, nil
}
