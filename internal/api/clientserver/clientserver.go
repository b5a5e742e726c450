package clientserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"

	wire "github.com/pushgate/pushgate/gen/clientserver"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/bearer"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Registry keeps the pushers. pusher.Service is one.
type Registry interface {
	List(ctx context.Context, owner push.Owner) ([]pusher.Pusher, error)
	Set(ctx context.Context, owner push.Owner, device string, c pusher.Change) error
}

// Options configure the API.
type Options struct {
	Registry      Registry
	Authenticator bearer.Authenticator
	// Limiter counts pushers/set per address and per user. Nil limits nobody.
	Limiter bearer.Limiter
	// BasePaths are the prefixes it is served below, such as /_matrix/client/v3. At least one.
	BasePaths []string
}

// tag is the contract's only group of operations.
const tag = "pushers"

// maxBodyBytes leaves a registration far more room than any has. A homeserver keeps what it is given.
const maxBodyBytes = 64 << 10

// New returns the API once for each base path, ready to be mounted on an engine.
func New(o Options) ([]api.API, error) {
	if o.Registry == nil || len(o.BasePaths) == 0 {
		return nil, errors.New("client-server API: needs a registry and a base path")
	}
	authenticate, err := bearer.New(bearer.Options{
		Authenticator: o.Authenticator, Limiter: o.Limiter, Realm: push.RealmMatrix, QueryToken: true,
	})
	if err != nil {
		return nil, fmt.Errorf("client-server API: %w", err)
	}
	group := api.Group{
		Style: api.StyleClient, Render: render, Authenticate: authenticate,
		AnyContentType: true, HeadAsGet: true, MaxBodyBytes: maxBodyBytes,
	}
	h := &handlers{registry: o.Registry}
	apis := make([]api.API, 0, len(o.BasePaths))
	for _, base := range o.BasePaths {
		doc, err := wire.GetSpec()
		if err != nil {
			return nil, fmt.Errorf("client-server API: contract: %w", err)
		}
		if err := liftRequired(doc); err != nil {
			return nil, fmt.Errorf("client-server API: contract: %w", err)
		}
		apis = append(apis, api.API{
			Name: "client-server API", Contract: doc, BasePath: base, Groups: map[string]api.Group{tag: group},
			Strays:   api.Strays{Prefixes: []string{base}, CORS: true},
			Register: func(r gin.IRouter) { register(r, h, base) },
		})
	}
	return apis, nil
}

func register(r gin.IRouter, h *handlers, base string) {
	strict := wire.NewStrictHandlerWithOptions(h, nil, wire.StrictGinServerOptions{
		RequestErrorHandlerFunc: api.RequestError, HandlerErrorFunc: api.HandlerError, ResponseErrorHandlerFunc: api.ResponseError,
	})
	wire.RegisterHandlersWithOptions(r, strict, wire.GinServerOptions{BaseURL: base, ErrorHandler: api.ParameterError})
}

// liftRequired takes the list of required members out of the request's schema. The contract check would name the first
// one that is missing; the registry names all of them.
func liftRequired(doc *openapi3.T) error {
	ref := doc.Components.Schemas["SetPusherRequest"]
	if ref == nil || len(ref.Value.Required) == 0 {
		return errors.New("no required members to lift")
	}
	ref.Value.Required = nil
	return nil
}
