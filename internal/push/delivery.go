package push

// State is what became of one device's notification by the time the caller is answered.
type State uint8

// The states. The zero value promises nothing, so a forgotten one never acknowledges.
const (
	StateUnsettled     State = iota // neither delivered nor stored: the caller must repeat the request
	StateDelivered                  // accepted by the provider, now or by an earlier copy
	StateQueued                     // durably stored for later
	StateRejected                   // the pushkey is dead, the caller removes the pusher
	StateUnknownApp                 // no such app for this caller
	StateUndeliverable              // the notification itself can never be delivered (dead-lettered)
)

// Delivery is the gateway's answer for one notification, in the order of the request.
type Delivery struct {
	State State
	// Text says in a fixed sentence why a device failed (StateUnknownApp, StateUndeliverable, StateUnsettled).
	// It may leave the house: it never holds anything from the request or a provider.
	Text string
}

// Path is the door a caller came through.
type Path uint8

// The doors.
const (
	PathGematik Path = iota // /push/v1: identified by a client certificate
	PathMatrix              // /_matrix/push/v1: anonymous
)

// Caller is who calls the gateway. Names are the subject alternative names (DNS, URI) of a verified client
// certificate, empty for anonymous callers.
type Caller struct {
	Path  Path
	Names []string
}
