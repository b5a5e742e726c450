package pushgateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	wire "github.com/pushgate/pushgate/gen/pushgateway"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/push"
)

// Deliverer takes over the notifications of one request and says what became of each, in their order. An error means
// that the caller must repeat the whole request; one of kind push.Unavailable says when. Notifications may share an Event.
type Deliverer interface {
	Deliver(ctx context.Context, caller push.Caller, notifications []push.Notification) ([]push.Delivery, error)
}

// Options configure the API. Sizes are in units of 1024 bytes.
type Options struct {
	Deliverer Deliverer
	// Matrix and Gematik say which operations are served.
	Matrix, Gematik bool
	// MaxRequestKB is the largest request body, at least 256 (gemF_PushNotification); zero is 1024.
	MaxRequestKB int
	// MaxNotificationKB is the largest notification object in a batch; zero is 64.
	MaxNotificationKB int
	// RequireClientCert answers gematik's operations 401 without a verified client certificate.
	RequireClientCert bool
	// BehindMTLSProxy says that a proxy in front checks client certificates: everybody who gets here is a verified, though
	// anonymous, caller.
	BehindMTLSProxy bool
	// TLSChecksClients says that our own TLS listener asks for client certificates: then who comes that way has not passed
	// the proxy, and BehindMTLSProxy excuses only requests over plain HTTP.
	TLSChecksClients bool
}

// The tags of the contract, which are the groups of operations.
const (
	tagMatrix  = "matrix"
	tagGematik = "gematik"
)

const (
	defaultRequestKB      = 1024
	minRequestKB          = 256
	defaultNotificationKB = 64
	kb                    = 1024
)

// New returns the API, ready to be mounted on an engine.
func New(o Options) (api.API, error) {
	if o.Deliverer == nil {
		return api.API{}, errors.New("push gateway API: no deliverer")
	}
	if o.MaxRequestKB == 0 {
		o.MaxRequestKB = defaultRequestKB
	}
	if o.MaxRequestKB < minRequestKB {
		return api.API{}, fmt.Errorf("push gateway API: requests of %d KB must be accepted", minRequestKB)
	}
	if o.MaxNotificationKB == 0 {
		o.MaxNotificationKB = defaultNotificationKB
	}
	doc, err := wire.GetSpec()
	if err != nil {
		return api.API{}, fmt.Errorf("push gateway API: contract: %w", err)
	}
	maxBatch, err := liftBatchRules(doc)
	if err != nil {
		return api.API{}, fmt.Errorf("push gateway API: contract: %w", err)
	}
	h := &handlers{deliverer: o.Deliverer, batch: batchRules{maxItems: maxBatch, maxNotificationKB: o.MaxNotificationKB}}
	return api.API{
		Name: "push gateway API", Contract: doc, Groups: groups(o),
		Register: func(r gin.IRouter) {
			wire.RegisterHandlersWithOptions(r, wire.NewStrictHandlerWithOptions(h, nil, wire.StrictGinServerOptions{
				RequestErrorHandlerFunc: api.RequestError, HandlerErrorFunc: api.HandlerError, ResponseErrorHandlerFunc: api.ResponseError,
			}), wire.GinServerOptions{ErrorHandler: api.ParameterError})
		},
	}, nil
}

// groups says how the operations of each API behave.
func groups(o Options) map[string]api.Group {
	out := map[string]api.Group{}
	if o.Matrix {
		out[tagMatrix] = api.Group{
			Style: api.StyleMatrixGateway, Render: renderMatrix, AnyContentType: true, MaxBodyBytes: int64(o.MaxRequestKB) * kb,
			Authenticate: func(*http.Request) (any, error) { return push.Caller{Path: push.PathMatrix}, nil },
		}
	}
	if o.Gematik {
		out[tagGematik] = api.Group{
			Style: api.StyleGematik, Render: renderGematik(o.MaxRequestKB), MaxBodyBytes: int64(o.MaxRequestKB) * kb,
			Authenticate: fachdienst(o),
		}
	}
	return out
}

// fachdienst returns the authentication of gematik's operations.
func fachdienst(o Options) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		names, verified := api.ClientCertificate(r)
		excused := o.BehindMTLSProxy && (r.TLS == nil || !o.TLSChecksClients)
		if o.RequireClientCert && !verified && !excused {
			return nil, &push.Error{Kind: push.Unauthenticated, Msg: textNoCertificate}
		}
		return push.Caller{Path: push.PathGematik, Names: names}, nil
	}
}
