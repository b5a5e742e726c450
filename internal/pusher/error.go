package pusher

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// The codes of the errors that a Service returns, all of kind Invalid.
const (
	CodeMissingParam = "M_MISSING_PARAM"
	CodeInvalidParam = "M_INVALID_PARAM"
)

// retryStore is how long a caller should wait when the database is away.
const retryStore = 2 * time.Second

var (
	errNotPublic = errors.New("an address literal or a local name")
	errOwner     = errors.New("an owner needs a realm and a user")
)

// invalid is an error about one member. The text holds fixed words and names of members only.
func invalid(msg string) *push.Error {
	return &push.Error{Kind: push.Invalid, Code: CodeInvalidParam, Msg: msg}
}

// missingParams names the members that are absent, in the words of the Matrix specification's own example.
func missingParams(names ...string) *push.Error {
	return &push.Error{Kind: push.Invalid, Code: CodeMissingParam, Msg: "Missing parameters: " + strings.Join(names, ", ")}
}

// unknownPushkey is the answer about a device that the caller does not have (any more).
func unknownPushkey() *push.Error {
	return &push.Error{Kind: push.Invalid, Code: CodeInvalidParam, Msg: "there is no pusher with this pushkey", Err: ErrUnknownPushkey}
}

// stored classifies an error of the store: the caller may try again, unless it is the one who left.
func stored(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ErrUnknownPushkey):
		return unknownPushkey()
	default:
		return &push.Error{Kind: push.Unavailable, Msg: "the registry cannot be reached at the moment", RetryAfter: retryStore, Err: err}
	}
}
