package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/pushgate/pushgate/internal/push"
)

// Style is a column of the table from push.Kind to the answer.
type Style uint8

// The styles.
const (
	// StyleGematik is the gematik gateway API: it has neither 403 nor 415 nor 429.
	StyleGematik Style = iota
	// StyleMatrixGateway is the Matrix Push Gateway API: no 403 and no 429 either.
	StyleMatrixGateway
	// StyleClient is for the Client-Server API, the Client-FD API and the notification service.
	StyleClient
)

// Failure is an error on its way to the caller.
type Failure struct {
	Operation string // the contract's operationId; empty when no operation was found
	Kind      push.Kind
	Status    int
	Code      string // such as M_NOT_JSON
	Text      string // may leave the house
	// RetryAfter is in whole seconds, at least 1 for Limited and Unavailable, else 0.
	RetryAfter int
	Err        error // what failed, for what a group's own error types add to the body; never for its text
}

// RetryAfterMS is what Limited asks to wait in milliseconds, at least 1; RetryAfter rounds it up to seconds.
func (f Failure) RetryAfterMS() int64 {
	e, _ := errors.AsType[*push.Error](f.Err)
	if e == nil {
		return 1
	}
	return max(1, int64((e.RetryAfter+time.Millisecond-1)/time.Millisecond))
}

// answer is one cell of the table.
type answer struct {
	status     int
	code, text string
}

// answer returns the cell for a kind. This is the only place that knows what a kind means in HTTP.
func (s Style) answer(k push.Kind) answer {
	gateway := s == StyleGematik || s == StyleMatrixGateway
	switch k {
	case push.Invalid:
		return answer{http.StatusBadRequest, "M_INVALID_PARAM", "The request is not valid."}
	case push.TooLarge:
		return answer{http.StatusRequestEntityTooLarge, "M_TOO_LARGE", "The request body is too large."}
	case push.Unsupported:
		if s == StyleGematik {
			return answer{http.StatusBadRequest, "M_NOT_JSON", "The request body must be plain JSON."}
		}
		return answer{http.StatusUnsupportedMediaType, "M_UNKNOWN", "The request body must be plain JSON."}
	case push.Unauthenticated:
		return answer{http.StatusUnauthorized, "M_MISSING_TOKEN", "Who is calling?"}
	case push.Forbidden:
		if gateway {
			return answer{http.StatusUnauthorized, "M_FORBIDDEN", "Not allowed."}
		}
		return answer{http.StatusForbidden, "M_FORBIDDEN", "Not allowed."}
	case push.NotFound:
		return answer{http.StatusNotFound, "M_NOT_FOUND", "Not found."}
	case push.Limited:
		if gateway {
			return answer{http.StatusServiceUnavailable, "M_UNKNOWN", "Overloaded."}
		}
		return answer{http.StatusTooManyRequests, "M_LIMIT_EXCEEDED", "Too many requests."}
	case push.Unavailable:
		return answer{http.StatusServiceUnavailable, "M_UNKNOWN", "Overloaded or under maintenance."}
	default: // push.Internal, and what nobody thought of
		return answer{http.StatusInternalServerError, "M_UNKNOWN", "Internal error."}
	}
}

// failure looks err up in the table.
func (s Style) failure(operation string, err error) Failure {
	kind := push.KindOf(err)
	a := s.answer(kind)
	f := Failure{Operation: operation, Kind: kind, Status: a.status, Code: a.code, Text: a.text, Err: err}
	e, ok := errors.AsType[*push.Error](err)
	if !ok || a.status == http.StatusInternalServerError {
		return f // nobody classified it: fixed words only
	}
	if e.Code != "" {
		f.Code = e.Code
	}
	if e.Msg != "" {
		f.Text = e.Msg
	}
	if kind == push.Limited || kind == push.Unavailable {
		f.RetryAfter = max(1, int((e.RetryAfter+time.Second-1)/time.Second))
	}
	return f
}

// fail is the only writer of errors. All doors end here.
func (e *Engine) fail(c *gin.Context, err error) {
	x := exchangeOf(c)
	c.Abort()
	if c.Writer.Written() {
		// Half an answer is out. Breaking the connection tells the caller that it is not whole.
		x.problem = "failed while answering"
		panic(http.ErrAbortHandler)
	}
	group := Group{Style: StyleClient, Render: renderPlain}
	operation := ""
	if x.route != nil {
		group, operation = x.route.group, x.route.operation.id
	}
	f := group.Style.failure(operation, err)
	if group.Refine != nil {
		group.Refine(&f)
	}
	x.failed(f)
	if f.RetryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	if f.Status == http.StatusRequestEntityTooLarge && c.Request.ProtoMajor == 1 {
		c.Header("Connection", "close") // rather than reading the rest
	}
	writeJSON(c, f.Status, group.Render(f))
}

// renderPlain is the body where no API is concerned.
func renderPlain(f Failure) any {
	return plainError{Errcode: f.Code, Error: f.Text}
}

type plainError struct {
	Errcode string `json:"errcode"`
	Error   string `json:"error"`
}

func writeJSON(c *gin.Context, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"Internal error."}`)
	}
	c.Header("Content-Type", "application/json")
	c.Status(status)
	_, _ = c.Writer.Write(append(text, '\n')) // a caller that has gone is no problem of ours
}
