package dispatch

import (
	"context"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Overview is what a person has switched on, over all devices.
type Overview struct {
	Devices  int // at least 1
	Channels []pusher.Channel
}

// Channels returns the channels that the sender may use, in the order of the configuration: a channel that one device
// has enabled is enabled. Without inactive only those that are enabled. NotFound with CodeUserNotFound when the person
// has no device.
func (d *Dispatcher) Channels(ctx context.Context, from Sender, owner push.Owner, inactive bool) (Overview, error) {
	if owner.Realm != push.RealmFachdienst || owner.User == "" {
		return Overview{}, refuse(push.Invalid, CodeInvalid, "user is not valid")
	}
	devices, err := d.store.Devices(ctx, owner)
	if err != nil {
		return Overview{}, outcome(err)
	}
	if len(devices) == 0 {
		return Overview{}, refuse(push.NotFound, CodeUserNotFound, "the user has no registered device")
	}
	out := Overview{Devices: len(devices), Channels: []pusher.Channel{}}
	merged := d.catalog.Overlay(devices[0].Choices)
	for _, dev := range devices[1:] {
		for i, ch := range d.catalog.Overlay(dev.Choices) {
			merged[i].Status = max(merged[i].Status, ch.Status)
		}
	}
	for _, ch := range merged {
		if from.May(ch.ID) && (inactive || ch.Status == pusher.ChannelEnabled) {
			out.Channels = append(out.Channels, ch)
		}
	}
	return out, nil
}
