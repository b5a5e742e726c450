package api

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// Limits of a listener. Go's defaults are no limits, and 1 MiB of headers.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	idleTimeout       = 60 * time.Second
	handlerTime       = 10 * time.Second
	answerTime        = 5 * time.Second
	maxHeaderBytes    = 16 << 10
	maxStreams        = 100 // requests at one time on one HTTP/2 connection
)

// ServerOptions describe one listener.
type ServerOptions struct {
	Handler http.Handler
	Logger  *slog.Logger
	TLS     *tls.Config // nil: plain HTTP
	// HandlerTime is the longest that a handler works after the body was read, such as gateway.attempt_timeout and the
	// second that a commit may take. At most 10 s fit into the 30 s that an answer may take by default; more extends them.
	HandlerTime time.Duration
}

// AnswerTime is how long an answer may take from the end of the headers: reading the body, the handler's own time, and
// writing. A listener is built for one; what a reload asks for beyond that would be cut off without an answer.
func AnswerTime(handler time.Duration) time.Duration {
	return readTimeout + max(handlerTime, handler) + answerTime
}

// NewServer returns a server with the house's timeouts: a slow or silent caller is gone after 5 s of headers, 15 s of
// body, or 60 s of nothing.
func NewServer(o ServerOptions) *http.Server {
	s := &http.Server{
		Handler:           o.Handler,
		TLSConfig:         o.TLS,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      AnswerTime(o.HandlerTime),
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	if o.Logger != nil {
		// What net/http has to say is about strangers' handshakes and broken connections.
		s.ErrorLog = slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug)
	}
	return s
}
