package ops_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/ops"
	"github.com/pushgate/pushgate/internal/push"
)

func logger(t *testing.T, o ops.LogOptions) (*slog.Logger, *slog.LevelVar, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	log, level, err := ops.NewLogger(&b, o)
	require.NoError(t, err)
	return log, level, &b
}

func TestNewLogger_LevelChangesWhileRunning(t *testing.T) {
	t.Parallel()
	log, level, out := logger(t, ops.LogOptions{Level: "warn", Format: "json"})
	derived := log.With(slog.String("part", "x"))
	derived.Info("silent")
	require.Empty(t, out.String())
	require.NoError(t, ops.SetLevel(level, "debug"))
	derived.Debug("heard")
	require.Contains(t, out.String(), `"msg":"heard"`)
	require.EqualError(t, ops.SetLevel(level, "loud"), `log level "loud": must be debug, info, warn or error`)
	require.Equal(t, slog.LevelDebug, level.Level(), "a refused level changes nothing")
}

func TestNewLogger_Formats(t *testing.T) {
	t.Parallel()
	log, _, out := logger(t, ops.LogOptions{Level: "info", Format: "text"})
	log.Info("hello", slog.Int("n", 1))
	require.Contains(t, out.String(), "msg=hello n=1")
	log, _, out = logger(t, ops.LogOptions{Level: "info", Format: "json"})
	log.Info("hello", slog.Group("g", slog.Int("n", 1)))
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, map[string]any{"n": 1.0}, line["g"])
	for _, bad := range []ops.LogOptions{{}, {Level: "info"}, {Format: "json"}, {Level: "INFO", Format: "json"}, {Level: "info", Format: "logfmt"}} {
		_, _, err := ops.NewLogger(io.Discard, bad)
		require.Error(t, err)
	}
}

func TestNewLogger_RequestID(t *testing.T) {
	t.Parallel()
	ctx := push.WithRequestID(t.Context(), "r-1")
	for _, c := range []struct {
		name string
		log  func(*slog.Logger)
		want int
	}{
		{"from the context", func(l *slog.Logger) { l.InfoContext(ctx, "m") }, 1},
		{"with other attributes", func(l *slog.Logger) { l.InfoContext(ctx, "m", slog.Int("n", 1)) }, 1},
		{"already there", func(l *slog.Logger) { l.InfoContext(ctx, "m", slog.String("request_id", "r-1")) }, 1},
		{"from a derived logger", func(l *slog.Logger) { l.With(slog.Int("n", 1)).InfoContext(ctx, "m") }, 1},
		{"without a request", func(l *slog.Logger) { l.InfoContext(t.Context(), "m") }, 0},
		{"without a context", func(l *slog.Logger) { l.Info("m") }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log, _, out := logger(t, ops.LogOptions{Level: "info", Format: "json"})
			c.log(log)
			require.Equal(t, c.want, strings.Count(out.String(), `"request_id":"r-1"`), out.String())
		})
	}
}

// TestNewLogger_Net lists what the net under the types must catch, and that it leaves ordinary lines alone.
func TestNewLogger_Net(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	secret := "https://push.example/3/device/" + canary
	urlErr := &url.Error{Op: "Post", URL: secret, Err: io.ErrUnexpectedEOF}
	u, err := url.Parse(secret)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, secret, nil)
	require.NoError(t, err)
	for name, attr := range map[string]slog.Attr{
		"error of net/http":      slog.Any("error", urlErr),
		"wrapped":                slog.Any("error", fmt.Errorf("send: %w", urlErr)),
		"joined":                 slog.Any("error", errors.Join(io.EOF, fmt.Errorf("send: %w", urlErr))),
		"twice":                  slog.Any("error", &url.Error{Op: "Get", URL: "https://x/" + canary, Err: urlErr}),
		"printed without quotes": slog.Any("error", plainURLError{urlErr}),
		"in a group":             slog.Group("g", slog.Any("error", urlErr)),
		"request":                slog.Any("request", req),
		"url":                    slog.Any("url", u),
		"header":                 slog.Any("header", http.Header{"Authorization": {canary}}),
		"bytes":                  slog.Any("body", []byte(canary)),
		"pushkey":                slog.Any("key", push.Pushkey(canary)),
		"attribute by name":      slog.String("pushkey", canary),
		"attribute by name, odd": slog.String("Authorization", canary),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, format := range []string{"json", "text"} {
				log, _, out := logger(t, ops.LogOptions{Level: "info", Format: format})
				log.Info("m", attr)
				log.With(attr).WithGroup("h").Info("m", attr)
				require.NotContains(t, out.String(), canary)
				require.Equal(t, 2, strings.Count(out.String(), "\n"))
			}
		})
	}
	log, _, out := logger(t, ops.LogOptions{Level: "info", Format: "text"})
	log.Info("m", slog.Any("error", fmt.Errorf("read: %w", urlErr)), slog.String("app", "com.example.app"), slog.Any("list", []string{"a"}))
	require.Contains(t, out.String(), `error="read: Post <url>: unexpected EOF" app=com.example.app list=[a]`)
}

// plainURLError prints the URL bare, as some libraries do.
type plainURLError struct{ inner *url.Error }

func (e plainURLError) Error() string { return "cannot reach " + e.inner.URL }
func (e plainURLError) Unwrap() error { return e.inner }
