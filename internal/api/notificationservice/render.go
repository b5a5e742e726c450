package notificationservice

import (
	"net/http"

	wire "github.com/pushgate/pushgate/gen/notificationservice"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
)

// Codes beside those of package dispatch.
const (
	codeUnauthenticated = "UNAUTHENTICATED"
	codeNotFound        = "NOT_FOUND"
	codeLimited         = "RATE_LIMITED"
	codeInternal        = "INTERNAL_ERROR"
)

// refine gives each failure a code of this API, and 422 to what the contract calls unprocessable.
func refine(f *api.Failure) {
	switch f.Code {
	case dispatch.CodeUnknown, dispatch.CodeKeyReused:
		f.Status = http.StatusUnprocessableEntity
		return
	case dispatch.CodeUserNotFound, dispatch.CodeTooLarge, dispatch.CodeForbidden, dispatch.CodeUnavailable, codeUnauthenticated:
		return
	}
	f.Code = codeOf(f.Kind) // what the engine refuses carries the codes of Matrix
}

func codeOf(k push.Kind) string {
	switch k {
	case push.Invalid, push.Unsupported:
		return dispatch.CodeInvalid
	case push.TooLarge:
		return dispatch.CodeTooLarge
	case push.Unauthenticated:
		return codeUnauthenticated
	case push.Forbidden:
		return dispatch.CodeForbidden
	case push.NotFound:
		return codeNotFound
	case push.Limited:
		return codeLimited
	case push.Unavailable:
		return dispatch.CodeUnavailable
	default:
		return codeInternal
	}
}

func render(f api.Failure) any { return wire.Error{ErrorCode: f.Code, ErrorDetail: f.Text} }

// unrecognized answers unknown paths and methods below the API's own.
func unrecognized(int) any {
	return wire.Error{ErrorCode: codeNotFound, ErrorDetail: "there is no such path, or no such method for it"}
}
