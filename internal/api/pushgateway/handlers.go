package pushgateway

import (
	"context"
	"fmt"

	wire "github.com/pushgate/pushgate/gen/pushgateway"
	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/push"
)

// handlers implement the contract: translate, deliver, translate back.
type handlers struct {
	deliverer Deliverer
	batch     batchRules
}

var _ wire.StrictServerInterface = (*handlers)(nil)

// MatrixNotify serves POST /_matrix/push/v1/notify.
func (h *handlers) MatrixNotify(ctx context.Context, r wire.MatrixNotifyRequestObject) (wire.MatrixNotifyResponseObject, error) {
	rejected, err := h.notify(ctx, fromMatrix(&r.Body.Notification))
	if err != nil {
		return nil, err
	}
	return wire.MatrixNotify200JSONResponse{NotifiedJSONResponse: wire.NotifiedJSONResponse{Rejected: rejected}}, nil
}

// Notify serves POST /push/v1/notify.
func (h *handlers) Notify(ctx context.Context, r wire.NotifyRequestObject) (wire.NotifyResponseObject, error) {
	rejected, err := h.notify(ctx, fromPlain(&r.Body.Notification))
	if err != nil {
		return nil, err
	}
	return wire.Notify200JSONResponse{NotifiedJSONResponse: wire.NotifiedJSONResponse{Rejected: rejected}}, nil
}

// NotifyBatch serves POST /push/v1/notify/batch.
func (h *handlers) NotifyBatch(ctx context.Context, r wire.NotifyBatchRequestObject) (wire.NotifyBatchResponseObject, error) {
	items := make([]item, len(r.Body.Notifications))
	for i := range r.Body.Notifications {
		items[i] = item{id: r.Body.Notifications[i].ID, notifications: fromPlain(&r.Body.Notifications[i].Notification)}
	}
	answer, err := h.deliverBatch(ctx, items)
	if err != nil {
		return nil, err
	}
	return wire.NotifyBatch200JSONResponse{BatchDoneJSONResponse: wire.BatchDoneJSONResponse(answer)}, nil
}

// NotifyEncryptedBatch serves POST /push/v1/notifyEncrypted/batch.
func (h *handlers) NotifyEncryptedBatch(ctx context.Context, r wire.NotifyEncryptedBatchRequestObject) (wire.NotifyEncryptedBatchResponseObject, error) {
	items := make([]item, len(r.Body.Notifications))
	for i := range r.Body.Notifications {
		items[i] = item{id: r.Body.Notifications[i].ID, notifications: fromEncrypted(&r.Body.Notifications[i].Notification)}
	}
	answer, err := h.deliverBatch(ctx, items)
	if err != nil {
		return nil, err
	}
	return wire.NotifyEncryptedBatch200JSONResponse{BatchDoneJSONResponse: wire.BatchDoneJSONResponse(answer)}, nil
}

// maxFanOut bounds the bytes that one anonymous request makes us read again and again: the event for each device. A Matrix
// event has at most 64 KiB, so even with 250 devices it stays below.
const maxFanOut = 16 << 20

// weight is how many bytes the members of an event have that the notifications of a request share.
func weight(e *push.Event) int {
	n := len(e.Content)
	for _, t := range []push.Text{e.ID, e.RoomID, e.Type, e.Sender, e.SenderDisplayName, e.RoomName, e.RoomAlias, e.Membership} {
		n += len(t.Reveal())
	}
	return n
}

// notify delivers the devices of one notification and returns the dead pushkeys. It has no way to say that a device
// failed, so a device that is not taken care of fails the request.
func (h *handlers) notify(ctx context.Context, notifications []push.Notification) ([]string, error) {
	if n := len(notifications); n > 1 && n*weight(notifications[0].Event) > maxFanOut {
		return nil, &push.Error{Kind: push.TooLarge, Msg: "Too large an event for so many devices."}
	}
	deliveries, err := h.deliver(ctx, notifications)
	if err != nil {
		return nil, err
	}
	for _, d := range deliveries {
		if d.State == push.StateUnsettled {
			return nil, &push.Error{Kind: push.Unavailable}
		}
	}
	return rejected(notifications, deliveries), nil
}

// deliverBatch holds the items against the rules of batches and delivers all their devices in one call.
func (h *handlers) deliverBatch(ctx context.Context, items []item) (wire.BatchResponse, error) {
	if err := h.batch.check(items, api.Sizes(ctx)); err != nil {
		return wire.BatchResponse{}, err
	}
	var all []push.Notification
	for _, it := range items {
		all = append(all, it.notifications...)
	}
	deliveries, err := h.deliver(ctx, all)
	if err != nil {
		return wire.BatchResponse{}, err
	}
	return answer(items, deliveries), nil
}

// deliver makes the one call to the gateway.
func (h *handlers) deliver(ctx context.Context, notifications []push.Notification) ([]push.Delivery, error) {
	deliveries, err := h.deliverer.Deliver(api.Context(ctx), api.Identity[push.Caller](ctx), notifications)
	if err != nil {
		return nil, err
	}
	if len(deliveries) != len(notifications) {
		return nil, fmt.Errorf("%d notifications, but %d deliveries", len(notifications), len(deliveries))
	}
	return deliveries, nil
}
