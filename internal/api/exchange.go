package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/pushgate/pushgate/internal/api/strictjson"
	"github.com/pushgate/pushgate/internal/push"
)

// exchange is what the engine knows about the request in hand.
type exchange struct {
	gin      *gin.Context
	route    *route // nil until an operation was found
	identity any
	sizes    []int
	bytes    int64
	problem  string // what the caller did wrong, in fixed words
	level    slog.Level
	cause    string // what went wrong here
	shed     bool   // refused at the door: counted, and not worth a line each
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	if x == nil {
		return &exchange{}
	}
	return x
}

func (x *exchange) operation() string {
	if x.route == nil {
		return "unknown"
	}
	return x.route.operation.id
}

// failed notes what the log says about a failure.
func (x *exchange) failed(f Failure) {
	cause := f.Err
	if e, ok := errors.AsType[*push.Error](f.Err); ok {
		cause = e.Err
	}
	switch f.Kind {
	case push.Internal:
		x.level, x.cause = slog.LevelError, causeText(cause)
	case push.Unavailable, push.Limited:
		x.level, x.cause = slog.LevelWarn, causeText(cause)
	default:
		x.problem = f.Text
	}
	// Where the caller went wrong, in words that are never the caller's.
	if v, ok := errors.AsType[*Violation](f.Err); ok {
		x.problem = v.Error()
	}
	if e, ok := errors.AsType[*strictjson.Error](f.Err); ok {
		x.problem = e.Error()
	}
}

// causeText returns an error's text, except for errors that are known to quote addresses: the path of a provider's URL
// holds a pushkey.
func causeText(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Op + ": request failed"
	}
	return err.Error()
}

// Context returns the context of the request itself. The context that generated handlers pass is Gin's, which is used
// again for another request afterwards: hand only this one on.
func Context(ctx context.Context) context.Context {
	if c, ok := ctx.(*gin.Context); ok {
		return c.Request.Context()
	}
	return ctx
}

// Identity returns what the group's Authenticate returned for this request, the zero T when there was none.
func Identity[T any](ctx context.Context) T {
	id, _ := exchangeOf(ctx).identity.(T)
	return id
}

// ClientAddr returns the address that the request comes from, as told by the proxies that are trusted, else the
// connection's own. It is not valid where there is none. ctx is the request's or the one that handlers get.
func ClientAddr(ctx context.Context) netip.Addr {
	x := exchangeOf(ctx)
	if x.gin == nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(x.gin.ClientIP())
	return addr
}

// Sizes returns the length in bytes of each value that the contract marks x-measured, in the order of the body.
func Sizes(ctx context.Context) []int { return exchangeOf(ctx).sizes }

// serve is around everything else: request id, panic recovery, observer and access log.
func (e *Engine) serve(c *gin.Context) {
	start := time.Now()
	id := requestID(c.Request.Header)
	x := &exchange{gin: c}
	c.Request = c.Request.WithContext(push.WithRequestID(context.WithValue(c.Request.Context(), exchangeKey{}, x), id))
	c.Header(requestIDHeader, id)
	defer e.finish(c, x, start)
	defer func() {
		if value := recover(); value != nil {
			e.recovered(c, value)
		}
	}()
	if e.straysOf(c.Request.URL.Path).CORS {
		allowEveryOrigin(c.Writer.Header())
		if c.Request.Method == http.MethodOptions {
			c.AbortWithStatus(http.StatusNoContent)
			return
		}
	}
	c.Next()
}

// finish reports the request, however it ended.
func (e *Engine) finish(c *gin.Context, x *exchange, start time.Time) {
	took := time.Since(start)
	if e.observer != nil {
		e.observer.ObserveRequest(x.operation(), c.Writer.Status(), took, x.bytes)
	}
	ctx := c.Request.Context()
	if x.shed {
		return
	}
	if x.cause != "" {
		e.logger.LogAttrs(ctx, x.level, "request failed", slog.String("cause", x.cause),
			slog.String("operation", x.operation()), slog.String("request_id", push.RequestID(ctx)))
	}
	if !e.logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", x.operation()), slog.Int("status", c.Writer.Status()),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.Int64("bytes", x.bytes), slog.String("request_id", push.RequestID(ctx)),
	}
	if x.problem != "" {
		attrs = append(attrs, slog.String("problem", x.problem))
	}
	e.logger.LogAttrs(ctx, slog.LevelInfo, "request", attrs...)
}

const (
	requestIDHeader = "X-Request-Id"
	maxRequestID    = 64
)

// requestID returns the caller's request id if it is harmless in a log and a header, else a new one.
func requestID(h http.Header) string {
	if id := h.Get(requestIDHeader); harmless(id) {
		return id
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func harmless(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}
