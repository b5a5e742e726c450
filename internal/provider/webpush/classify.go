package webpush

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/push"
)

// Reasons, the complete list.
const (
	reasonOK          = "ok"
	reasonNothing     = push.ReasonNothingToSend
	reasonGone        = "gone"
	reasonNotFound    = "not_found"
	reasonBadRequest  = "bad_request"
	reasonUnauthor    = "unauthorized"
	reasonForbidden   = "forbidden"
	reasonTooLarge    = "payload_too_large"
	reasonThrottled   = "too_many_requests"
	reasonServer      = "server_error"
	reasonRedirect    = "redirect"
	reasonTransport   = "transport"
	reasonUnknown     = "unknown"
	reasonBadEndpoint = "endpoint_refused"
	reasonBadData     = "bad_subscription"
	reasonClosed      = "closed"
)

const (
	// throttleDelay is used when a 429 names no time.
	throttleDelay = time.Minute
	// maxDelay bounds an absurd Retry-After. No notification lives longer (design.md 2).
	maxDelay = 24 * time.Hour
)

// classify maps an answer to its verdict. What a 401 means depends on what else was answered: weigh says it.
//
// Nothing here counts for the breaker: an app's devices live at several services that are chosen by strangers, and one
// of them being down says nothing about the others.
func classify(status int, retryAfter string, refusal blame, now time.Time) (push.Outcome, error) {
	switch {
	case status == http.StatusOK, status == http.StatusCreated, status == http.StatusAccepted, status == http.StatusNoContent:
		return push.Outcome{Verdict: push.Delivered, Reason: reasonOK}, nil
	case status == http.StatusNotFound: // RFC 8030 7.3: the subscription has expired
		return push.Outcome{Verdict: push.Rejected, Reason: reasonNotFound, Certain: true}, nil
	case status == http.StatusGone: // what Mozilla and Apple answer instead
		return push.Outcome{Verdict: push.Rejected, Reason: reasonGone, Certain: true}, nil
	case status == http.StatusUnauthorized && refusal == blameKey:
		return push.Outcome{}, &push.Fault{Kind: push.FaultConfig, Reason: reasonUnauthor}
	case status == http.StatusUnauthorized && refusal == blameNobody:
		return push.Outcome{Reason: reasonUnauthor, Delay: delayOf(retryAfter, now, 0)}, nil
	case status == http.StatusUnauthorized:
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reasonUnauthor}
	case status == http.StatusForbidden: // the subscription was made with another VAPID key: this device only
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reasonForbidden}
	case status == http.StatusBadRequest:
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reasonBadRequest}
	case status == http.StatusRequestEntityTooLarge:
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reasonTooLarge}
	case status == http.StatusTooManyRequests:
		return push.Outcome{Reason: reasonThrottled, Delay: delayOf(retryAfter, now, throttleDelay)}, nil
	case status >= 300 && status < 400:
		return push.Outcome{}, &push.Fault{Kind: push.FaultMessage, Reason: reasonRedirect}
	case status >= 500 && status < 600:
		return push.Outcome{Reason: reasonServer, Delay: delayOf(retryAfter, now, 0)}, nil
	default:
		return push.Outcome{Reason: reasonUnknown}, nil
	}
}

// delayOf reads Retry-After as seconds or as a date, at most maxDelay; otherwise is for none, nonsense, or a time gone by.
func delayOf(value string, now time.Time, otherwise time.Duration) time.Duration {
	value = strings.TrimSpace(value)
	seconds, err := strconv.ParseUint(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && seconds > uint64(maxDelay/time.Second):
		return maxDelay
	case err == nil:
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return min(at.Sub(now), maxDelay)
	}
	return otherwise
}
