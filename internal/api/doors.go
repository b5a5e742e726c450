package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"github.com/pushgate/pushgate/internal/push"
)

// Seven doors lead from Gin and the generated code to an error. The contract check (check.go) is one; these are the
// others. Each API hands the exported ones to its generated handlers, whose own defaults would print err to the caller.

// ParameterError is GinServerOptions.ErrorHandler: a parameter does not fit its Go type.
func ParameterError(c *gin.Context, _ error, _ int) {
	fail(c, &push.Error{Kind: push.Invalid, Code: "M_INVALID_PARAM", Msg: "A parameter is not valid."})
}

// RequestError is StrictGinServerOptions.RequestErrorHandlerFunc: the checked body does not fit its Go type, such as an
// integer written 1.0 or beyond 64 bits. err may quote the body, so it ends here.
func RequestError(c *gin.Context, _ error) {
	fail(c, &push.Error{Kind: push.Invalid, Code: "M_INVALID_PARAM", Msg: "A member has a value outside its range."})
}

// HandlerError is StrictGinServerOptions.HandlerErrorFunc: a handler returned err.
func HandlerError(c *gin.Context, err error) { fail(c, err) }

// ResponseError is StrictGinServerOptions.ResponseErrorHandlerFunc: an answer could not be encoded or written. err may
// quote the answer, so only its type goes on.
func ResponseError(c *gin.Context, err error) { fail(c, fmt.Errorf("answer: %T", err)) }

// fail finds the engine that serves c. Without one, c was never mounted here.
func fail(c *gin.Context, err error) {
	if r := exchangeOf(c).route; r != nil {
		r.engine.fail(c, err)
		return
	}
	c.AbortWithStatus(http.StatusInternalServerError)
}

// unrecognized answers for unknown paths and methods, as the Matrix specification says.
func (e *Engine) unrecognized(status int) gin.HandlerFunc {
	return func(c *gin.Context) {
		exchangeOf(c).problem = "unrecognized"
		if body := e.straysOf(c.Request.URL.Path).Unrecognized; body != nil {
			writeJSON(c, status, body(status))
			return
		}
		writeJSON(c, status, plainError{Errcode: "M_UNRECOGNIZED", Error: "Unrecognized request"})
	}
}

// recovered turns a panic into a 500. The value of a panic can hold anything, so only what the runtime itself says is
// logged; the stack holds addresses, no contents.
func (e *Engine) recovered(c *gin.Context, value any) {
	if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares the value itself
		panic(value)
	}
	cause := fmt.Sprintf("%T", value)
	if err, ok := value.(runtime.Error); ok {
		cause = err.Error()
	}
	e.logger.LogAttrs(c.Request.Context(), slog.LevelError, "handler panicked", slog.String("cause", cause),
		slog.String("operation", exchangeOf(c).operation()), slog.String("request_id", push.RequestID(c.Request.Context())),
		slog.String("stack", string(debug.Stack())))
	e.fail(c, &push.Error{Kind: push.Internal})
}
