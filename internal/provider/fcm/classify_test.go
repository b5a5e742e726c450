package fcm

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

const notAToken = "The registration token is not a valid FCM registration token"

// violation names a field of the message that FCM finds wrong.
func violation(fields ...string) string {
	var list []string
	for _, f := range fields {
		list = append(list, `{"field":"`+f+`","description":"Invalid registration token"}`)
	}
	return `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[` + strings.Join(list, ",") + `]}`
}

func quota(subject, description string) string {
	return `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"subject":"` + subject + `","description":"` + description + `"}]}`
}

func config(reason string) ruling { return fault(push.FaultConfig, reason) }
func bad(reason string) ruling    { return fault(push.FaultMessage, reason) }

func TestClassify(t *testing.T) {
	t.Parallel()
	unknown := retry(push.Outcome{Reason: reasonUnknown})
	serverError := retry(push.Outcome{Reason: reasonServerError, Transport: true})
	quotaApp := retry(push.Outcome{Reason: reasonQuotaExceeded, Delay: time.Minute, Scope: push.ScopeApp})
	quotaDevice := retry(push.Outcome{Reason: reasonQuotaExceeded, Delay: time.Minute, Scope: push.ScopeDevice})
	certain := ruling{outcome: push.Outcome{Verdict: push.Rejected, Reason: reasonUnregistered, Certain: true}}
	mismatch := ruling{outcome: push.Outcome{Verdict: push.Rejected, Reason: reasonSenderMismatch}}
	guarded := ruling{outcome: push.Outcome{Verdict: push.Rejected, Reason: reasonInvalidToken}}

	for name, tt := range map[string]struct {
		status     int
		retryAfter time.Duration
		body       string
		want       ruling
	}{
		"200 with a receipt": {200, 0, `{"name":"projects/p/messages/0:1"}`, ruling{outcome: push.Outcome{Verdict: push.Delivered, Reason: "delivered"}}},
		"200 from a proxy":   {200, 0, `<html>blocked</html>`, retry(push.Outcome{Reason: reasonNoReceipt})},
		"200 without a name": {200, 0, `{}`, retry(push.Outcome{Reason: reasonNoReceipt})},

		// One row for each line of facts/providers-and-faults.md 1.2, as design.md section 2 overrules it.
		"UNREGISTERED (404)":                    {404, 0, errorBody(404, "NOT_FOUND", "Requested entity was not found.", fcmError("UNREGISTERED")), certain},
		"bare 404":                              {404, 0, errorBody(404, "NOT_FOUND", "Requested entity was not found.", ""), config(reasonNotFound)},
		"404 as HTML":                           {404, 0, `<html>The requested URL was not found on this server.</html>`, config(reasonNotFound)},
		"404 without a body":                    {404, 0, ``, config(reasonNotFound)},
		"INVALID_ARGUMENT naming message.token": {400, 0, errorBody(400, "INVALID_ARGUMENT", "bad", violation("message.token")+","+fcmError("INVALID_ARGUMENT")), guarded},
		"INVALID_ARGUMENT naming message.token, no code":  {400, 0, errorBody(400, "INVALID_ARGUMENT", "bad", violation("message.token")), guarded},
		"INVALID_ARGUMENT with the text":                  {400, 0, errorBody(400, "INVALID_ARGUMENT", notAToken, fcmError("INVALID_ARGUMENT")), guarded},
		"INVALID_ARGUMENT with the text, no code":         {400, 0, errorBody(400, "INVALID_ARGUMENT", notAToken, ""), guarded},
		"INVALID_ARGUMENT about the payload":              {400, 0, errorBody(400, "INVALID_ARGUMENT", "bad", violation("message.data[0].value")+","+fcmError("INVALID_ARGUMENT")), bad(reasonInvalidArgument)},
		"INVALID_ARGUMENT about token and payload":        {400, 0, errorBody(400, "INVALID_ARGUMENT", notAToken, violation("message.token", "message.data")+","+fcmError("INVALID_ARGUMENT")), bad(reasonInvalidArgument)},
		"INVALID_ARGUMENT for oversize, without a detail": {400, 0, errorBody(400, "INVALID_ARGUMENT", "Android message is too big", ""), bad(reasonInvalidArgument)},
		"SENDER_ID_MISMATCH (403)":                        {403, 0, errorBody(403, "PERMISSION_DENIED", "SenderId mismatch", fcmError("SENDER_ID_MISMATCH")), mismatch},
		"other 403 PERMISSION_DENIED":                     {403, 0, errorBody(403, "PERMISSION_DENIED", "API disabled", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_DISABLED"}`), config(reasonPermissionDenied)},
		"401 without FcmError":                            {401, 0, errorBody(401, "UNAUTHENTICATED", "invalid credentials", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ACCESS_TOKEN_EXPIRED"}`), ruling{tokenRefused: true}},
		"THIRD_PARTY_AUTH_ERROR (401)":                    {401, 0, errorBody(401, "UNAUTHENTICATED", "Auth error from APNS", fcmError("THIRD_PARTY_AUTH_ERROR")), retry(push.Outcome{Reason: reasonThirdPartyAuth})},
		"APNS_AUTH_ERROR (401)":                           {401, 0, errorBody(401, "UNAUTHENTICATED", "Auth error from APNS", fcmError("APNS_AUTH_ERROR")), retry(push.Outcome{Reason: reasonThirdPartyAuth})},
		"QUOTA_EXCEEDED (429) of the project":             {429, 0, errorBody(429, "RESOURCE_EXHAUSTED", "Quota exceeded", fcmError("QUOTA_EXCEEDED")+","+quota("project:1", "Message rate exceeded")), quotaApp},
		"QUOTA_EXCEEDED (429) of the device":              {429, 0, errorBody(429, "RESOURCE_EXHAUSTED", "Quota exceeded", fcmError("QUOTA_EXCEEDED")+","+quota("device", "Device message rate exceeded")), quotaDevice},
		"QUOTA_EXCEEDED (429) of nobody in particular":    {429, 0, errorBody(429, "RESOURCE_EXHAUSTED", "Quota exceeded", fcmError("QUOTA_EXCEEDED")), quotaApp},
		"429 as HTML": {429, 0, `<html>`, quotaApp},
		"429 with Retry-After": {
			429, 90 * time.Second, errorBody(429, "RESOURCE_EXHAUSTED", "Quota exceeded", fcmError("QUOTA_EXCEEDED")),
			retry(push.Outcome{Reason: reasonQuotaExceeded, Delay: 90 * time.Second, Scope: push.ScopeApp}),
		},
		"UNAVAILABLE (503)": {503, 0, errorBody(503, "UNAVAILABLE", "overloaded", fcmError("UNAVAILABLE")), retry(push.Outcome{Reason: reasonUnavailable, Transport: true})},
		"UNAVAILABLE (503) with Retry-After": {
			503, 30 * time.Second, errorBody(503, "UNAVAILABLE", "overloaded", fcmError("UNAVAILABLE")),
			retry(push.Outcome{Reason: reasonUnavailable, Transport: true, Delay: 30 * time.Second, Scope: push.ScopeApp}),
		},
		"INTERNAL (500)":          {500, 0, errorBody(500, "INTERNAL", "oops", fcmError("INTERNAL")), retry(push.Outcome{Reason: reasonInternal, Transport: true})},
		"502 HTML page":           {502, 0, `<!DOCTYPE html><title>Error 502 (Server Error)!!1</title>`, serverError},
		"504 without a body":      {504, 0, ``, serverError},
		"UNSPECIFIED_ERROR (400)": {400, 0, errorBody(400, "INVALID_ARGUMENT", notAToken, fcmError("UNSPECIFIED_ERROR")), retry(push.Outcome{Reason: reasonUnspecified})},

		// What no line knows is never a verdict.
		"UNREGISTERED under another status":       {400, 0, errorBody(400, "NOT_FOUND", "x", fcmError("UNREGISTERED")), unknown},
		"UNREGISTERED in a server error":          {500, 0, errorBody(500, "NOT_FOUND", "x", fcmError("UNREGISTERED")), retry(push.Outcome{Reason: reasonInternal, Transport: true})},
		"UNREGISTERED outside FcmError":           {404, 0, errorBody(404, "UNREGISTERED", "UNREGISTERED", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","errorCode":"UNREGISTERED"}`), config(reasonNotFound)},
		"404 with an unknown code":                {404, 0, errorBody(404, "NOT_FOUND", "x", fcmError("GONE_FISHING")), unknown},
		"403 with an unknown code":                {403, 0, errorBody(403, "PERMISSION_DENIED", "x", fcmError("GONE_FISHING")), unknown},
		"SENDER_ID_MISMATCH under another status": {400, 0, errorBody(400, "INVALID_ARGUMENT", notAToken, fcmError("SENDER_ID_MISMATCH")), unknown},
		"the token's text under another status":   {403, 0, errorBody(403, "INVALID_ARGUMENT", notAToken, fcmError("INVALID_ARGUMENT")), unknown},
		"400 as HTML":                             {400, 0, `<html>` + notAToken, unknown},
		"400 FAILED_PRECONDITION":                 {400, 0, errorBody(400, "FAILED_PRECONDITION", notAToken, ""), unknown},
		"redirect":                                {302, 0, ``, unknown},
		"418":                                     {418, 0, ``, unknown},
		"a detail of another shape hides nothing": {404, 0, `{"error":{"code":"404","status":404,"details":[7,"x",{"@type":"t","violations":{}},` + fcmError("UNREGISTERED") + `]}}`, certain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, classify(answer{status: tt.status, retryAfter: tt.retryAfter, body: []byte(tt.body)}))
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		header string
		want   time.Duration
	}{
		"absent":            {"", 0},
		"seconds":           {"30", 30 * time.Second},
		"zero":              {"0", 0},
		"date":              {"Sat, 21 Nov 2026 10:02:00 GMT", 2 * time.Minute},
		"date gone by":      {"Sat, 21 Nov 2026 09:00:00 GMT", 0},
		"ten years":         {"315360000", 24 * time.Hour},
		"ten years as date": {"Sat, 21 Nov 2036 10:00:00 GMT", 24 * time.Hour},
		"overflow":          {"99999999999999999999999999", 24 * time.Hour},
		"overflow as ns":    {"18446744073", 24 * time.Hour},
		"negative":          {"-5", 0},
		"fraction":          {"1.5", 0},
		"nonsense":          {"soon", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, retryAfter(tt.header, now))
		})
	}
}

// FuzzClassify holds the line that matters most: nothing but FCM's own words under their own status rejects a pushkey.
func FuzzClassify(f *testing.F) {
	for _, status := range []uint16{200, 400, 401, 403, 404, 410, 429, 500, 503} {
		for _, code := range []string{"UNREGISTERED", "SENDER_ID_MISMATCH", "INVALID_ARGUMENT", "OTHER"} {
			f.Add(status, errorBody(int(status), "NOT_FOUND", notAToken, fcmError(code)))
		}
		f.Add(status, errorBody(int(status), "INVALID_ARGUMENT", "x", violation("message.token")))
		f.Add(status, `{"error":`)
	}
	f.Fuzz(func(t *testing.T, status uint16, body string) {
		r := classify(answer{status: int(status), body: []byte(body)})
		if r.outcome.Verdict == push.Delivered {
			require.EqualValues(t, 200, status)
			return
		}
		if r.fault != nil {
			require.Zero(t, r.outcome)
		}
		if r.outcome.Verdict != push.Rejected {
			return
		}
		// The words may be spelled with escapes, so look at what the body says.
		doc := parseError([]byte(body))
		switch status {
		case 404:
			require.Equal(t, "UNREGISTERED", doc.fcmCode())
			require.True(t, r.outcome.Certain)
		case 403:
			require.Equal(t, "SENDER_ID_MISMATCH", doc.fcmCode())
			require.False(t, r.outcome.Certain)
		case 400:
			require.Equal(t, "INVALID_ARGUMENT", doc.Error.Status)
			require.False(t, r.outcome.Certain)
		default:
			t.Fatalf("status %d rejected a pushkey", status)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	dead := answer{status: 404, body: []byte(errorBody(404, "NOT_FOUND", "Requested entity was not found.", fcmError("UNREGISTERED")))}
	ok := answer{status: 200, body: []byte(`{"name":"projects/demo-project/messages/0:1700000000000000%31bd1c9631bd1c96"}`)}
	for name, a := range map[string]answer{"delivered": ok, "dead": dead} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				classify(a)
			}
		})
	}
}
