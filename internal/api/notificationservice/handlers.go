package notificationservice

import (
	"context"

	wire "github.com/pushgate/pushgate/gen/notificationservice"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/dispatch"
)

// handlers implement the contract: translate, one call, translate back.
type handlers struct{ service Service }

var _ wire.StrictServerInterface = (*handlers)(nil)

// SubmitNotification serves POST notifications.
func (h *handlers) SubmitNotification(ctx context.Context, r wire.SubmitNotificationRequestObject) (wire.SubmitNotificationResponseObject, error) {
	receipt, err := h.service.Submit(api.Context(ctx), sender(ctx), fromNotification(r.Body, r.Params.IdempotencyKey))
	if err != nil {
		return nil, err
	}
	return wire.SubmitNotification202JSONResponse{AcceptedJSONResponse: wire.AcceptedJSONResponse{
		NotificationID: receipt.ID, Channel: r.Body.Channel, Status: wire.SubmissionStatus(receipt.Status.String()), AcceptedAt: receipt.Accepted,
	}}, nil
}

// ListUserChannels serves GET users/{userId}/channels.
func (h *handlers) ListUserChannels(ctx context.Context, r wire.ListUserChannelsRequestObject) (wire.ListUserChannelsResponseObject, error) {
	inactive := r.Params.IncludeInactive != nil && *r.Params.IncludeInactive
	overview, err := h.service.Channels(api.Context(ctx), sender(ctx), owner(r.Params.IDType, r.UserID), inactive)
	if err != nil {
		return nil, err
	}
	return wire.ListUserChannels200JSONResponse{UserChannelsJSONResponse: wire.UserChannelsJSONResponse{
		User:                 wire.User{IDType: r.Params.IDType, Value: r.UserID},
		HasRegisteredDevices: overview.Devices > 0, RegisteredDeviceCount: overview.Devices, Channels: toChannels(overview.Channels),
	}}, nil
}

// SubmitMatrixEvent serves POST matrix-events.
func (h *handlers) SubmitMatrixEvent(ctx context.Context, r wire.SubmitMatrixEventRequestObject) (wire.SubmitMatrixEventResponseObject, error) {
	receipt, err := h.service.SubmitMatrix(api.Context(ctx), sender(ctx), fromMatrixEvent(r.Body, r.Params.IdempotencyKey))
	if err != nil {
		return nil, err
	}
	return wire.SubmitMatrixEvent202JSONResponse{MatrixAcceptedJSONResponse: wire.MatrixAcceptedJSONResponse{
		NotificationID: receipt.ID, Status: wire.SubmissionStatus(receipt.Status.String()), AcceptedAt: receipt.Accepted,
	}}, nil
}

func sender(ctx context.Context) dispatch.Sender { return api.Identity[dispatch.Sender](ctx) }
