package simulator

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client drives a simulator in another process through its control API; the methods are those of Simulator.
type Client struct {
	base string
	http *http.Client
}

// NewClient takes the control URL.
func NewClient(controlURL string) *Client {
	return &Client{strings.TrimSuffix(controlURL, "/"), &http.Client{Transport: &http.Transport{}}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Overview tells where the services listen.
func (c *Client) Overview(ctx context.Context) (o Overview, err error) {
	return o, c.call(ctx, "GET", "/", nil, &o)
}

// CAPEM fetches the authority of the servers' certificates.
func (c *Client) CAPEM(ctx context.Context) ([]byte, error) {
	resp, err := c.do(ctx, "GET", "/ca.pem", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

// Reset is Simulator.Reset.
func (c *Client) Reset(ctx context.Context) error { return c.call(ctx, "POST", "/reset", nil, nil) }

// Stats is Simulator.Stats.
func (c *Client) Stats(ctx context.Context) (s Stats, err error) {
	return s, c.call(ctx, "GET", "/stats", nil, &s)
}

// Script is Simulator.Script.
func (c *Client) Script(ctx context.Context, name Service, token string, answers ...Answer) error {
	if name == WebPush {
		token = token[strings.LastIndexByte(token, '/')+1:]
	}
	return c.call(ctx, "PUT", "/scripts/"+string(name)+"/"+url.PathEscape(token), append([]Answer{}, answers...), nil)
}

// SetConditions is Simulator.SetConditions.
func (c *Client) SetConditions(ctx context.Context, name Service, v Conditions) error {
	return c.call(ctx, "PUT", "/conditions/"+string(name), v, nil)
}

// SetRules is Simulator.SetRules.
func (c *Client) SetRules(ctx context.Context, r Rules) error {
	return c.call(ctx, "PUT", "/rules", r, nil)
}

// GoAway is Simulator.GoAway.
func (c *Client) GoAway(ctx context.Context, name Service, g GoAway) error {
	return c.call(ctx, "POST", "/goaway/"+string(name), g, nil)
}

// Disconnect is Simulator.Disconnect.
func (c *Client) Disconnect(ctx context.Context, name Service) error {
	return c.call(ctx, "POST", "/disconnect/"+string(name), nil, nil)
}

// WriteCredentials is Simulator.WriteCredentialsFor, with the files on this side.
func (c *Client) WriteCredentials(ctx context.Context, dir string, o CredentialOptions) (Credentials, error) {
	var set credentialSet
	if err := c.call(ctx, "POST", "/credentials", o, &set); err != nil {
		return Credentials{}, err
	}
	return set.write(dir)
}

// Revoke is Simulator.Revoke.
func (c *Client) Revoke(ctx context.Context, id string) error {
	return c.call(ctx, "POST", "/revoke", map[string]string{"id": id}, nil)
}

// RevokeAccessTokens is Simulator.RevokeAccessTokens.
func (c *Client) RevokeAccessTokens(ctx context.Context) error {
	return c.call(ctx, "POST", "/revoke-access-tokens", nil, nil)
}

// Subscribe is Simulator.Subscribe.
func (c *Client) Subscribe(ctx context.Context, o SubscribeOptions) (s Subscription, err error) {
	return s, c.call(ctx, "POST", "/subscriptions", o, &s)
}

// Receipts calls each for every receipt above since, one at a time; each may stop by an error, which is returned.
// With follow it goes on as receipts arrive, until ctx ends.
func (c *Client) Receipts(ctx context.Context, since uint64, follow bool, each func(Receipt) error) error {
	path := "/receipts?since=" + strconv.FormatUint(since, 10) + "&follow=" + strconv.FormatBool(follow)
	resp, err := c.do(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	d := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var r Receipt
		if err := d.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read receipts: %w", err)
		}
		if err := each(r); err != nil {
			return err
		}
	}
}

// WaitDelivered waits until n notifications in all were delivered.
func (c *Client) WaitDelivered(ctx context.Context, n uint64) error {
	const pause = 20 * time.Millisecond
	for {
		s, err := c.Stats(ctx)
		if err != nil || s.Delivered >= n {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d delivered: %w", s.Delivered, n, ctx.Err())
		}
	}
}

// do sends one request; an answer that is not 200 is an error with its text.
func (c *Client) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("control %s: %w", path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, fmt.Errorf("control %s: %s: %s", path, resp.Status, strings.TrimSpace(string(text)))
	}
	return resp, nil
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if out == nil {
		_, err := io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("control %s: %w", path, err)
	}
	return nil
}
