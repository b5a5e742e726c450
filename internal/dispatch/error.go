package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// Codes of the errors that a Dispatcher returns, beside those of its kinds.
const (
	CodeForbidden    = "FORBIDDEN"
	CodeInvalid      = "INVALID_PARAM"
	CodeUserNotFound = "USER_NOT_FOUND"
	CodeUnknown      = "UNKNOWN_CHANNEL"
	CodeTooLarge     = "PAYLOAD_TOO_LARGE"
	CodeKeyReused    = "IDEMPOTENCY_KEY_REUSED"
	CodeUnavailable  = "SERVICE_UNAVAILABLE"
)

// How long callers are told to stay away: a full outbox drains slowly, a database comes back quickly.
const (
	retryFull  = 30 * time.Second
	retryStore = 2 * time.Second
)

func refuse(kind push.Kind, code, msg string) *push.Error {
	return &push.Error{Kind: kind, Code: code, Msg: msg}
}

func errFull() error {
	return &push.Error{Kind: push.Unavailable, Code: CodeUnavailable, Msg: "too much is waiting to be sent", RetryAfter: retryFull}
}

func errLeaving() error {
	return &push.Error{Kind: push.Unavailable, Code: CodeUnavailable, Msg: "the service is about to stop", RetryAfter: retryStore}
}

// outcome classifies what the store returned. What a plan refused comes back as it was.
func outcome(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*push.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ErrKeyReused):
		return refuse(push.Invalid, CodeKeyReused, "the Idempotency-Key was used for another request")
	default:
		return &push.Error{Kind: push.Unavailable, Code: CodeUnavailable, Msg: "the outbox cannot be reached at the moment", RetryAfter: retryStore, Err: err}
	}
}
