package pusher

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pushgate/pushgate/internal/monthkey"
	"github.com/pushgate/pushgate/internal/push"
)

// KindHTTP is the only kind of pusher there is: a gateway is called over HTTP.
const KindHTTP = "http"

// Key identifies a pusher. The parts are a tuple, never a joined string: ("a:b","c") and ("a","b:c") differ.
type Key struct {
	Owner   push.Owner
	AppID   push.AppID   // 1 to 64 characters
	Pushkey push.Pushkey // 1 to 512 bytes of UTF-8
}

// Pusher is a user's registration of one device. In the Fachdienst realm everything about it but Realm, AppID, Kind and
// the times is personal and encrypted at rest; the pushkey is encrypted at rest in both realms.
type Pusher struct {
	Key
	Kind              string // KindHTTP
	AppDisplayName    string
	DeviceDisplayName string
	Lang              string
	ProfileTag        push.Text // optional: absent and empty differ
	// Data is the app's object verbatim, url included: custom members and the digits of numbers survive.
	Data push.Object
	// URL is data.url, the gateway to call. It says nothing that Data does not: the store needs it to find pushers by it.
	URL string
	// DeviceID is the session that registered the pusher first; empty when its token names none.
	DeviceID string
	// Created is the first registration of this Key, Updated the latest one, both stamped by the store's clock to the
	// microsecond. On the wire (pushkey_ts) Updated is whole unix seconds.
	Created time.Time
	Updated time.Time
	// Encryption is set when messages must be sealed for this device.
	Encryption *Encryption
}

// Encryption is what a sender needs to seal messages for one device. The ISS it came from is not kept (A_27157).
type Encryption struct {
	// KeyID is key_identifier, chosen by the app and opaque: it is echoed byte for byte.
	KeyID push.Text
	// Generation is the newest month of the key chain.
	Generation monthkey.Generation
}

// describe is what printing shows: the one member that is configuration and not about a person.
func (p Pusher) describe() string { return "pusher of " + string(p.AppID) }

// String and its siblings keep names, data and the person out of logs and error texts.
func (p Pusher) String() string { return p.describe() }

// GoString hides it from %#v.
func (p Pusher) GoString() string { return p.describe() }

// Format hides it from every verb.
func (p Pusher) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.describe())) }

// LogValue hides it from log/slog.
func (p Pusher) LogValue() slog.Value { return slog.StringValue(p.describe()) }
