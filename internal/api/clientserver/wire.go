package clientserver

import (
	"encoding/json"

	wire "github.com/pushgate/pushgate/gen/clientserver"
	"github.com/pushgate/pushgate/internal/api/registration"
	"github.com/pushgate/pushgate/internal/pusher"
)

// fromRequest translates a body.
func fromRequest(r *wire.SetPusherRequest) pusher.Change {
	return registration.Members{
		Kind: r.Kind, AppID: r.AppID, Pushkey: r.Pushkey, AppDisplayName: r.AppDisplayName, DeviceDisplayName: r.DeviceDisplayName,
		Lang: r.Lang, Profile: r.ProfileTag, Data: r.Data, Append: r.Append,
	}.Change()
}

// toPusher translates a pusher. profile_tag is there when the registration had one, even an empty one.
func toPusher(p *pusher.Pusher) wire.Pusher {
	return wire.Pusher{
		Kind: wire.PusherKind(p.Kind), AppID: string(p.AppID), Pushkey: p.Pushkey.Reveal(),
		AppDisplayName: p.AppDisplayName, DeviceDisplayName: p.DeviceDisplayName, Lang: p.Lang, ProfileTag: p.ProfileTag.RevealPointer(),
		Data: json.RawMessage(p.Data),
	}
}
