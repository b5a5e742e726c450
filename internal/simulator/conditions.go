package simulator

import "time"

// Conditions are how a whole service behaves from now on. The zero value is healthy.
type Conditions struct {
	// Latency delays every answer.
	Latency time.Duration `json:"-"`
	// ErrorRate is the share (0 to 1) of otherwise good requests that get Error instead.
	ErrorRate float64 `json:"error_rate,omitempty"`
	// Error is what they get; zero means 503 in the service's own words.
	Error Answer `json:"error,omitzero"`
	// Outage takes the whole service away.
	Outage Outage `json:"outage,omitempty"`
	// StreamLimit is announced to open connections and to new ones; 0 means Options.StreamLimit.
	StreamLimit uint32 `json:"stream_limit,omitempty"`
	// Certificate is what new connections are shown.
	Certificate Certificate `json:"certificate,omitempty"`
	// ClockSkew moves the service's clock against ours: positive means it is ahead.
	ClockSkew time.Duration `json:"-"`
}

// Outage is a way for a whole service to be away.
type Outage string

// The outages.
const (
	// OutageRefuse refuses TCP connections and resets the open ones.
	OutageRefuse Outage = "refuse"
	// OutageReset accepts TCP connections and resets them at once, the open ones too.
	OutageReset Outage = "reset"
	// OutageSilent goes deaf and dumb on all connections without closing them, as a half-open TCP connection or a NAT
	// that forgot: no TLS handshake, no answer, no PING acknowledgement. What waited is served when it ends.
	OutageSilent Outage = "silent"
	// OutageUnanswered reads requests and never answers them; PINGs are answered.
	OutageUnanswered Outage = "unanswered"
)

// Certificate says which server certificate new connections see.
type Certificate string

// The certificates; empty is the good one.
const (
	CertificateExpired   Certificate = "expired"
	CertificateWrongName Certificate = "wrong_name"
	CertificateWrongCA   Certificate = "wrong_ca"
)

// GoAway is how a service says goodbye to its HTTP/2 connections.
type GoAway struct {
	// Reason is sent as Apple's JSON debug data, {"reason":"..."}; empty sends none.
	Reason string `json:"reason,omitempty"`
	// Unprocessed is the share (0 to 1) of the streams in flight, the youngest, that lie above the last stream id and
	// so were not processed; the others are still answered, then the connection closes.
	Unprocessed float64 `json:"unprocessed,omitempty"`
	// Abort cuts the connection right after the frame; nothing in flight is answered.
	Abort bool `json:"abort,omitempty"`
}
