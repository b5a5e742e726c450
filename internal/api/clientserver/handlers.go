package clientserver

import (
	"context"

	wire "github.com/pushgate/pushgate/gen/clientserver"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/auth"
)

// handlers implement the contract: translate, one call, translate back.
type handlers struct{ registry Registry }

var _ wire.StrictServerInterface = (*handlers)(nil)

// MatrixListPushers serves GET pushers.
func (h *handlers) MatrixListPushers(ctx context.Context, _ wire.MatrixListPushersRequestObject) (wire.MatrixListPushersResponseObject, error) {
	list, err := h.registry.List(api.Context(ctx), api.Identity[auth.Identity](ctx).Owner())
	if err != nil {
		return nil, err
	}
	answer := wire.PushersResponse{Pushers: make([]wire.Pusher, len(list))}
	for i := range list {
		answer.Pushers[i] = toPusher(&list[i])
	}
	return wire.MatrixListPushers200JSONResponse{PushersJSONResponse: wire.PushersJSONResponse(answer)}, nil
}

// MatrixSetPusher serves POST pushers/set.
func (h *handlers) MatrixSetPusher(ctx context.Context, r wire.MatrixSetPusherRequestObject) (wire.MatrixSetPusherResponseObject, error) {
	caller := api.Identity[auth.Identity](ctx)
	if err := h.registry.Set(api.Context(ctx), caller.Owner(), caller.Device, fromRequest(r.Body)); err != nil {
		return nil, err
	}
	return wire.MatrixSetPusher200JSONResponse{DoneJSONResponse: wire.DoneJSONResponse{}}, nil
}
