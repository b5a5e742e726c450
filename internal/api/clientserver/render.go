package clientserver

import (
	wire "github.com/pushgate/pushgate/gen/clientserver"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

// render returns the standard error object of Matrix with what some codes add.
func render(f api.Failure) any {
	switch f.Kind {
	case push.Unauthenticated:
		out := wire.TokenError{Errcode: wire.TokenErrorErrcode(f.Code), Error: f.Text}
		if auth.SoftLogout(f.Err) {
			out.SoftLogout = new(true)
		}
		return out
	case push.Limited:
		return wire.LimitError{Errcode: wire.LimitErrorErrcode(f.Code), Error: f.Text, RetryAfterMs: f.RetryAfterMS()}
	default:
		return wire.Error{Errcode: f.Code, Error: f.Text}
	}
}
