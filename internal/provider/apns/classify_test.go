package apns

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

var (
	testNow  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	testDead = time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)
)

func messageFault(reason string) *push.Fault {
	return &push.Fault{Kind: push.FaultMessage, Reason: reason}
}

func configFault(reason string) *push.Fault {
	return &push.Fault{Kind: push.FaultConfig, Reason: reason}
}

// classifyRow says what must come of one answer.
type classifyRow struct {
	answer answer
	out    push.Outcome
	fault  *push.Fault
}

// classifyRows has a row for each line of Apple's table of responses, as the design judges them, and for what is on no
// table.
func classifyRows() map[string]classifyRow {
	return map[string]classifyRow{
		"200": {answer: answer{status: 200}, out: push.Outcome{Verdict: push.Delivered, Reason: reasonOK}},
		"200 whatever is in the body": {
			answer: answer{status: 200, reason: "Unregistered"}, out: push.Outcome{Verdict: push.Delivered, Reason: reasonOK},
		},

		"410 Unregistered": {
			answer: answer{status: 410, reason: "Unregistered", timestamp: testDead},
			out:    push.Outcome{Verdict: push.Rejected, Reason: "Unregistered", Since: testDead, Certain: true},
		},
		"410 ExpiredToken": {
			answer: answer{status: 410, reason: "ExpiredToken", timestamp: testDead},
			out:    push.Outcome{Verdict: push.Rejected, Reason: "ExpiredToken", Since: testDead, Certain: true},
		},
		"410 without a timestamp": {
			answer: answer{status: 410, reason: "Unregistered"},
			out:    push.Outcome{Verdict: push.Rejected, Reason: "Unregistered", Certain: true},
		},
		"410 in the future counts as now": {
			answer: answer{status: 410, reason: "Unregistered", timestamp: testNow.AddDate(70, 0, 0)},
			out:    push.Outcome{Verdict: push.Rejected, Reason: "Unregistered", Since: testNow, Certain: true},
		},
		"410 in 1970 is reported as it is": {
			answer: answer{status: 410, reason: "Unregistered", timestamp: time.UnixMilli(0)},
			out:    push.Outcome{Verdict: push.Rejected, Reason: "Unregistered", Since: time.UnixMilli(0), Certain: true},
		},

		"400 BadDeviceToken": {
			answer: answer{status: 400, reason: "BadDeviceToken"},
			out:    push.Outcome{Verdict: push.Rejected, Reason: "BadDeviceToken"},
		},
		"400 DeviceTokenNotForTopic": {
			answer: answer{status: 400, reason: "DeviceTokenNotForTopic"},
			out:    push.Outcome{Verdict: push.Rejected, Reason: "DeviceTokenNotForTopic"},
		},
		"400 ExpiredToken": {
			answer: answer{status: 400, reason: "ExpiredToken"},
			out:    push.Outcome{Verdict: push.Rejected, Reason: "ExpiredToken"},
		},

		"400 TopicDisallowed":            {answer: answer{status: 400, reason: "TopicDisallowed"}, fault: configFault("TopicDisallowed")},
		"400 BadTopic":                   {answer: answer{status: 400, reason: "BadTopic"}, fault: configFault("BadTopic")},
		"400 MissingTopic":               {answer: answer{status: 400, reason: "MissingTopic"}, fault: configFault("MissingTopic")},
		"400 InvalidPushType":            {answer: answer{status: 400, reason: "InvalidPushType"}, fault: messageFault("InvalidPushType")},
		"403 InvalidProviderToken":       {answer: answer{status: 403, reason: "InvalidProviderToken"}, fault: configFault("InvalidProviderToken")},
		"403 MissingProviderToken":       {answer: answer{status: 403, reason: "MissingProviderToken"}, fault: configFault("MissingProviderToken")},
		"403 BadEnvironmentKeyIdInToken": {answer: answer{status: 403, reason: "BadEnvironmentKeyIdInToken"}, fault: configFault("BadEnvironmentKeyIdInToken")},
		"403 BadCertificate":             {answer: answer{status: 403, reason: "BadCertificate"}, fault: configFault("BadCertificate")},
		"403 BadCertificateEnvironment":  {answer: answer{status: 403, reason: "BadCertificateEnvironment"}, fault: configFault("BadCertificateEnvironment")},
		"403 Forbidden":                  {answer: answer{status: 403, reason: "Forbidden"}, fault: configFault("Forbidden")},

		"403 ExpiredProviderToken": {
			answer: answer{status: 403, reason: "ExpiredProviderToken"},
			out:    push.Outcome{Reason: "ExpiredProviderToken", Scope: push.ScopeConnection},
		},
		"403 UnrelatedKeyIdInToken": {
			answer: answer{status: 403, reason: "UnrelatedKeyIdInToken"},
			out:    push.Outcome{Reason: "UnrelatedKeyIdInToken", Scope: push.ScopeConnection},
		},
		"429 TooManyProviderTokenUpdates": {
			answer: answer{status: 429, reason: "TooManyProviderTokenUpdates"},
			out:    push.Outcome{Reason: "TooManyProviderTokenUpdates", Scope: push.ScopeConnection},
		},
		"400 IdleTimeout": {
			answer: answer{status: 400, reason: "IdleTimeout"},
			out:    push.Outcome{Reason: "IdleTimeout", Scope: push.ScopeConnection},
		},
		"503 Shutdown": {
			answer: answer{status: 503, reason: "Shutdown"},
			out:    push.Outcome{Reason: "Shutdown", Scope: push.ScopeConnection, Transport: true},
		},

		"429 TooManyRequests": {
			answer: answer{status: 429, reason: "TooManyRequests"},
			out:    push.Outcome{Reason: "TooManyRequests"},
		},
		"429 TooManyRequests with Retry-After concerns the device only": {
			answer: answer{status: 429, reason: "TooManyRequests", delay: time.Minute},
			out:    push.Outcome{Reason: "TooManyRequests", Delay: time.Minute, Scope: push.ScopeDevice},
		},
		"500 InternalServerError": {
			answer: answer{status: 500, reason: "InternalServerError"},
			out:    push.Outcome{Reason: "InternalServerError", Transport: true},
		},
		"503 ServiceUnavailable": {
			answer: answer{status: 503, reason: "ServiceUnavailable"},
			out:    push.Outcome{Reason: "ServiceUnavailable", Transport: true},
		},
		"503 with Retry-After concerns the app": {
			answer: answer{status: 503, reason: "ServiceUnavailable", delay: time.Minute},
			out:    push.Outcome{Reason: "ServiceUnavailable", Delay: time.Minute, Scope: push.ScopeApp, Transport: true},
		},

		"413 PayloadTooLarge":    {answer: answer{status: 413, reason: "PayloadTooLarge"}, fault: messageFault("PayloadTooLarge")},
		"400 BadCollapseId":      {answer: answer{status: 400, reason: "BadCollapseId"}, fault: messageFault("BadCollapseId")},
		"400 BadExpirationDate":  {answer: answer{status: 400, reason: "BadExpirationDate"}, fault: messageFault("BadExpirationDate")},
		"400 BadMessageId":       {answer: answer{status: 400, reason: "BadMessageId"}, fault: messageFault("BadMessageId")},
		"400 BadPriority":        {answer: answer{status: 400, reason: "BadPriority"}, fault: messageFault("BadPriority")},
		"400 DuplicateHeaders":   {answer: answer{status: 400, reason: "DuplicateHeaders"}, fault: messageFault("DuplicateHeaders")},
		"400 MissingDeviceToken": {answer: answer{status: 400, reason: "MissingDeviceToken"}, fault: messageFault("MissingDeviceToken")},
		"400 PayloadEmpty":       {answer: answer{status: 400, reason: "PayloadEmpty"}, fault: messageFault("PayloadEmpty")},
		"404 BadPath":            {answer: answer{status: 404, reason: "BadPath"}, fault: messageFault("BadPath")},
		"405 MethodNotAllowed":   {answer: answer{status: 405, reason: "MethodNotAllowed"}, fault: messageFault("MethodNotAllowed")},

		"unknown reason":                  {answer: answer{status: 400, reason: "Teapot"}, out: push.Outcome{Reason: "unknown"}},
		"no reason":                       {answer: answer{status: 400}, out: push.Outcome{Reason: "unknown"}},
		"410 without a reason":            {answer: answer{status: 410}, out: push.Outcome{Reason: "unknown"}},
		"410 with another reason":         {answer: answer{status: 410, reason: "Gone"}, out: push.Outcome{Reason: "unknown"}},
		"dead reason under another 4xx":   {answer: answer{status: 404, reason: "Unregistered"}, out: push.Outcome{Reason: "unknown"}},
		"token reason under 410":          {answer: answer{status: 410, reason: "BadDeviceToken"}, out: push.Outcome{Reason: "unknown"}},
		"reasons are case-sensitive":      {answer: answer{status: 410, reason: "unregistered"}, out: push.Outcome{Reason: "unknown"}},
		"403 without a reason":            {answer: answer{status: 403}, out: push.Outcome{Reason: "unknown"}},
		"other 2xx":                       {answer: answer{status: 202}, out: push.Outcome{Reason: "unknown"}},
		"redirect":                        {answer: answer{status: 302}, out: push.Outcome{Reason: "unknown"}},
		"unknown 429":                     {answer: answer{status: 429, delay: 5 * time.Second}, out: push.Outcome{Reason: "throttled", Delay: 5 * time.Second}},
		"502 page":                        {answer: answer{status: 502}, out: push.Outcome{Reason: "server_error", Transport: true}},
		"unknown reason under 500":        {answer: answer{status: 500, reason: "Kaputt"}, out: push.Outcome{Reason: "server_error", Transport: true}},
		"dead reason under 503":           {answer: answer{status: 503, reason: "Unregistered"}, out: push.Outcome{Reason: "server_error", Transport: true}},
		"no status":                       {answer: answer{}, out: push.Outcome{Reason: "unknown"}},
		"status beyond HTTP is no outage": {answer: answer{status: 999}, out: push.Outcome{Reason: "unknown"}},
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for name, row := range classifyRows() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, fault := verdicts().classify(row.answer, testNow)
			require.Equal(t, row.fault, fault)
			require.Equal(t, row.out, out)
		})
	}
}

func TestClassify_EveryVerdictHasARow(t *testing.T) {
	t.Parallel()
	tested := map[answerKey]bool{}
	for _, row := range classifyRows() {
		tested[answerKey{row.answer.status, row.answer.reason}] = true
	}
	for key := range verdicts() {
		require.True(t, tested[key], "no row for %+v", key)
	}
}

// mayReject is everything that may ever end in a rejected pushkey, written down a second time on purpose.
var mayReject = []answerKey{
	{410, "Unregistered"}, {410, "ExpiredToken"},
	{400, "ExpiredToken"}, {400, "BadDeviceToken"}, {400, "DeviceTokenNotForTopic"},
}

func FuzzClassify_UnknownNeverRejects(f *testing.F) {
	f.Add(410, []byte(`{"reason":"Unregistered","timestamp":1700000000000}`), "5")
	f.Add(410, []byte(`{"reason":"Unregistered","timestamp":"1700000000000"}`), "")
	f.Add(400, []byte(`{"reason":"BadDeviceToken"}`), "Fri, 21 Nov 2026 12:00:00 GMT")
	f.Add(410, []byte(`<html>Unregistered</html>`), "-1")
	f.Add(410, []byte(`{"Reason":"Unregistered"}`), "99999999999999999999999")
	f.Add(410, []byte(`["reason","Unregistered"]`), "")
	f.Add(404, []byte(`{"reason":"Unregistered"}`), "")
	f.Add(500, []byte(``), "1e9")
	f.Fuzz(func(t *testing.T, status int, body []byte, retry string) {
		res := response(status, string(body), retry)
		a := readAnswer(res, testNow)
		out, fault := verdicts().classify(a, testNow)
		if out.Verdict == push.Rejected {
			require.Contains(t, mayReject, answerKey{a.status, a.reason})
			require.True(t, strings.Contains(string(body), a.reason) || strings.Contains(string(body), `\u`))
			require.Equal(t, status == http.StatusGone, out.Certain)
		}
		if out.Verdict == push.Delivered {
			require.Equal(t, http.StatusOK, status)
		}
		require.False(t, out.Since.After(testNow))
		require.GreaterOrEqual(t, out.Delay, time.Duration(0))
		require.LessOrEqual(t, out.Delay, maxDelay)
		require.True(t, knownReason(out.Reason), "a label must be on the list")
		if fault != nil {
			require.Zero(t, out)
			require.True(t, knownReason(fault.Reason))
		}
	})
}

func knownReason(reason string) bool {
	if slices.Contains([]string{reasonOK, reasonUnknown, reasonServerError, reasonThrottled}, reason) {
		return true
	}
	for key := range verdicts() {
		if key.reason == reason {
			return true
		}
	}
	return false
}

func BenchmarkClassify(b *testing.B) {
	table := verdicts()
	a := answer{status: 410, reason: "Unregistered", timestamp: testDead}
	b.ReportAllocs()
	for b.Loop() {
		table.classify(a, testNow)
	}
}
