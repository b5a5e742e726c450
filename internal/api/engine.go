package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// Options configure an Engine.
type Options struct {
	// Logger receives one line per request at info and causes of failures at warn and error. Nil discards.
	Logger *slog.Logger
	// Observer hears of every request. Nil is none.
	Observer Observer
	// TrustedProxies are the addresses and networks whose X-Forwarded-For is believed. Empty believes nobody.
	TrustedProxies []string
	// MaxInFlightBytes bounds the request bodies held at one time over all requests; beyond it callers get 503. Zero is
	// 64 MiB.
	MaxInFlightBytes int64
}

// Observer is what metrics hear about one request. operation is an operation of a contract, or "unknown"; took is from
// the request's header to the end of the answer; bytes is the size of the request's body as far as it was read.
type Observer interface {
	ObserveRequest(operation string, status int, took time.Duration, bytes int64)
}

// defaultMaxInFlightBytes is enough for 60 bodies of the default limit, or for thousands of usual ones.
const defaultMaxInFlightBytes = 64 << 20

// Engine serves the APIs mounted on it. Mount everything before the first request. To change limits or groups, build
// another Engine and swap the handler.
type Engine struct {
	gin      *gin.Engine
	logger   *slog.Logger
	observer Observer
	budget   budget
	pressure *pressure
	buffers  sync.Pool // of *[]byte
	strays   []Strays
}

// New returns an engine that answers 404 to everything.
func New(o Options) (*Engine, error) {
	gin.SetMode(gin.ReleaseMode) // Gin's debug mode prints routes to standard output.
	e := &Engine{gin: gin.New(), logger: o.Logger, observer: o.Observer}
	e.buffers.New = newBuffer
	if e.logger == nil {
		e.logger = slog.New(slog.DiscardHandler)
	}
	e.pressure = newPressure(e.logger)
	if e.budget.limit = o.MaxInFlightBytes; e.budget.limit == 0 {
		e.budget.limit = defaultMaxInFlightBytes
	}
	if err := e.gin.SetTrustedProxies(o.TrustedProxies); err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	g := e.gin
	g.RemoteIPHeaders = []string{"X-Forwarded-For"} // Gin would believe X-Real-IP too, which proxies hand on as it came
	g.ContextWithFallback = true
	g.HandleMethodNotAllowed = true
	g.RedirectTrailingSlash = false
	// Path parameters may hold slashes as %2F, and Gin would turn + into a blank: they are unescaped in route.prepare.
	g.UseEscapedPath = true
	g.UnescapePathValues = false
	g.Use(e.serve)
	g.NoRoute(e.unrecognized(http.StatusNotFound))
	g.NoMethod(e.unrecognized(http.StatusMethodNotAllowed))
	return e, nil
}

// ServeHTTP implements http.Handler.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.gin.ServeHTTP(w, r) }

// Mount adds an API. It fails when the contract is invalid, uses a keyword that would go unchecked, or does not have an
// operation that the API registers, and when a path is taken. After an error the engine is good for nothing.
func (e *Engine) Mount(a API) error {
	ops, err := compile(a.Contract)
	if err != nil {
		return fmt.Errorf("%s: contract: %w", a.Name, err)
	}
	if a.Register == nil {
		return fmt.Errorf("%s: nothing to register", a.Name)
	}
	e.strays = append(e.strays, a.Strays)
	router := &mountRouter{IRouter: e.gin, engine: e, api: a, operations: ops}
	if err := a.register(router); err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	if err := errors.Join(router.problems...); err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	return nil
}

// register makes an error of Gin's panic about a path that is taken: base paths are configured, and a reload with two
// that collide must not end the process.
func (a API) register(router gin.IRouter) (err error) {
	defer func() {
		if collision := recover(); collision != nil {
			err = fmt.Errorf("paths collide: %v", collision)
		}
	}()
	a.Register(router)
	return nil
}
