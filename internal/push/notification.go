package push

import "time"

// AppID names an app on one platform, as the pusher was registered with it. At most 64 characters. It is public
// configuration, not a secret, and may appear in logs; as a metric label only when it is configured.
type AppID string

// Priority says whether a notification may wake the phone. The zero value is high: both APIs say that an absent prio
// means high.
type Priority uint8

// The two priorities.
const (
	High Priority = iota
	Low
)

// String returns the wire word, high or low.
func (p Priority) String() string {
	if p == Low {
		return "low"
	}
	return "high"
}

// Counts are the caller's badge numbers. Nil means not sent, which differs from zero: zero clears a badge.
type Counts struct {
	Unread      *int64
	MissedCalls *int64
}

// Present reports whether any count was sent.
func (c Counts) Present() bool { return c.Unread != nil || c.MissedCalls != nil }

// Sum returns unread plus missed calls over those that were sent.
func (c Counts) Sum() int64 {
	var n int64
	if c.Unread != nil {
		n += *c.Unread
	}
	if c.MissedCalls != nil {
		n += *c.MissedCalls
	}
	return n
}

// Device is one target of a notification.
type Device struct {
	AppID   AppID
	Pushkey Pushkey
	// PushkeyTS is when the pushkey was last registered, in whole unix seconds; 0 when the caller does not say.
	PushkeyTS int64
	// Data is the pusher's data without url, and Tweaks what push rules added, both verbatim.
	Data   Object
	Tweaks Object
}

// RegisteredAt returns PushkeyTS as a time and whether there is one.
func (d Device) RegisteredAt() (time.Time, bool) {
	if d.PushkeyTS <= 0 {
		return time.Time{}, false
	}
	return time.Unix(d.PushkeyTS, 0), true
}

// Notification is one message for one device. A request with n devices becomes n notifications that share Event.
// Exactly one of Event and Sealed is set.
type Notification struct {
	Device   Device
	Priority Priority
	Counts   Counts
	Event    *Event  // plain: Matrix /notify, gematik notify and notify/batch
	Sealed   *Sealed // encrypted: gematik notifyEncrypted/batch
	// Deadline is when it is not worth delivering any more, for the provider of one attempt; zero where nobody has said.
	Deadline time.Time
}

// BadgeOnly reports whether the notification only carries counts: no event, nothing to show. Homeservers send such
// updates with event_id absent, null or empty.
func (n Notification) BadgeOnly() bool {
	return n.Event != nil && n.Event.ID.Empty()
}

// Event is what a homeserver tells about a Matrix event. It is shared between the notifications of one request and
// must not be changed.
type Event struct {
	ID                Text
	RoomID            Text
	Type              Text
	Sender            Text
	SenderDisplayName Text
	RoomName          Text
	RoomAlias         Text
	Membership        Text
	UserIsTarget      bool
	// Content is the event's content verbatim.
	Content Object
}

// IDOnly reports whether the caller sent an event in the event_id_only format: an id, and no type.
func (e *Event) IDOnly() bool { return !e.ID.Empty() && e.Type.Empty() }

// Sealed is a message that only the app can open (gemF_PushNotification).
type Sealed struct {
	Ciphertext    Text   // Base64, exactly 1404 characters
	Month         string // time_message_encrypted, yyyy-MM by convention, opaque here
	KeyIdentifier Text   // opaque, echoed byte for byte
	Identifier    Text   // optional
}
