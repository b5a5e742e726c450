package apns

import (
	"net/http"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// answer is what Apple said about one notification, already reduced to what is believed.
type answer struct {
	status    int
	reason    string        // Apple's word, empty when the body was not Apple's
	timestamp time.Time     // with 410: when Apple saw the token die; zero when it does not say
	delay     time.Duration // Retry-After, zero when absent or unreadable
}

// class says what an answer is about.
type class uint8

const (
	classUnknown    class = iota // try later
	classDelivered               // accepted
	classDead                    // the token can only be dead
	classGuarded                 // a dead token or a wrong setting
	classDevice                  // later, this device only
	classOutage                  // later, the service has trouble
	classConnection              // later, on another connection
	classMessage                 // this notification can never be delivered
	classConfig                  // the app's settings or credentials are wrong, whatever the token
)

// answerKey is an answer: Apple's status and reason together, because a reason under another status is not Apple's.
type answerKey struct {
	status int
	reason string
}

// table maps Apple's answers to classes.
type table map[answerKey]class

// verdicts is the one table of all answers that Apple documents ("Handling notification responses from APNs").
// Whatever is not in it goes by its status and never rejects.
func verdicts() table {
	return table{
		{410, "Unregistered"}: classDead,
		{410, "ExpiredToken"}: classDead,
		// Some of Apple's pages list ExpiredToken under 400, where no timestamp says since when: guarded.
		{400, "ExpiredToken"}: classGuarded,
		// A token of the other environment is "bad" too, and a wrong topic setting fits no token.
		{400, "BadDeviceToken"}:         classGuarded,
		{400, "DeviceTokenNotForTopic"}: classGuarded,

		// These depend on the settings only, so the next notification of this app would fare the same: pausing keeps
		// them all until somebody has looked.
		{400, "TopicDisallowed"}:            classConfig,
		{400, "BadTopic"}:                   classConfig,
		{400, "MissingTopic"}:               classConfig,
		{403, "InvalidProviderToken"}:       classConfig,
		{403, "MissingProviderToken"}:       classConfig,
		{403, "BadEnvironmentKeyIdInToken"}: classConfig,
		{403, "BadCertificate"}:             classConfig,
		{403, "BadCertificateEnvironment"}:  classConfig,
		{403, "Forbidden"}:                  classConfig,

		// The connection is wedged or ends; another one may work at once. The two 403 turn into a fault when a new
		// connection brings them again: see Client.judge.
		{403, reasonExpiredProviderToken}:    classConnection,
		{403, reasonUnrelatedKey}:            classConnection,
		{429, "TooManyProviderTokenUpdates"}: classConnection,
		{400, "IdleTimeout"}:                 classConnection,
		{503, reasonShutdown}:                classConnection,

		{429, "TooManyRequests"}:     classDevice,
		{500, "InternalServerError"}: classOutage,
		{503, "ServiceUnavailable"}:  classOutage,

		{413, "PayloadTooLarge"}: classMessage,
		// A default_payload that does not fit the push type comes from the app, so it may not pause everybody else's.
		{400, "InvalidPushType"}: classMessage,
		// Our own bugs: the same bytes would fail again.
		{400, "BadCollapseId"}:      classMessage,
		{400, "BadExpirationDate"}:  classMessage,
		{400, "BadMessageId"}:       classMessage,
		{400, "BadPriority"}:        classMessage,
		{400, "DuplicateHeaders"}:   classMessage,
		{400, "MissingDeviceToken"}: classMessage,
		{400, "PayloadEmpty"}:       classMessage,
		{404, "BadPath"}:            classMessage,
		{405, "MethodNotAllowed"}:   classMessage,
	}
}

// Apple's reasons that are named in more places than the table.
const (
	reasonShutdown             = "Shutdown"
	reasonExpiredProviderToken = "ExpiredProviderToken"
	reasonUnrelatedKey         = "UnrelatedKeyIdInToken"
)

// The reasons of ours, beside Apple's. All of them are safe as metric labels.
const (
	reasonOK            = "ok"              // 200
	reasonUnknown       = "unknown"         // an answer that is not in the table
	reasonServerError   = "server_error"    // 5xx without a reason of Apple's, for instance a proxy's error page
	reasonThrottled     = "throttled"       // 429 without a reason of Apple's
	reasonNothingToSend = "nothing_to_send" // Sygnal would not send it either
	reasonBadPushkey    = "bad_pushkey"     // neither hex nor Base64
	reasonTooLarge      = "payload_too_large"
)

// class returns what an answer is about.
func (t table) class(a answer) class {
	if a.status == http.StatusOK {
		return classDelivered // whatever the body says
	}
	return t[answerKey{a.status, a.reason}]
}

// classify turns an answer into an outcome about the device or a fault about us. now bounds the time of death: a later
// one would outlive every re-registration.
func (t table) classify(a answer, now time.Time) (push.Outcome, *push.Fault) {
	switch t.class(a) {
	case classDelivered:
		return push.Outcome{Verdict: push.Delivered, Reason: reasonOK}, nil
	case classDead:
		since := a.timestamp
		if since.After(now) {
			since = now
		}
		return push.Outcome{Verdict: push.Rejected, Reason: a.reason, Since: since, Certain: true}, nil
	case classGuarded:
		return push.Outcome{Verdict: push.Rejected, Reason: a.reason}, nil
	case classDevice:
		return push.Outcome{Reason: a.reason, Delay: a.delay, Scope: push.ScopeDevice}, nil
	case classOutage:
		return outage(a, a.reason), nil
	case classConnection:
		return push.Outcome{
			Reason: a.reason, Delay: a.delay, Scope: push.ScopeConnection, Transport: a.status >= http.StatusInternalServerError,
		}, nil
	case classMessage:
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: a.reason}
	case classConfig:
		return push.Outcome{}, &push.Fault{Kind: push.FaultConfig, Reason: a.reason}
	case classUnknown:
	}
	return unlisted(a), nil
}

// unlisted judges an answer that is not in the table by the family of its status. It can only say "later".
func unlisted(a answer) push.Outcome {
	switch {
	case a.status >= http.StatusInternalServerError && a.status < 600:
		return outage(a, reasonServerError)
	case a.status == http.StatusTooManyRequests:
		return push.Outcome{Reason: reasonThrottled, Delay: a.delay}
	default:
		return push.Outcome{Reason: reasonUnknown, Delay: a.delay}
	}
}

// outage is a 5xx. One 5xx concerns one notification and the breaker judges the rest; with a Retry-After it is the
// service that speaks, about everything.
func outage(a answer, reason string) push.Outcome {
	out := push.Outcome{Reason: reason, Delay: a.delay, Transport: true}
	if a.delay > 0 {
		out.Scope = push.ScopeApp
	}
	return out
}

// judge turns the answer to an attempt into its outcome or fault. A wedged connection is replaced and worth another
// attempt; what a new connection brings again is a wrong setting.
func (c *Client) judge(a *attempt) (push.Outcome, *push.Fault) {
	switch {
	case a.answer.status != http.StatusForbidden:
	case a.answer.reason == reasonExpiredProviderToken && !c.renew(a.bearer) && !a.worked:
		c.logger.Error("apns: a fresh provider token is called expired, check the clock")
		return push.Outcome{}, &push.Fault{Kind: push.FaultConfig, Reason: a.answer.reason}
	case a.answer.reason == reasonUnrelatedKey && !a.worked:
		return push.Outcome{}, &push.Fault{Kind: push.FaultConfig, Reason: a.answer.reason}
	}
	return c.verdicts.classify(a.answer, c.now())
}

// renew has a provider token that was called expired replaced, and reports whether that can be expected to help.
func (c *Client) renew(old *bearer) bool {
	return c.transport.bearers != nil && c.transport.bearers.refused(old)
}
