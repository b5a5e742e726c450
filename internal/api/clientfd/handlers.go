package clientfd

import (
	"context"

	wire "github.com/pushgate/pushgate/gen/clientfd"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/auth"
	"github.com/pushgate/pushgate/internal/push"
)

// handlers implement the contract: translate, one call, translate back. Both spellings of an operation do the same.
type handlers struct {
	registry Registry
	channels Channels
}

var _ wire.StrictServerInterface = (*handlers)(nil)

// ListPushers serves GET pushers.
func (h *handlers) ListPushers(ctx context.Context, _ wire.ListPushersRequestObject) (wire.ListPushersResponseObject, error) {
	out, err := h.list(ctx)
	if err != nil {
		return nil, err
	}
	return wire.ListPushers200JSONResponse{PushersJSONResponse: out}, nil
}

// ErezeptListPushers serves GET /pushers/v1.
func (h *handlers) ErezeptListPushers(ctx context.Context, _ wire.ErezeptListPushersRequestObject) (wire.ErezeptListPushersResponseObject, error) {
	out, err := h.list(ctx)
	if err != nil {
		return nil, err
	}
	return wire.ErezeptListPushers200JSONResponse{PushersJSONResponse: out}, nil
}

// SetPusher serves POST pushers/set.
func (h *handlers) SetPusher(ctx context.Context, r wire.SetPusherRequestObject) (wire.SetPusherResponseObject, error) {
	if err := h.set(ctx, r.Body); err != nil {
		return nil, err
	}
	return wire.SetPusher200JSONResponse{DoneJSONResponse: wire.DoneJSONResponse{}}, nil
}

// ErezeptSetPusher serves POST /pushers/v1/set.
func (h *handlers) ErezeptSetPusher(ctx context.Context, r wire.ErezeptSetPusherRequestObject) (wire.ErezeptSetPusherResponseObject, error) {
	if err := h.set(ctx, r.Body); err != nil {
		return nil, err
	}
	return wire.ErezeptSetPusher200JSONResponse{DoneJSONResponse: wire.DoneJSONResponse{}}, nil
}

// ListChannels serves GET channels.
func (h *handlers) ListChannels(context.Context, wire.ListChannelsRequestObject) (wire.ListChannelsResponseObject, error) {
	return wire.ListChannels200JSONResponse{ChannelsJSONResponse: h.available()}, nil
}

// ErezeptListChannels serves GET /channels/v1.
func (h *handlers) ErezeptListChannels(context.Context, wire.ErezeptListChannelsRequestObject) (wire.ErezeptListChannelsResponseObject, error) {
	return wire.ErezeptListChannels200JSONResponse{ChannelsJSONResponse: h.available()}, nil
}

// ListDeviceChannels serves GET channels/{pushkey}.
func (h *handlers) ListDeviceChannels(ctx context.Context, r wire.ListDeviceChannelsRequestObject) (wire.ListDeviceChannelsResponseObject, error) {
	out, err := h.chosen(ctx, r.Pushkey)
	if err != nil {
		return nil, err
	}
	return wire.ListDeviceChannels200JSONResponse{ChannelsJSONResponse: out}, nil
}

// ErezeptListDeviceChannels serves GET /channels/v1/{pushkey}.
func (h *handlers) ErezeptListDeviceChannels(ctx context.Context, r wire.ErezeptListDeviceChannelsRequestObject) (wire.ErezeptListDeviceChannelsResponseObject, error) {
	out, err := h.chosen(ctx, r.Pushkey)
	if err != nil {
		return nil, err
	}
	return wire.ErezeptListDeviceChannels200JSONResponse{ChannelsJSONResponse: out}, nil
}

// SetDeviceChannels serves POST channels/{pushkey}.
func (h *handlers) SetDeviceChannels(ctx context.Context, r wire.SetDeviceChannelsRequestObject) (wire.SetDeviceChannelsResponseObject, error) {
	if err := h.choose(ctx, r.Pushkey, r.Body); err != nil {
		return nil, err
	}
	return wire.SetDeviceChannels200JSONResponse{DoneJSONResponse: wire.DoneJSONResponse{}}, nil
}

// ErezeptSetDeviceChannels serves POST /channels/v1/{pushkey}.
func (h *handlers) ErezeptSetDeviceChannels(ctx context.Context, r wire.ErezeptSetDeviceChannelsRequestObject) (wire.ErezeptSetDeviceChannelsResponseObject, error) {
	if err := h.choose(ctx, r.Pushkey, r.Body); err != nil {
		return nil, err
	}
	return wire.ErezeptSetDeviceChannels200JSONResponse{DoneJSONResponse: wire.DoneJSONResponse{}}, nil
}

func (h *handlers) list(ctx context.Context) (wire.PushersJSONResponse, error) {
	list, err := h.registry.List(api.Context(ctx), owner(ctx))
	if err != nil {
		return wire.PushersJSONResponse{}, err
	}
	out := wire.PushersJSONResponse{Pushers: make([]wire.Pusher, len(list))}
	for i := range list {
		out.Pushers[i] = toPusher(&list[i])
	}
	return out, nil
}

func (h *handlers) set(ctx context.Context, body *wire.SetPusherRequest) error {
	return h.registry.Set(api.Context(ctx), owner(ctx), api.Identity[auth.Identity](ctx).Device, fromRequest(body))
}

func (h *handlers) available() wire.ChannelsJSONResponse {
	return toChannels(h.channels.AvailableChannels(push.RealmFachdienst))
}

func (h *handlers) chosen(ctx context.Context, pushkey string) (wire.ChannelsJSONResponse, error) {
	list, err := h.channels.Channels(api.Context(ctx), owner(ctx), push.Pushkey(pushkey))
	if err != nil {
		return wire.ChannelsJSONResponse{}, err
	}
	return toChannels(list), nil
}

func (h *handlers) choose(ctx context.Context, pushkey string, body *wire.ChannelsRequest) error {
	return h.channels.SetChannels(api.Context(ctx), owner(ctx), push.Pushkey(pushkey), fromChannels(body))
}

func owner(ctx context.Context) push.Owner { return api.Identity[auth.Identity](ctx).Owner() }
