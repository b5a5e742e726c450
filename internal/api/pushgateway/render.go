package pushgateway

import (
	"errors"
	"strings"

	wire "github.com/pushgate/pushgate/gen/pushgateway"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/push"
)

// Texts that gemF_PushNotification fixes. Senders log them.
const (
	textInvalid       = "Invalid data format"
	textNoCertificate = "Missing or invalid mutual TLS (mTLS) certificate."
	textInternal      = "Unexpected failure during processing."
	textBatchInternal = "Unexpected failure during batch processing."
	textUnavailable   = "Push Gateway under maintenance or overloaded."
)

// renderMatrix returns the standard error object of the Matrix APIs.
func renderMatrix(f api.Failure) any { return wire.MatrixError{Errcode: f.Code, Error: f.Text} }

// renderGematik returns the body for each failure of gematik's operations.
func renderGematik(maxRequestKB int) func(api.Failure) any {
	return func(f api.Failure) any {
		batch := strings.HasSuffix(f.Operation, "Batch")
		switch f.Kind {
		case push.Invalid, push.Unsupported:
			if e, ok := errors.AsType[*batchError](f.Err); ok {
				return wire.BatchError{Error: e.text, Details: &e.details}
			}
			return wire.Error{Error: textInvalid}
		case push.TooLarge:
			out := wire.TooLargeError{Error: wire.TooLargeTextNotificationObjectIsTooLarge}
			if batch {
				out.Error = wire.TooLargeTextBatchRequestPayloadIsTooLarge
			}
			out.Details.MaxRequestSizeKb = maxRequestKB
			return out
		case push.Unauthenticated, push.Forbidden:
			return wire.Error{Error: textNoCertificate}
		case push.Unavailable, push.Limited:
			return wire.Error{Error: textUnavailable}
		case push.NotFound:
			return wire.Error{Error: f.Text}
		default: // push.Internal
			if batch {
				return wire.Error{Error: textBatchInternal}
			}
			return wire.Error{Error: textInternal}
		}
	}
}
