package simulator

// Service names one of the simulated services; it is also its name in the control API.
type Service string

// The services. OAuth is FCM's token endpoint: it has its own listener, so that it can fail alone.
const (
	APNs    Service = "apns"
	FCM     Service = "fcm"
	OAuth   Service = "oauth"
	WebPush Service = "webpush"
)

// AnyToken scripts answers for every token that has no script of its own.
const AnyToken = "*"
