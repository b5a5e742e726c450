package notificationservice

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	wire "github.com/pushgate/pushgate/gen/notificationservice"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
)

// Service takes events. dispatch.Dispatcher is one.
type Service interface {
	Submit(ctx context.Context, from dispatch.Sender, n dispatch.Notice) (dispatch.Receipt, error)
	SubmitMatrix(ctx context.Context, from dispatch.Sender, n dispatch.MatrixNotice) (dispatch.Receipt, error)
	Channels(ctx context.Context, from dispatch.Sender, owner push.Owner, inactive bool) (dispatch.Overview, error)
}

// Options configure the API.
type Options struct {
	Service Service
	// Senders are the callers that may submit, as the configuration lists them: a subject alternative name (DNS or URI)
	// with the channels of that line. Lines of one name add up; a line without channels admits nobody.
	Senders []dispatch.Sender
	// Anybody lets callers in without a certificate, to all channels. Only dev does.
	Anybody bool
	// MaxRequestKB is the largest request body, in units of 1024 bytes; zero is 64. At least 3 KB of payload must pass.
	MaxRequestKB int
}

// The tags of the contract, which are the groups of operations.
const (
	tagFachdienst = "fachdienst"
	tagMatrix     = "matrix"
)

const (
	prefix           = "/notification-service/v1"
	defaultRequestKB = 64
	minRequestKB     = 8
	kb               = 1024
)

// New returns the API, ready to be mounted on an engine.
func New(o Options) (api.API, error) {
	if o.Service == nil {
		return api.API{}, errors.New("notification service: no service")
	}
	if o.MaxRequestKB == 0 {
		o.MaxRequestKB = defaultRequestKB
	}
	if o.MaxRequestKB < minRequestKB {
		return api.API{}, fmt.Errorf("notification service: requests of %d KB must be accepted", minRequestKB)
	}
	doc, err := wire.GetSpec()
	if err != nil {
		return api.API{}, fmt.Errorf("notification service: contract: %w", err)
	}
	group := api.Group{
		Style: api.StyleClient, Render: render, Refine: refine, MaxBodyBytes: int64(o.MaxRequestKB) * kb, Authenticate: authenticate(o),
	}
	h := &handlers{service: o.Service}
	return api.API{
		Name: "notification service", Contract: doc,
		Groups: map[string]api.Group{tagFachdienst: group, tagMatrix: group},
		Strays: api.Strays{Prefixes: []string{prefix}, Unrecognized: unrecognized},
		Register: func(r gin.IRouter) {
			wire.RegisterHandlersWithOptions(r, wire.NewStrictHandlerWithOptions(h, nil, wire.StrictGinServerOptions{
				RequestErrorHandlerFunc: api.RequestError, HandlerErrorFunc: api.HandlerError, ResponseErrorHandlerFunc: api.ResponseError,
			}), wire.GinServerOptions{ErrorHandler: api.ParameterError})
		},
	}, nil
}

// authenticate returns who calls, as dispatch.Sender: a verified certificate, and a name of it that is configured.
func authenticate(o Options) func(*http.Request) (any, error) {
	known := map[string][]string{}
	for _, s := range o.Senders {
		if len(s.Channels) > 0 {
			known[nameKey(s.Name)] = append(known[nameKey(s.Name)], s.Channels...)
		}
	}
	return func(r *http.Request) (any, error) {
		if o.Anybody {
			return dispatch.Sender{Name: "anybody", Channels: []string{"*"}}, nil
		}
		names, verified := api.ClientCertificate(r)
		if !verified {
			return nil, &push.Error{Kind: push.Unauthenticated, Code: codeUnauthenticated, Msg: "a verified client certificate is required"}
		}
		var from dispatch.Sender
		for i := range names {
			names[i] = nameKey(names[i])
		}
		slices.Sort(names) // whatever order the certificate has, the caller is the same
		for _, name := range slices.Compact(names) {
			if channels, ok := known[name]; ok {
				if from.Name == "" {
					from.Name = name
				}
				from.Channels = append(from.Channels, channels...)
			}
		}
		if from.Name == "" {
			return nil, &push.Error{Kind: push.Forbidden, Code: dispatch.CodeForbidden, Msg: "the certificate is of no configured sender"}
		}
		return from, nil
	}
}

// nameKey folds what does not distinguish names: the case of DNS names. URIs are compared as they are.
func nameKey(name string) string {
	if strings.Contains(name, ":") {
		return name
	}
	return strings.ToLower(name)
}
