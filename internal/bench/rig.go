package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds the start of a process.
const startTimeout = 30 * time.Second

// rig holds what all measurements share: the binary, this program itself, and keys.
type rig struct {
	dir, binary, self string
	http              *http.Client
	profile           string // folder for CPU and heap profiles; empty writes none
}

func newRig(ctx context.Context, dir string, o options) (*rig, error) {
	binary := o.binary
	if binary == "" {
		var err error
		if binary, err = build(ctx, dir); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if o.pgo != "" && o.profile == "" {
		o.profile = dir
	}
	r := &rig{dir: dir, profile: o.profile, binary: binary, self: self, http: &http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{DisableCompression: true},
	}}
	return r, r.writeKeys()
}

func (r *rig) close() { r.http.CloseIdleConnections() }

// writeKeys makes an APNs key and a service account; the stub believes any.
func (r *rig) writeKeys() error {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	if err := r.writePEM("apns.p8", ec); err != nil {
		return err
	}
	account, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	return r.writePEM("account.pem", account)
}

func (r *rig) writePEM(name string, key any) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode a key: %w", err)
	}
	return os.WriteFile(r.file(name), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func (r *rig) file(name string) string { return filepath.Join(r.dir, name) }

// child is a process of a measurement.
type child struct {
	cmd   *exec.Cmd
	url   string
	admin string // pushgate's admin listener

	callers *callers
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop ends a process and waits for it.
func (c *child) stop() {
	if c.callers != nil {
		c.callers.close()
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = c.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(startTimeout):
		_ = c.cmd.Process.Kill()
		<-done
	}
}

// spawn starts this program in another role and reads its address.
func (r *rig) spawn(ctx context.Context, args ...string) (*child, error) {
	cmd := exec.CommandContext(ctx, r.self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	var where struct{ URL string }
	if err := json.NewDecoder(out).Decode(&where); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return &child{cmd: cmd, url: where.URL, callers: newCallers(where.URL)}, nil
}

// gateway starts pushgate against a stub.
func (r *rig) gateway(ctx context.Context, stub *child, s scene) (*child, error) {
	if err := r.configure(stub.url, s); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(r.file("data")); err != nil {
		return nil, fmt.Errorf("empty data_dir: %w", err)
	}
	cmd := exec.CommandContext(ctx, r.binary, "serve", "--config", r.file("pushgate.yaml"))
	if s.procs > 0 {
		cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(s.procs))
	}
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start pushgate: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start pushgate: %w", err)
	}
	c := &child{cmd: cmd}
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var l struct{ Msg, Listener, Address string }
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		switch {
		case l.Msg != "listening":
		case l.Listener == "public":
			c.url = "http://" + l.Address
		case l.Listener == "admin":
			c.admin = "http://" + l.Address
		}
		if l.Msg == "ready" {
			c.callers = newCallers(c.url)
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return c, nil
		}
	}
	return nil, errors.New("pushgate did not get ready")
}

// configure writes what an operator would: nothing is tuned, request lines are logged.
func (r *rig) configure(stub string, s scene) error {
	key, err := os.ReadFile(r.file("account.pem"))
	if err != nil {
		return fmt.Errorf("read the account's key: %w", err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": string(key),
		"client_email": "bench@p.iam.gserviceaccount.com", "client_id": "1", "token_uri": stub + "/token",
	})
	if err != nil {
		return fmt.Errorf("build the account: %w", err)
	}
	if err := os.WriteFile(r.file("account.json"), account, 0o600); err != nil {
		return fmt.Errorf("write the account: %w", err)
	}
	var more strings.Builder
	for i := range s.apps {
		fmt.Fprintf(&more, "  - app_id: com.example.app%d.ios\n    apns: {topic: com.example.app, key_file: apns.p8, key_id: ABC1234567, team_id: TEAM123456, endpoint: \"%s\", ca_file: stub-ca.pem}\n", i, stub)
	}
	text := strings.NewReplacer("STUB", stub, "LIMIT", strconv.Itoa(cmp.Or(s.inFlight, 1000))).Replace(`
listen: {public: "127.0.0.1:0", admin: "127.0.0.1:0"}
data_dir: data
apps:
  - app_id: com.example.app.ios
    apns: {topic: com.example.app, key_file: apns.p8, key_id: ABC1234567, team_id: TEAM123456, endpoint: "STUB", ca_file: stub-ca.pem, max_in_flight: LIMIT}
  - app_id: com.example.app.android
    fcm: {project_id: p, service_account_file: account.json, endpoint: "STUB", ca_file: stub-ca.pem}
  - app_id: com.example.refused
    apns: {topic: com.example.app, key_file: apns.p8, key_id: ABC1234567, team_id: TEAM123456, endpoint: "https://127.0.0.1:9", ca_file: stub-ca.pem}
`) + more.String()
	return os.WriteFile(r.file("pushgate.yaml"), []byte(text), 0o600)
}
