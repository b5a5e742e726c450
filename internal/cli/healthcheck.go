package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// healthTimeout bounds the question; container runtimes give about as long.
const healthTimeout = 5 * time.Second

// runHealthcheck asks the admin listener, so that an image without a shell or curl has a health command.
func runHealthcheck(ctx context.Context, env Env) error {
	fs := newFlags(env, "healthcheck", "[--url URL]")
	url := fs.String("url", "http://127.0.0.1:8081/readyz", "readiness page of the admin listener")
	if _, err := parse(env, fs, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, *url, nil)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(env.Stdout, io.LimitReader(res.Body, 64<<10))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", res.Status)
	}
	return nil
}
