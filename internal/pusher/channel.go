package pusher

import (
	"errors"
)

// ChannelStatus says whether a device wants the notifications of a channel.
type ChannelStatus uint8

// The states. The zero value is not set, which counts as off: nobody is notified who did not ask for it.
const (
	ChannelNotSet ChannelStatus = iota
	ChannelDisabled
	ChannelEnabled
)

// errChannelStatus names the words that may stand for a status.
var errChannelStatus = errors.New("must be enabled, disabled or not_set")

// String returns the wire word. Apps decode it into a closed list, so there is no fourth.
func (s ChannelStatus) String() string {
	switch s {
	case ChannelEnabled:
		return "enabled"
	case ChannelDisabled:
		return "disabled"
	default:
		return "not_set"
	}
}

// ParseChannelStatus reads a wire word, exactly as spelled.
func ParseChannelStatus(s string) (ChannelStatus, error) {
	switch s {
	case "enabled":
		return ChannelEnabled, nil
	case "disabled":
		return ChannelDisabled, nil
	case "not_set":
		return ChannelNotSet, nil
	default:
		return ChannelNotSet, errChannelStatus
	}
}

// MarshalText and UnmarshalText spell the status in configuration and in exports.
func (s ChannelStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the way back of MarshalText.
func (s *ChannelStatus) UnmarshalText(text []byte) error {
	parsed, err := ParseChannelStatus(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
