package simulator

import "time"

// Receipt is one notification as it arrived, and what became of it. A notification is entered when its answer is
// sent, not when it was read: what this side broke (outage, GOAWAY above the last stream id, faults) was not
// processed and is not Delivered; what the caller gave up waiting for was.
type Receipt struct {
	// Seq counts from 1 without gaps, over all services.
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Service Service   `json:"service"`
	// Conn numbers the connection and Stream the HTTP/2 stream on it (0 on HTTP/1.1).
	Conn   uint64 `json:"conn"`
	Stream uint32 `json:"stream,omitempty"`
	// Token is the APNs device token (hex), the FCM registration token or the Web Push subscription's id.
	Token string `json:"token,omitempty"`
	// Topic is apns-topic, the FCM project or the Web Push Topic header.
	Topic string `json:"topic,omitempty"`
	// ID is the apns-id, the name of the FCM message or the id of the Web Push message.
	ID         string `json:"id,omitempty"`
	CollapseID string `json:"collapse_id,omitempty"`
	PushType   string `json:"push_type,omitempty"`
	// Priority is apns-priority, android.priority or Urgency as it was sent.
	Priority string `json:"priority,omitempty"`
	// Expiration is apns-expiration, android.ttl or TTL as it was sent.
	Expiration string `json:"expiration,omitempty"`
	// KeyID is the credential that vouched: the APNs key id, the certificate's serial number ("cert:..."), the
	// service account's e-mail address or the VAPID public key.
	KeyID string `json:"key_id,omitempty"`
	// Header is the request's header, names in lower case, without authorization.
	Header map[string]string `json:"header,omitempty"`
	// Payload is the body as sent; for Web Push the decrypted text. In JSON it is text, or payload_base64 if it is
	// not UTF-8.
	Payload []byte `json:"-"`
	// Size counts the body's bytes as sent.
	Size int `json:"size"`
	// Status is 0 when no answer was given.
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Problem says which rule was broken, in words.
	Problem string `json:"problem,omitempty"`
	// Fault is how the exchange was broken, by a script or a condition.
	Fault Fault `json:"fault,omitempty"`
	// Unheard says that the caller had gone when the answer was ready.
	Unheard bool `json:"unheard,omitempty"`
	// Delivered says that the notification counts as handed to its device.
	Delivered bool `json:"delivered"`
}
