package registration

import (
	"encoding/json"

	"github.com/oapi-codegen/nullable"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// Members are those of POST pushers/set that both contracts have, as their generated types hold them: a member that was
// null is nil, except for Kind, where null and absent differ.
type Members struct {
	Kind                                             nullable.Nullable[string]
	AppID, Pushkey                                   string
	AppDisplayName, DeviceDisplayName, Lang, Profile *string
	Data                                             json.RawMessage
	Append                                           *bool
}

// Change translates them. A null kind deletes, a missing one is an error that the registry finds.
func (m Members) Change() pusher.Change {
	c := pusher.Change{
		AppID: Given(m.AppID), Pushkey: Given(m.Pushkey),
		AppDisplayName: push.TextFrom(m.AppDisplayName), DeviceDisplayName: push.TextFrom(m.DeviceDisplayName),
		Lang: push.TextFrom(m.Lang), ProfileTag: push.TextFrom(m.Profile),
		Data: push.Object(m.Data), Append: m.Append != nil && *m.Append,
		Delete: m.Kind.IsNull(),
	}
	if kind, err := m.Kind.Get(); err == nil {
		c.Kind = push.NewText(kind)
	}
	return c
}

// Given returns the text of a member that the contracts want to hold at least one character: an empty one was absent.
func Given(s string) push.Text {
	if s == "" {
		return push.Text{}
	}
	return push.NewText(s)
}
