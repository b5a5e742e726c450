package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

// SocketName is the socket's name in data_dir.
const SocketName = "admin.sock"

const (
	clientTimeout = 60 * time.Second // a purge of a full queue takes several transactions
	maxAnswer     = 64 << 20
)

// Client talks to the process that holds a data_dir.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the process with this data_dir.
func NewClient(dataDir string) *Client {
	path := filepath.Join(dataDir, SocketName)
	return &Client{path: path, http: &http.Client{Timeout: clientTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}}
}

// Call sends one command and decodes its answer into out.
func (c *Client) Call(ctx context.Context, command string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("build the command: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://admin/"+command, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("build the command: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			return fmt.Errorf("no pushgate answers at %s (is this its data_dir, and is it running?): %w", c.path, op.Err)
		}
		return fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(text, &f) != nil || f.Error == "" {
			return fmt.Errorf("refused: %s", res.Status)
		}
		return errors.New(f.Error)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
