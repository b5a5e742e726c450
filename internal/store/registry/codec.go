package registry

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/keyring"
)

// The tables, which both engines call the same. The names are part of what sealed values are bound to.
const (
	tablePusher   = "pusher"
	tableMonthKey = "month_key"
)

// Codec turns pushers into rows and back. It is safe for concurrent use.
type Codec struct {
	Sealer *keyring.Sealer
	Hasher *keyring.Hasher
}

// Key finds the row of one pusher: equal keys have equal hashes, and no two realms share one.
type Key struct {
	Owner   push.Hash // of realm and user
	Pushkey push.Hash // of realm and pushkey
	AppID   string    // in clear: it names an app, not a person
}

// Row is a pusher as it is stored.
type Row struct {
	Key
	Gateway push.Hash // of realm and URL
	Session []byte    // hash of the owner and the device id; nil when there is none
	Device  []byte    // sealed device id, apart because it outlives updates of the rest; nil when there is none
	Body    []byte    // sealed: everything else
	Created int64     // unix microseconds
	Updated int64
}

// Owner is the hash that all pushers of a person carry.
func (c Codec) Owner(o push.Owner) push.Hash {
	return c.Hasher.Hash("pusher owner", string(o.Realm), o.User.Reveal())
}

// Pushkey is the hash that all pushers of a realm with one pushkey carry.
func (c Codec) Pushkey(realm push.Realm, key push.Pushkey) push.Hash {
	return c.Hasher.Hash("pusher pushkey", string(realm), key.Reveal())
}

// Gateway is the hash that all pushers of a realm carry that are sent through one URL.
func (c Codec) Gateway(realm push.Realm, url string) push.Hash {
	return c.Hasher.Hash("pusher gateway", string(realm), url)
}

// Session is the hash that all pushers of one session carry.
func (c Codec) Session(o push.Owner, deviceID string) []byte {
	if deviceID == "" {
		return nil
	}
	h := c.Hasher.Hash("pusher session", string(o.Realm), o.User.Reveal(), deviceID)
	return h[:]
}

// Key is where a pusher is stored.
func (c Codec) Key(k pusher.Key) Key {
	return Key{Owner: c.Owner(k.Owner), Pushkey: c.Pushkey(k.Owner.Realm, k.Pushkey), AppID: string(k.AppID)}
}

// place binds a value to the pusher's lasting identity. A row's number is not known yet when its values are sealed.
func (k Key) place(table, column string) keyring.Place {
	row := make([]byte, 0, len(k.Owner)+len(k.Pushkey)+len(k.AppID))
	row = append(append(append(row, k.Owner[:]...), k.Pushkey[:]...), k.AppID...) // two of fixed length, so no two keys look alike
	return keyring.Place{Table: table, Column: column, Row: row}
}

// Seal returns the row of a pusher, without its times.
func (c Codec) Seal(p pusher.Pusher) Row {
	r := Row{Key: c.Key(p.Key), Gateway: c.Gateway(p.Owner.Realm, p.URL), Session: c.Session(p.Owner, p.DeviceID)}
	if p.DeviceID != "" {
		r.Device = c.Sealer.Seal(r.place(tablePusher, "device"), []byte(p.DeviceID))
	}
	r.Body = c.Sealer.Seal(r.place(tablePusher, "body"), appendBody(nil, p))
	return r
}

// Open is the way back of Seal.
func (c Codec) Open(r Row) (pusher.Pusher, error) {
	body, err := c.Sealer.Open(r.place(tablePusher, "body"), r.Body)
	if err != nil {
		return pusher.Pusher{}, fmt.Errorf("open a pusher: %w", err)
	}
	p, err := parseBody(body)
	if err != nil {
		return pusher.Pusher{}, fmt.Errorf("open a pusher: %w", err)
	}
	if r.Device != nil {
		device, err := c.Sealer.Open(r.place(tablePusher, "device"), r.Device)
		if err != nil {
			return pusher.Pusher{}, fmt.Errorf("open the session of a pusher: %w", err)
		}
		p.DeviceID = string(device)
	}
	p.AppID = push.AppID(r.AppID)
	p.Created, p.Updated = Time(r.Created), Time(r.Updated)
	return p, nil
}

// SealKeys returns the month and the sealed value of a key chain. The month is bound to the value.
func (c Codec) SealKeys(k Key, e pusher.Encryption) (month int32, sealed []byte) {
	plain := append(appendField(nil, e.KeyID.Reveal()), e.Generation.RevealKeys()...)
	defer clear(plain)
	m := e.Generation.Month()
	return int32(m), c.Sealer.Seal(k.keysPlace(m), plain)
}

// OpenKeys is the way back of SealKeys.
func (c Codec) OpenKeys(k Key, month int32, sealed []byte) (*pusher.Encryption, error) {
	m := monthkey.Month(month)
	plain, err := c.Sealer.Open(k.keysPlace(m), sealed)
	if err != nil {
		return nil, fmt.Errorf("open a key chain: %w", err)
	}
	defer clear(plain)
	r := reader{rest: plain}
	id := r.field()
	if r.bad {
		return nil, fmt.Errorf("open a key chain: %w", keyring.ErrCorrupt)
	}
	g, err := monthkey.RestoreGeneration(m, r.rest)
	if err != nil {
		return nil, fmt.Errorf("open a key chain: %w", err)
	}
	return &pusher.Encryption{KeyID: push.NewText(id), Generation: g}, nil
}

func (k Key) keysPlace(m monthkey.Month) keyring.Place {
	p := k.place(tableMonthKey, "body")
	p.Row = append(binary.BigEndian.AppendUint32(nil, uint32(m)), p.Row...)
	return p
}

// Stamp turns a time of the store's clock into what the tables hold. The zero time is before everything.
func Stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the way back of Stamp, exactly: senders hand Updated back to be compared.
func Time(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
