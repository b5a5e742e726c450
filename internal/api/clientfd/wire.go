package clientfd

import (
	"encoding/json"

	wire "github.com/pushgate/pushgate/gen/clientfd"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// fromRequest translates a registration. Members that were null are nil here, except kind: a null one deletes, a missing
// one is an error.
func fromRequest(r *wire.SetPusherRequest) pusher.Change {
	c := pusher.Change{
		AppID: given(r.AppID), Pushkey: given(r.Pushkey),
		AppDisplayName: push.TextFrom(r.AppDisplayName), DeviceDisplayName: push.TextFrom(r.DeviceDisplayName),
		Lang: push.TextFrom(r.Lang), ProfileTag: push.TextFrom(r.ProfileTag),
		Data: push.Object(r.Data), Append: r.Append != nil && *r.Append,
		Delete: r.Kind.IsNull(),
	}
	if kind, err := r.Kind.Get(); err == nil {
		c.Kind = push.NewText(kind)
	}
	if e := r.Encryption; e != nil {
		c.Encryption = &pusher.EncryptionChange{
			Method: given(string(e.Method)), TimeISSCreated: given(e.TimeIssCreated),
			ISS: push.TextFrom(e.Iss), KeyID: given(e.KeyIdentifier),
		}
	}
	return c
}

// given returns the text of a member that the contract wants to hold at least one character: an empty one was absent.
func given(s string) push.Text {
	if s == "" {
		return push.Text{}
	}
	return push.NewText(s)
}

// toPusher translates a registration. profile_tag is there when it was given, even an empty one.
func toPusher(p *pusher.Pusher) wire.Pusher {
	out := wire.Pusher{
		Kind: wire.PusherKind(p.Kind), AppID: string(p.AppID), Pushkey: p.Pushkey.Reveal(),
		AppDisplayName: p.AppDisplayName, DeviceDisplayName: p.DeviceDisplayName, Lang: p.Lang,
		Data: json.RawMessage(p.Data),
	}
	if p.ProfileTag.Present() {
		tag := p.ProfileTag.Reveal()
		out.ProfileTag = &tag
	}
	return out
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
