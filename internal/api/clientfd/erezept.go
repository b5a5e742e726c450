package clientfd

import (
	"errors"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	wire "github.com/pushgate/pushgate/gen/clientfd"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// textMalformed is fixed by the implementation guide (A430, A431).
const textMalformed = "Ungültiger http-Request"

// errNotAcceptable marks a caller that takes no JSON.
var errNotAcceptable = errors.New("no JSON accepted")

// admitErezept lets insured persons in who can read the answer (A_28112, A_28113, A_28118 to A_28120).
func admitErezept(r *http.Request, caller auth.Identity) error {
	if caller.IDType != auth.IDTypeKVNR {
		return &push.Error{Kind: push.Forbidden, Msg: "only insured persons may call", Err: auth.ErrClaim}
	}
	if !acceptsJSON(r.Header.Values("Accept")) {
		return &push.Error{Kind: push.Unsupported, Msg: "The answer can only be application/json.", Err: errNotAcceptable}
	}
	return nil
}

// acceptsJSON reads Accept headers as RFC 9110 12.5.1 means them: the most specific range that covers JSON counts, and a
// weight of 0 excludes. No header accepts everything, and what cannot be read is passed over.
func acceptsJSON(headers []string) bool {
	if strings.TrimSpace(strings.Join(headers, "")) == "" {
		return true
	}
	best, accepted := -1, false
	for _, part := range strings.Split(strings.Join(headers, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		rank := -1
		switch {
		case err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter):
		case media == "application/json":
			rank = 2
		case media == "application/*":
			rank = 1
		case media == "*/*":
			rank = 0
		}
		if rank <= best {
			continue
		}
		weight, err := strconv.ParseFloat(params["q"], 64)
		best, accepted = rank, err != nil || weight > 0
	}
	return accepted
}

// refineErezept gives failures the statuses and codes of the E-Rezept Fachdienst. A request that breaks the contract is
// malformedRequest; what only the registry can judge has codes of its own.
func refineErezept(f *api.Failure) {
	switch {
	case errors.Is(f.Err, pusher.ErrUnknownPushkey):
		f.Status, f.Code = http.StatusNotFound, string(wire.ErezeptErrorErrcodeNotFound)
		return
	case errors.Is(f.Err, errNotAcceptable):
		f.Status, f.Code = http.StatusNotAcceptable, string(wire.ErezeptErrorErrcodeNotAcceptable)
		return
	case f.Kind == push.Invalid && errors.Is(f.Err, os.ErrDeadlineExceeded):
		f.Status, f.Code = http.StatusRequestTimeout, string(wire.ErezeptErrorErrcodeTimeout)
		return
	}
	if f.Kind == push.Invalid && malformed(f) {
		f.Text = textMalformed
	}
	f.Code = string(codeErezept(f))
}

// malformed tells a request that breaks the contract from one that the registry refuses.
func malformed(f *api.Failure) bool {
	_, violation := errors.AsType[*api.Violation](f.Err)
	return violation || f.Code != pusher.CodeMissingParam && f.Code != pusher.CodeInvalidParam
}

func codeErezept(f *api.Failure) wire.ErezeptErrorErrcode {
	switch f.Kind {
	case push.Invalid:
		switch {
		case malformed(f):
			return wire.ErezeptErrorErrcodeMalformedRequest
		case f.Code == pusher.CodeMissingParam:
			return wire.ErezeptErrorErrcodeMissingParameter
		default:
			return wire.ErezeptErrorErrcodeInvalidParameter
		}
	case push.TooLarge, push.Unsupported:
		return wire.ErezeptErrorErrcodeMalformedRequest
	case push.Unauthenticated:
		return wire.ErezeptErrorErrcodeInvalidAccessToken
	case push.Forbidden:
		return wire.ErezeptErrorErrcodeInvalidOid
	case push.NotFound:
		return wire.ErezeptErrorErrcodeNotFound
	case push.Limited:
		return wire.ErezeptErrorErrcodeRateLimitExceeded
	default: // Internal and Unavailable; the status tells them apart
		return wire.ErezeptErrorErrcodeInternalServerError
	}
}

// unrecognizedErezept answers unknown paths, and methods that are not served (A_28114, A_28121).
func unrecognizedErezept(status int) any {
	if status == http.StatusMethodNotAllowed {
		return both(string(wire.ErezeptErrorErrcodeMethodNotAllowed), textUnrecognized)
	}
	return both(string(wire.ErezeptErrorErrcodeNotFound), textUnrecognized)
}
