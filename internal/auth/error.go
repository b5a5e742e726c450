package auth

import (
	"errors"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// The codes of the errors of this package.
const (
	CodeMissingToken  = "M_MISSING_TOKEN"
	CodeUnknownToken  = "M_UNKNOWN_TOKEN"
	CodeUserLocked    = "M_USER_LOCKED"
	CodeForbidden     = "M_FORBIDDEN" // E-Rezept paths say invalidOid for Forbidden
	CodeGuest         = "M_GUEST_ACCESS_FORBIDDEN"
	CodeLimitExceeded = "M_LIMIT_EXCEEDED"
)

// retryAfter is how long a caller should wait when a source cannot be asked.
const retryAfter = 5 * time.Second

var (
	// ErrClaim is in the chain of Forbidden errors about a token that is good but lacks a required claim (A_28112: only
	// oid_versicherter).
	ErrClaim = errors.New("the token lacks a required claim")

	// errSoftLogout marks an unknown token whose session is kept by the homeserver.
	errSoftLogout = errors.New("soft logout")

	// errForeign is a source's word for "not one of mine"; the next source is asked.
	errForeign = errors.New("token of somebody else")
)

// SoftLogout reports whether an error asks the client to log in again without dropping its data (soft_logout). A client
// that misses it deletes its end-to-end keys.
func SoftLogout(err error) bool { return errors.Is(err, errSoftLogout) }

func missingToken() *push.Error {
	return &push.Error{Kind: push.Unauthenticated, Code: CodeMissingToken, Msg: "missing access token"}
}

func unknownToken() *push.Error {
	return &push.Error{Kind: push.Unauthenticated, Code: CodeUnknownToken, Msg: "unknown access token"}
}

func missingClaim() *push.Error {
	return &push.Error{Kind: push.Forbidden, Code: CodeForbidden, Msg: "the access token does not allow this", Err: ErrClaim}
}

// unavailable says that nobody could tell whether the token is good. The caller keeps it and tries again.
func unavailable(err error) *push.Error {
	return &push.Error{Kind: push.Unavailable, Msg: "access tokens cannot be checked at the moment", RetryAfter: retryAfter, Err: err}
}
