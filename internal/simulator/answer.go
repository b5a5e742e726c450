package simulator

import "time"

// Answer is what a service says to one request. The zero value is the healthy answer (200, Web Push 201).
type Answer struct {
	// Status is the HTTP status; 0 takes the one that belongs to Reason.
	Status int `json:"status,omitempty"`
	// Reason is the word of the service: an APNs reason ("Unregistered"), an FCM errorCode ("UNREGISTERED") or a
	// google.rpc status without FcmError ("PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND"), an OAuth error
	// ("invalid_grant"). Web Push has none: its text is free.
	Reason string `json:"reason,omitempty"`
	// Detail refines FCM's errors: for INVALID_ARGUMENT the field named in fieldViolations ("message.token"), for
	// QUOTA_EXCEEDED the subject of the violation.
	Detail string `json:"detail,omitempty"`
	// Timestamp goes with an APNs 410; the zero time means now. time.UnixMilli(0) is sent as 0.
	Timestamp time.Time `json:"timestamp,omitzero"`
	// NoTimestamp leaves it out.
	NoTimestamp bool `json:"no_timestamp,omitempty"`
	// RetryAfter is the header's value as it is sent: "30", an HTTP date, or nonsense.
	RetryAfter string `json:"retry_after,omitempty"`
	// Header adds headers, or replaces the service's own.
	Header map[string]string `json:"header,omitempty"`
	// Body replaces the service's body, byte for byte; a pointer to "" is an empty one.
	Body *string `json:"body,omitempty"`
	// ContentType goes with Body; empty means application/json.
	ContentType string `json:"content_type,omitempty"`
	// Delay is added to the latency of the service.
	Delay time.Duration `json:"-"`
	// Fault breaks the exchange in place of an answer.
	Fault Fault `json:"fault,omitempty"`
	// Delivered says that a notification whose exchange broke by Fault reached its device all the same.
	Delivered bool `json:"delivered,omitempty"`
	// Close ends the connection after this answer: GOAWAY on HTTP/2, where other streams still get their answers.
	Close bool `json:"close,omitempty"`
	// Times is for how many requests in a row this answer stands: 0 means one, Forever does not end.
	Times int `json:"times,omitempty"`

	text string // the service's message, when a rule was broken
	bare bool   // without details
}

// Forever makes a scripted answer stick.
const Forever = -1

// Fault is a way to break one exchange.
type Fault string

// The faults of one exchange.
const (
	// FaultHang never answers; the connection stays alive and other streams are served.
	FaultHang Fault = "hang"
	// FaultReset ends the stream with RST_STREAM INTERNAL_ERROR (HTTP/1.1: the connection is closed).
	FaultReset Fault = "reset_stream"
	// FaultRefuse ends the stream with RST_STREAM REFUSED_STREAM: provably not processed.
	FaultRefuse Fault = "refuse_stream"
	// FaultGoAway says GOAWAY with a last stream id below this stream, Reason as its debug data; streams before it are
	// still answered.
	FaultGoAway Fault = "goaway"
	// FaultDisconnect resets the TCP connection with everything on it.
	FaultDisconnect Fault = "disconnect"
	// FaultTruncate sends the header and half of the body, then ends the stream with an error.
	FaultTruncate Fault = "truncate"
	// FaultAbandoned is only seen in receipts: the connection was taken away before the answer, by a condition, an
	// outage or GOAWAY.
	FaultAbandoned Fault = "abandoned"
)

// HTMLError is an error page as a load balancer in front of Google sends it: no JSON, no reason.
func HTMLError(status int) Answer {
	page := "<!DOCTYPE html>\n<html lang=en>\n<title>Error (Server Error)!!1</title>\n<p>The server encountered a temporary error.\n</html>\n"
	return Answer{Status: status, Body: &page, ContentType: "text/html; charset=UTF-8"}
}
