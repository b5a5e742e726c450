package push

import (
	"errors"
	"time"
)

// Kind classifies an error for the caller. api/error.go holds the only table from Kind to HTTP.
type Kind uint8

// The kinds. The zero value is Internal: whatever nobody classified is ours, and its text stays inside.
const (
	Internal Kind = iota
	Invalid
	TooLarge
	Unauthenticated
	Forbidden
	NotFound
	Limited
	Unavailable
	Unsupported // the request's media type or content encoding
)

// Error is a failed request. Msg may leave the house and so holds fixed words only; Err only reaches the log.
type Error struct {
	Kind Kind
	// Code refines Kind for the APIs with an error code (M_MISSING_PARAM, USER_NOT_FOUND, ...); empty takes the kind's own.
	Code string
	Msg  string
	// RetryAfter is for Limited and Unavailable; whole seconds on the wire, rounded up, at least 1.
	RetryAfter time.Duration
	Err        error
}

// Error returns the text that may leave the house.
func (e *Error) Error() string { return e.Msg }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first *Error in err's chain, Internal for everything else.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
