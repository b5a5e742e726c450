package pusher

// Channel is one channel in a list of a device or of the service.
type Channel struct {
	ID     string
	Status ChannelStatus
}

// Catalog is the configured list of channels in its order. The zero value has none.
type Catalog struct {
	channels []Channel // with their defaults
}

// NewCatalog returns the list that the configuration names.
func NewCatalog(configured []ChannelConfig) Catalog {
	c := Catalog{channels: make([]Channel, 0, len(configured))}
	for _, ch := range configured {
		c.channels = append(c.channels, Channel{ID: ch.ID, Status: ch.Default})
	}
	return c
}

// Defaults returns every channel with its default.
func (c Catalog) Defaults() []Channel { return c.Overlay(nil) }

// Overlay returns every channel with the explicit choice of a device where there is one, else with its default (A_27193).
// A choice for a channel that is no longer configured has no effect.
func (c Catalog) Overlay(choices map[string]ChannelStatus) []Channel {
	list := make([]Channel, len(c.channels))
	copy(list, c.channels)
	for i, ch := range list {
		if chosen, ok := choices[ch.ID]; ok {
			list[i].Status = chosen
		}
	}
	return list
}

// Knows reports whether a channel is configured. Ids are compared exactly.
func (c Catalog) Knows(id string) bool {
	for _, ch := range c.channels {
		if ch.ID == id {
			return true
		}
	}
	return false
}

// Wants reports whether a device with these choices gets the notifications of a channel (A_27196): only enabled does.
func (c Catalog) Wants(choices map[string]ChannelStatus, id string) bool {
	for _, ch := range c.Overlay(choices) {
		if ch.ID == id {
			return ch.Status == ChannelEnabled
		}
	}
	return false
}

// merged is what one pushkey gets that several app_ids are registered with: a channel that one of them has enabled does
// arrive at the phone.
func (c Catalog) merged(devices []map[string]ChannelStatus) []Channel {
	list := c.Overlay(devices[0])
	for _, choices := range devices[1:] {
		for i, ch := range c.Overlay(choices) {
			list[i].Status = max(list[i].Status, ch.Status)
		}
	}
	return list
}
