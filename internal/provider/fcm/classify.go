package fcm

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// The reasons that an Outcome or a Fault can carry, safe as metric labels: FCM's own words in capitals, ours in small
// letters. Nothing else that FCM wrote ever becomes a reason. Those without an answer are in transport.go, those of the
// access token in token.go.
const (
	reasonUnregistered     = "UNREGISTERED"
	reasonSenderMismatch   = "SENDER_ID_MISMATCH"
	reasonInvalidArgument  = "INVALID_ARGUMENT"
	reasonNotFound         = "NOT_FOUND"
	reasonPermissionDenied = "PERMISSION_DENIED"
	reasonThirdPartyAuth   = "THIRD_PARTY_AUTH_ERROR"
	reasonUnauthenticated  = "UNAUTHENTICATED"
	reasonQuotaExceeded    = "QUOTA_EXCEEDED"
	reasonInternal         = "INTERNAL"
	reasonUnavailable      = "UNAVAILABLE"
	reasonUnspecified      = "UNSPECIFIED_ERROR"

	reasonInvalidToken  = "invalid_token" // INVALID_ARGUMENT that names message.token
	reasonServerError   = "server_error"  // 5xx, for instance a front end's error page
	reasonNoReceipt     = "no_receipt"    // 200 without a message name: it was not FCM who answered
	reasonUnknown       = "unknown"       // an answer that no line of the table knows
	reasonDelivered     = "delivered"
	reasonNothingToSend = "nothing_to_send" // Sygnal would not send it either
	reasonBadPushkey    = "bad_pushkey"     // empty or not UTF-8
	reasonEmpty         = "empty"           // neither an event nor a ciphertext
	reasonTooLarge      = "payload_too_large"
)

const (
	// quotaDelay is FCM's floor after a 429 without Retry-After.
	quotaDelay = time.Minute
	// maxDelay bounds an absurd Retry-After. No notification lives longer (design.md 2).
	maxDelay = 24 * time.Hour
	// tokenDelay keeps the app still while its next attempt fetches a fresh access token.
	tokenDelay = time.Second
)

// answer is what FCM said to one request.
type answer struct {
	status     int
	retryAfter time.Duration
	body       []byte // at most maxAnswer bytes
}

// ruling is the meaning of an answer. The zero value is the harmless one: try later.
type ruling struct {
	outcome push.Outcome
	fault   *push.Fault
	// tokenRefused marks a 401 about our own access token, which only the caller can judge: it knows how fresh it is.
	tokenRefused bool
}

// Conditions and codes of a rule that are not FCM's own words.
const (
	anyStatus = 0
	noCode    = ""  // the answer carries no FcmError detail
	anyCode   = "*" // whatever the detail says, or none
)

// rule is one line of the table: which answers it speaks for, and what they mean.
type rule struct {
	status int
	code   string              // FcmError.errorCode
	when   func(errorDoc) bool // nil: always
	ruling ruling
}

// table is the one place that turns FCM's answers into verdicts; the first line that fits holds. Facts: providers 1.2,
// with design.md section 2 above them. A pushkey is rejected by exactly three lines, each of which needs FCM's own
// word for it together with the status that belongs to it.
func table() []rule {
	return []rule{
		{http.StatusNotFound, reasonUnregistered, nil, rejected(reasonUnregistered, true)},
		{http.StatusForbidden, reasonSenderMismatch, nil, rejected(reasonSenderMismatch, false)},
		{http.StatusBadRequest, reasonInvalidArgument, errorDoc.blamesToken, rejected(reasonInvalidToken, false)},
		{http.StatusBadRequest, noCode, errorDoc.blamesToken, rejected(reasonInvalidToken, false)},

		{http.StatusBadRequest, reasonInvalidArgument, nil, fault(push.FaultMessage, reasonInvalidArgument)},
		{http.StatusBadRequest, noCode, errorDoc.invalidArgument, fault(push.FaultMessage, reasonInvalidArgument)}, // oversize comes without a detail

		{http.StatusNotFound, noCode, nil, fault(push.FaultConfig, reasonNotFound)}, // wrong project or wrong URL
		{http.StatusForbidden, noCode, nil, fault(push.FaultConfig, reasonPermissionDenied)},
		// Firebase's own key for Apple or browsers is wrong or missing. Only tokens from there hear it, and anybody can make one
		// for a browser, so it may not pause everybody else's: it waits, each device for itself.
		{http.StatusUnauthorized, reasonThirdPartyAuth, nil, retry(push.Outcome{Reason: reasonThirdPartyAuth})},
		{http.StatusUnauthorized, "APNS_AUTH_ERROR", nil, retry(push.Outcome{Reason: reasonThirdPartyAuth})}, // its old name
		{http.StatusUnauthorized, noCode, nil, ruling{tokenRefused: true}},

		{http.StatusTooManyRequests, anyCode, errorDoc.aboutDevice, retry(push.Outcome{Reason: reasonQuotaExceeded, Delay: quotaDelay, Scope: push.ScopeDevice})},
		{http.StatusTooManyRequests, anyCode, nil, retry(push.Outcome{Reason: reasonQuotaExceeded, Delay: quotaDelay, Scope: push.ScopeApp})},
		{http.StatusInternalServerError, anyCode, nil, retry(push.Outcome{Reason: reasonInternal, Transport: true})},
		{http.StatusServiceUnavailable, anyCode, nil, retry(push.Outcome{Reason: reasonUnavailable, Transport: true})},

		{anyStatus, reasonUnspecified, nil, retry(push.Outcome{Reason: reasonUnspecified})},
	}
}

func rejected(reason string, certain bool) ruling {
	return ruling{outcome: push.Outcome{Verdict: push.Rejected, Reason: reason, Certain: certain}}
}

func fault(kind push.FaultKind, reason string) ruling {
	return ruling{fault: &push.Fault{Kind: kind, Reason: reason}}
}

func retry(o push.Outcome) ruling { return ruling{outcome: o} }

// classify turns one answer into its meaning.
func classify(a answer) ruling {
	if a.status == http.StatusOK {
		return accepted(a.body)
	}
	doc := parseError(a.body)
	code := doc.fcmCode()
	found := retry(push.Outcome{Reason: reasonUnknown})
	if a.status >= http.StatusInternalServerError { // 502 and 504 come as HTML from a front end
		found = retry(push.Outcome{Reason: reasonServerError, Transport: true})
	}
	for _, r := range table() {
		if (r.status == anyStatus || r.status == a.status) && (r.code == anyCode || r.code == code) && (r.when == nil || r.when(doc)) {
			found = r.ruling
			break
		}
	}
	return found.delayed(a.retryAfter)
}

// delayed puts in the wait that FCM asked for. A server that names one speaks about everything we send it, unless the
// answer says that only the device is meant.
func (r ruling) delayed(asked time.Duration) ruling {
	if asked <= 0 || r.fault != nil || r.outcome.Verdict != push.RetryAfter {
		return r
	}
	r.outcome.Delay = asked
	if r.outcome.Reason == reasonUnavailable {
		r.outcome.Scope = push.ScopeApp
	}
	return r
}

// accepted asks for FCM's receipt, the message's name: a 200 from somewhere else (a proxy's page) delivers nothing.
func accepted(body []byte) ruling {
	var receipt struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(body, &receipt); err != nil || receipt.Name == "" {
		return retry(push.Outcome{Reason: reasonNoReceipt})
	}
	return ruling{outcome: push.Outcome{Verdict: push.Delivered, Reason: reasonDelivered}}
}

// errorDoc is Google's error body as far as it decides anything. The empty one is what a body that cannot be
// read amounts to.
type errorDoc struct {
	Error struct {
		Status  string        `json:"status"`
		Message string        `json:"message"`
		Details []errorDetail `json:"details"`
	} `json:"error"`
}

type errorDetail struct {
	Type       string `json:"@type"`
	ErrorCode  string `json:"errorCode"` // FcmError
	Violations []struct {
		Subject     string `json:"subject"`
		Description string `json:"description"`
	} `json:"violations"` // QuotaFailure
	FieldViolations []struct {
		Field string `json:"field"`
	} `json:"fieldViolations"` // BadRequest
}

const (
	typeFcmError     = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
	typeBadRequest   = "type.googleapis.com/google.rpc.BadRequest"
	typeQuotaFailure = "type.googleapis.com/google.rpc.QuotaFailure"
)

// parseError reads what it can: a detail of an unexpected shape does not hide the others.
func parseError(body []byte) errorDoc {
	var doc errorDoc
	if err := json.Unmarshal(body, &doc); err != nil {
		if _, odd := errors.AsType[*json.UnmarshalTypeError](err); !odd {
			return errorDoc{}
		}
	}
	return doc
}

// fcmCode returns FCM's own error code, empty when the answer has none: then it is not FCM's messaging layer that
// speaks, but something in front of it.
func (d errorDoc) fcmCode() string {
	for _, detail := range d.Error.Details {
		if detail.Type == typeFcmError && detail.ErrorCode != "" {
			return detail.ErrorCode
		}
	}
	return ""
}

func (d errorDoc) invalidArgument() bool { return d.Error.Status == reasonInvalidArgument }

// blamesToken reports whether the token, and nothing else in our message, is what FCM found wrong.
func (d errorDoc) blamesToken() bool {
	if !d.invalidArgument() {
		return false
	}
	named := false
	for _, detail := range d.Error.Details {
		if detail.Type != typeBadRequest {
			continue
		}
		for _, v := range detail.FieldViolations {
			if v.Field != "message.token" {
				return false
			}
			named = true
		}
	}
	return named || strings.Contains(d.Error.Message, "not a valid FCM registration token")
}

// aboutDevice reports whether a quota belongs to one device (240 a minute) and not to the project.
func (d errorDoc) aboutDevice() bool {
	for _, detail := range d.Error.Details {
		if detail.Type != typeQuotaFailure {
			continue
		}
		for _, v := range detail.Violations {
			if strings.Contains(strings.ToLower(v.Subject+" "+v.Description), "device") {
				return true
			}
		}
	}
	return false
}

// retryAfter reads the header's two forms, seconds and date; 0 for none, nonsense, or a time that has passed.
func retryAfter(header string, now time.Time) time.Duration {
	if header == "" {
		return 0
	}
	if when, err := http.ParseTime(header); err == nil {
		return min(max(when.Sub(now), 0), maxDelay)
	}
	seconds, err := strconv.ParseUint(header, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return maxDelay
	}
	if err != nil {
		return 0
	}
	return time.Duration(min(seconds, uint64(maxDelay/time.Second))) * time.Second
}
