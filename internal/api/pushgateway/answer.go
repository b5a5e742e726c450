package pushgateway

import (
	"slices"

	wire "github.com/pushgate/pushgate/gen/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
)

// Texts of failed items. The gateway's own texts go before them.
const (
	textAllDead   = "All pushkeys are rejected."
	textUnsettled = "The notification could not be taken over. Send it again."
	textFailed    = "The notification cannot be delivered."
)

// rejected returns the dead pushkeys, each once, in the order of the devices.
func rejected(notifications []push.Notification, deliveries []push.Delivery) []string {
	out := []string{} // required by the contract: never null
	for i, d := range deliveries {
		if d.State != push.StateRejected {
			continue
		}
		if key := notifications[i].Device.Pushkey.Reveal(); !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}

// answer returns one result for each item, in the order of the request, and the summary.
func answer(items []item, deliveries []push.Delivery) wire.BatchResponse {
	out := wire.BatchResponse{Results: make([]wire.BatchResult, len(items)), Summary: wire.BatchSummary{Total: len(items)}}
	for i, it := range items {
		own := deliveries[:len(it.notifications)]
		deliveries = deliveries[len(it.notifications):]
		out.Results[i] = result(it, own)
		switch out.Results[i].Status {
		case wire.BatchResultStatusSuccess:
			out.Summary.Successful++
		case wire.BatchResultStatusPartial:
			out.Summary.Partial++
		case wire.BatchResultStatusFailed:
			out.Summary.Failed++
		}
	}
	return out
}

// result returns the first status that fits: failed when a device failed without being dead, failed when all are dead,
// partial when some are, else success. Dead pushkeys are reported whatever the status is.
func result(it item, deliveries []push.Delivery) wire.BatchResult {
	out := wire.BatchResult{ID: it.id, Status: wire.BatchResultStatusSuccess, Rejected: rejected(it.notifications, deliveries)}
	dead := 0
	for _, d := range deliveries {
		if d.State == push.StateRejected {
			dead++
		}
	}
	text := failureText(deliveries)
	if text == "" && dead == len(deliveries) {
		text = textAllDead
	}
	switch {
	case text != "":
		out.Status, out.Error = wire.BatchResultStatusFailed, &text
	case dead > 0:
		out.Status = wire.BatchResultStatusPartial
	}
	return out
}

// failureText says why the first device failed that is neither taken care of nor dead; empty when there is none.
func failureText(deliveries []push.Delivery) string {
	for _, d := range deliveries {
		text := textFailed
		switch d.State {
		case push.StateDelivered, push.StateQueued, push.StateRejected:
			continue
		case push.StateUnsettled:
			text = textUnsettled
		case push.StateUnknownApp, push.StateUndeliverable:
		}
		if d.Text != "" {
			text = d.Text
		}
		return text
	}
	return ""
}
