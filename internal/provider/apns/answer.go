package apns

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer's body. Apple's have some 50 bytes.
	maxAnswer = 4 << 10
	// maxDelay bounds Retry-After: no notification lives longer than a day (gematik A_27757).
	maxDelay = 24 * time.Hour
	// maxReason bounds Apple's word; their longest has 27 letters.
	maxReason = 64
)

// readAnswer reduces a response to an answer and closes the body. A body that is not a JSON object in Apple's shape, or
// breaks off, counts as no reason at all: an HTML page under 410 rejects nobody.
func readAnswer(res *http.Response, now time.Time) answer {
	defer func() { _ = res.Body.Close() }()
	a := answer{status: res.StatusCode, delay: retryAfter(res.Header.Get("Retry-After"), now)}
	if res.StatusCode == http.StatusOK {
		return a // accepted with the header, and the body is empty
	}
	if body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err == nil {
		a.reason, a.timestamp = parseBody(body)
	}
	return a
}

// parseBody reads {"reason": "...", "timestamp": 1700000000000}. All or nothing: a timestamp in a wrong shape makes the
// reason unbelievable too.
func parseBody(body []byte) (string, time.Time) {
	if len(body) > maxAnswer || len(bytes.TrimSpace(body)) == 0 {
		return "", time.Time{}
	}
	var members map[string]json.RawMessage // a struct would also match "Reason"
	if json.Unmarshal(body, &members) != nil {
		return "", time.Time{}
	}
	var reason string
	if json.Unmarshal(members["reason"], &reason) != nil || len(reason) > maxReason {
		return "", time.Time{}
	}
	raw, ok := members["timestamp"]
	if !ok {
		return reason, time.Time{}
	}
	ms, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || ms < 0 {
		return "", time.Time{}
	}
	return reason, time.UnixMilli(ms)
}

// retryAfter reads both forms of the header (RFC 9110 section 10.2.3): whole seconds or an HTTP date.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	seconds, err := strconv.ParseUint(value, 10, 63)
	if errors.Is(err, strconv.ErrRange) || err == nil && seconds > uint64(maxDelay/time.Second) {
		return maxDelay
	}
	if err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxDelay)
}
