package clientfd

import (
	"encoding/json"

	wire "github.com/pushgate/pushgate/gen/clientfd"
	"github.com/pushgate/pushgate/internal/api/registration"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// fromRequest translates a registration.
func fromRequest(r *wire.SetPusherRequest) pusher.Change {
	c := registration.Members{
		Kind: r.Kind, AppID: r.AppID, Pushkey: r.Pushkey, AppDisplayName: r.AppDisplayName, DeviceDisplayName: r.DeviceDisplayName,
		Lang: r.Lang, Profile: r.ProfileTag, Data: r.Data, Append: r.Append,
	}.Change()
	if e := r.Encryption; e != nil {
		c.Encryption = &pusher.EncryptionChange{
			Method: registration.Given(string(e.Method)), TimeISSCreated: registration.Given(e.TimeIssCreated),
			ISS: push.TextFrom(e.Iss), KeyID: registration.Given(e.KeyIdentifier),
		}
	}
	return c
}

// toPusher translates a registration. profile_tag is there when it was given, even an empty one.
func toPusher(p *pusher.Pusher) wire.Pusher {
	return wire.Pusher{
		Kind: wire.PusherKind(p.Kind), AppID: string(p.AppID), Pushkey: p.Pushkey.Reveal(),
		AppDisplayName: p.AppDisplayName, DeviceDisplayName: p.DeviceDisplayName, Lang: p.Lang, ProfileTag: p.ProfileTag.RevealPointer(),
		Data: json.RawMessage(p.Data),
	}
}

func fromChannels(r *wire.ChannelsRequest) []pusher.ChannelChange {
	out := make([]pusher.ChannelChange, len(r.Channels))
	for i, ch := range r.Channels {
		out[i] = pusher.ChannelChange{ID: ch.ID, Status: string(ch.Status)}
	}
	return out
}

func toChannels(list []pusher.Channel) wire.ChannelsJSONResponse {
	out := wire.ChannelsJSONResponse{Channels: make([]wire.Channel, len(list))}
	for i, ch := range list {
		out.Channels[i] = wire.Channel{ID: ch.ID, Status: wire.ChannelStatus(ch.Status.String())}
	}
	return out
}
