package registry

import "github.com/pushgate/pushgate/internal/monthkey"

// Reseal seals the values of a pusher's row under the current key. Nothing else about the row changes.
func (c Codec) Reseal(r Row) (Row, error) {
	body, err := c.Sealer.Open(r.place(tablePusher, "body"), r.Body)
	if err != nil {
		return r, err
	}
	r.Body = c.Sealer.Seal(r.place(tablePusher, "body"), body)
	if r.Device == nil {
		return r, nil
	}
	device, err := c.Sealer.Open(r.place(tablePusher, "device"), r.Device)
	if err != nil {
		return r, err
	}
	r.Device = c.Sealer.Seal(r.place(tablePusher, "device"), device)
	return r, nil
}

// ResealKeys seals a key chain under the current key.
func (c Codec) ResealKeys(k Key, month int32, sealed []byte) ([]byte, error) {
	place := k.keysPlace(monthkey.Month(month))
	plain, err := c.Sealer.Open(place, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return c.Sealer.Seal(place, plain), nil
}
