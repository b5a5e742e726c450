package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
)

// bareResult is what a bare sender measured of itself.
type bareResult struct {
	Sent int64   `json:"sent"`
	CPU  float64 `json:"cpu_us"` // per push
	Rate float64 `json:"rate"`
}

// runBare is the limit: the SDK alone in a process of its own, no contract, no queue, no log, sending the same payload to
// the same stub.
func runBare(args []string) error {
	fs := flag.NewFlagSet("bare", flag.ExitOnError)
	kind := fs.String("kind", "apns", "apns or fcm")
	url := fs.String("url", "", "the stub")
	ca := fs.String("ca", "", "the stub's authority")
	keyFile := fs.String("key", "", "APNs key")
	seconds := fs.Duration("for", 5*time.Second, "how long")
	workers := fs.Int("workers", 100, "requests under way")
	if err := fs.Parse(args); err != nil {
		return err
	}
	send, err := bareSender(*kind, *url, *ca, *keyFile)
	if err != nil {
		return err
	}
	if err := send(context.Background(), 0); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	before, began := cpuSelf(), time.Now()
	n, err := hammer(*workers, *seconds, send)
	if err != nil {
		return err
	}
	took := time.Since(began)
	return json.NewEncoder(os.Stdout).Encode(bareResult{
		Sent: n, CPU: (cpuSelf() - before).Seconds() * 1e6 / float64(max(n, 1)), Rate: float64(n) / took.Seconds(),
	})
}

// hammer sends from several workers until the time is over.
func hammer(workers int, d time.Duration, send func(context.Context, int64) error) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var n, failed atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := send(context.WithoutCancel(ctx), n.Load()); err != nil {
					failed.Add(1)
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		return 0, errors.New("a bare send failed")
	}
	return n.Load(), nil
}

func bareSender(kind, url, ca, keyFile string) (func(context.Context, int64) error, error) {
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	//nolint:staticcheck // what a bare sender with apns2 runs on
	transport := &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	if kind == "apns" {
		return bareAPNs(url, keyFile, transport)
	}
	return bareFCM(url, transport)
}

// barePayload is what the encrypted operation sends: 1404 characters and their frame.
func barePayload() map[string]string {
	return map[string]string{"ciphertext": ciphertext(0), "time_message_encrypted": "2026-07", "key_identifier": "7f6c1f1c-2f5e-4c6e-9a3e-0d6f1f0b8f52"}
}

func bareAPNs(url, keyFile string, transport http.RoundTripper) (func(context.Context, int64) error, error) {
	var key *ecdsa.PrivateKey
	key, err := token.AuthKeyFromFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	c := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: "ABC1234567", TeamID: "TEAM123456"})
	c.Host = url
	c.HTTPClient.Transport = transport
	p := barePayload()
	payload, err := json.Marshal(map[string]any{
		"aps":        map[string]any{"alert": map[string]string{"body": "New notification"}, "mutable-content": 1},
		"ciphertext": p["ciphertext"], "time_message_encrypted": p["time_message_encrypted"], "key_identifier": p["key_identifier"],
	})
	if err != nil {
		return nil, fmt.Errorf("build the payload: %w", err)
	}
	return func(ctx context.Context, _ int64) error {
		res, err := c.PushWithContext(ctx, &apns2.Notification{
			DeviceToken: deviceToken(1), Topic: "com.example.app", Payload: payload, PushType: apns2.PushTypeAlert, Priority: apns2.PriorityHigh,
		})
		if err == nil && res.StatusCode != http.StatusOK {
			err = errors.New("not accepted")
		}
		return err
	}, nil
}

func bareFCM(url string, transport http.RoundTripper) (func(context.Context, int64) error, error) {
	ctx := context.Background()
	client := &http.Client{Transport: &oauth2.Transport{Base: transport, Source: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "stub"})}}
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: "p"}, option.WithHTTPClient(client), option.WithEndpoint(url+"/v1"))
	if err != nil {
		return nil, fmt.Errorf("firebase: %w", err)
	}
	m, err := app.Messaging(ctx)
	if err != nil {
		return nil, fmt.Errorf("firebase: %w", err)
	}
	data := barePayload()
	return func(ctx context.Context, i int64) error {
		_, err := m.Send(ctx, &messaging.Message{Token: "t" + strconv.FormatInt(i, 10), Data: data, Android: &messaging.AndroidConfig{Priority: "high"}})
		return err
	}, nil
}
