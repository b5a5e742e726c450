package ops

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/internal/push"
)

// LogOptions shape a logger.
type LogOptions struct {
	Level  string // debug, info, warn, error
	Format string // json, text
}

// requestIDKey is the attribute that ties lines of one request together.
const requestIDKey = "request_id"

// NewLogger returns a logger that writes lines to w, and its level, which may change while running. Lines that are
// logged with the context of a request carry its request_id.
func NewLogger(w io.Writer, o LogOptions) (*slog.Logger, *slog.LevelVar, error) {
	level := &slog.LevelVar{}
	if err := SetLevel(level, o.Level); err != nil {
		return nil, nil, err
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: hide}
	var h slog.Handler
	switch o.Format {
	case "json":
		h = slog.NewJSONHandler(w, opts)
	case "text":
		h = slog.NewTextHandler(w, opts)
	default:
		return nil, nil, fmt.Errorf("log format %q: must be json or text", o.Format)
	}
	return slog.New(requestHandler{h}), level, nil
}

// SetLevel changes a logger's level to debug, info, warn or error.
func SetLevel(level *slog.LevelVar, name string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[name]
	if !ok {
		return fmt.Errorf("log level %q: must be debug, info, warn or error", name)
	}
	level.Set(l)
	return nil
}

// requestHandler adds the request id of the context to lines that do not have one.
type requestHandler struct {
	slog.Handler
}

// Handle implements slog.Handler.
func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := push.RequestID(ctx); id != "" && !hasRequestID(r) {
		r = r.Clone()
		r.AddAttrs(slog.String(requestIDKey, id))
	}
	return h.Handler.Handle(ctx, r) // a wrapper of the same interface
}

// WithAttrs implements slog.Handler.
func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name)}
}

func hasRequestID(r slog.Record) bool {
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == requestIDKey
		return !found
	})
	return found
}

// hide is the net under the types that cannot print themselves. It catches what most often slips through them: errors
// of net/http, which print the URL (with APNs that is the pushkey), whole requests and headers, and attributes that are
// named after a secret. It is no reason to be careless: a secret inside a plain text passes.
func hide(_ []string, a slog.Attr) slog.Attr {
	switch strings.ToLower(a.Key) {
	case "pushkey", "token", "authorization", "password", "secret", "ciphertext", "content", "identifier":
		return slog.String(a.Key, "<redacted>")
	}
	if a.Value.Kind() != slog.KindAny {
		return a
	}
	switch v := a.Value.Any().(type) {
	case error:
		return slog.String(a.Key, withoutURLs(v))
	case *http.Request, http.Request, *http.Response, http.Response, http.Header, *url.URL, url.URL, *url.Userinfo, []byte:
		return slog.String(a.Key, "<redacted>")
	}
	return a
}

// withoutURLs returns an error's text without the URLs of the *url.Error values inside.
func withoutURLs(err error) string {
	text := err.Error()
	eachURLError(err, func(u *url.Error) {
		text = strings.ReplaceAll(text, strconv.Quote(u.URL), "<url>")
		text = strings.ReplaceAll(text, u.URL, "<url>")
	})
	return text
}

// eachURLError visits the whole tree of an error, joined ones included.
func eachURLError(err error, visit func(*url.Error)) {
	if u, ok := err.(*url.Error); ok && u.URL != "" { //nolint:errorlint // the tree is walked here
		visit(u)
	}
	switch w := err.(type) { //nolint:errorlint // the tree is walked here
	case interface{ Unwrap() error }:
		if inner := w.Unwrap(); inner != nil {
			eachURLError(inner, visit)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range w.Unwrap() {
			eachURLError(inner, visit)
		}
	}
}
