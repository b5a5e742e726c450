package clientfd

import (
	wire "github.com/pushgate/pushgate/gen/clientfd"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/push"
)

// render returns the error object with both spellings of its members, before and since version 1.2 of gematik's
// document. What the code says is settled before.
func render(f api.Failure) any {
	if f.Kind == push.Limited {
		code := wire.LimitErrorErrcode(f.Code)
		return wire.LimitError{
			Errcode: code, Error: f.Text, ErrorCode: wire.LimitErrorErrorCode(code), ErrorDetail: f.Text, RetryAfterMs: f.RetryAfterMS(),
		}
	}
	return both(f.Code, f.Text)
}

func both(code, text string) wire.Error {
	return wire.Error{Errcode: code, Error: text, ErrorCode: code, ErrorDetail: text}
}

const textUnrecognized = "Unrecognized request"

// unrecognized answers unknown paths and methods below a base path.
func unrecognized(int) any { return both("M_UNRECOGNIZED", textUnrecognized) }
