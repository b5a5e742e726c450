package clientfd

import (
	"context"
	"errors"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"

	wire "github.com/pushgate/pushgate/gen/clientfd"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/bearer"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Registry keeps registrations. pusher.Service is one.
type Registry interface {
	List(ctx context.Context, owner push.Owner) ([]pusher.Pusher, error)
	Set(ctx context.Context, owner push.Owner, device string, c pusher.Change) error
}

// Channels keeps what people chose. pusher.Service is one.
type Channels interface {
	AvailableChannels(realm push.Realm) []pusher.Channel
	Channels(ctx context.Context, owner push.Owner, pushkey push.Pushkey) ([]pusher.Channel, error)
	SetChannels(ctx context.Context, owner push.Owner, pushkey push.Pushkey, changes []pusher.ChannelChange) error
}

// Options configure the API.
type Options struct {
	Registry      Registry
	Channels      Channels
	Authenticator bearer.Authenticator
	// Limiter counts writes per address and per person. Nil limits nobody.
	Limiter bearer.Limiter
	// BasePaths are the prefixes of pushers and channels, such as /push/v1.
	BasePaths []string
	// ErezeptPaths also serves /pushers/v1 and /channels/v1.
	ErezeptPaths bool
}

// The tags of the contract, which are the groups of operations.
const (
	tagGeneric = "fachdienst"
	tagErezept = "erezept"
)

// maxBodyBytes leaves a registration or a list of channels far more room than any has.
const maxBodyBytes = 64 << 10

// New returns the API once for each base path, and once more for E-Rezept's paths, ready to be mounted on an engine.
func New(o Options) ([]api.API, error) {
	if o.Registry == nil || o.Channels == nil || len(o.BasePaths) == 0 && !o.ErezeptPaths {
		return nil, errors.New("client-FD API: needs a registry, channels and a path")
	}
	who := bearer.Options{Authenticator: o.Authenticator, Limiter: o.Limiter, Realm: push.RealmFachdienst}
	group := api.Group{Style: api.StyleClient, Render: render, AnyContentType: true, MaxBodyBytes: maxBodyBytes}
	var err error
	if group.Authenticate, err = bearer.New(who); err != nil {
		return nil, fmt.Errorf("client-FD API: %w", err)
	}
	h := &handlers{registry: o.Registry, channels: o.Channels}
	var apis []api.API
	for _, base := range o.BasePaths {
		a, err := newAPI(h, base, tagGeneric, group)
		if err != nil {
			return nil, err
		}
		if err := liftRequired(a.Contract); err != nil {
			return nil, fmt.Errorf("client-FD API: contract: %w", err)
		}
		a.Strays = api.Strays{Prefixes: []string{base}, Unrecognized: unrecognized}
		apis = append(apis, a)
	}
	if !o.ErezeptPaths {
		return apis, nil
	}
	who.Admit = admitErezept
	if group.Authenticate, err = bearer.New(who); err != nil {
		return nil, fmt.Errorf("client-FD API: %w", err)
	}
	group.Refine = refineErezept
	a, err := newAPI(h, "", tagErezept, group)
	if err != nil {
		return nil, err
	}
	a.Strays = api.Strays{Prefixes: []string{"/pushers/v1", "/channels/v1"}, Unrecognized: unrecognizedErezept}
	return append(apis, a), nil
}

// newAPI returns the operations of one tag below a base path.
func newAPI(h *handlers, base, tag string, group api.Group) (api.API, error) {
	doc, err := wire.GetSpec()
	if err != nil {
		return api.API{}, fmt.Errorf("client-FD API: contract: %w", err)
	}
	return api.API{
		Name: "client-FD API", Contract: doc, BasePath: base, Groups: map[string]api.Group{tag: group},
		Register: func(r gin.IRouter) {
			strict := wire.NewStrictHandlerWithOptions(h, nil, wire.StrictGinServerOptions{
				RequestErrorHandlerFunc: api.RequestError, HandlerErrorFunc: api.HandlerError, ResponseErrorHandlerFunc: api.ResponseError,
			})
			wire.RegisterHandlersWithOptions(r, strict, wire.GinServerOptions{BaseURL: base, ErrorHandler: api.ParameterError})
		},
	}, nil
}

// liftRequired takes the lists of required members out of the schemas of a registration. The contract check would name
// the first one that is missing; the registry names all of them. On E-Rezept paths they stay, because there a
// registration that breaks the contract is malformedRequest (A431).
func liftRequired(doc *openapi3.T) error {
	for _, name := range []string{"SetPusherRequest", "Encryption"} {
		ref := doc.Components.Schemas[name]
		if ref == nil || len(ref.Value.Required) == 0 {
			return errors.New("no required members to lift from " + name)
		}
		ref.Value.Required = nil
	}
	return nil
}
