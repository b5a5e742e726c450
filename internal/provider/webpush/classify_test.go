package webpush

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestClassify_EveryAnswer(t *testing.T) {
	t.Parallel()
	message := func(reason string) *push.Fault { return &push.Fault{Kind: push.FaultMessage, Reason: reason} }
	for name, c := range map[string]struct {
		status  int
		after   string
		refusal blame
		want    push.Outcome
		fault   *push.Fault
	}{
		"200 accepted":                   {status: 200, want: push.Outcome{Verdict: push.Delivered, Reason: "ok"}},
		"201 accepted":                   {status: 201, want: push.Outcome{Verdict: push.Delivered, Reason: "ok"}},
		"202 accepted with receipt":      {status: 202, want: push.Outcome{Verdict: push.Delivered, Reason: "ok"}},
		"204 accepted":                   {status: 204, want: push.Outcome{Verdict: push.Delivered, Reason: "ok"}},
		"301 is not followed":            {status: 301, fault: message("redirect")},
		"400 is our bug":                 {status: 400, fault: message("bad_request")},
		"401 about our key pauses":       {status: 401, refusal: blameKey, fault: &push.Fault{Kind: push.FaultConfig, Reason: "unauthorized"}},
		"401 about the subscription":     {status: 401, fault: message("unauthorized")},
		"401 about nobody knows what":    {status: 401, refusal: blameNobody, want: push.Outcome{Reason: "unauthorized"}},
		"401 with Retry-After":           {status: 401, after: "9", refusal: blameNobody, want: push.Outcome{Reason: "unauthorized", Delay: 9 * time.Second}},
		"403 concerns this device":       {status: 403, fault: message("forbidden")},
		"404 is dead":                    {status: 404, want: push.Outcome{Verdict: push.Rejected, Reason: "not_found", Certain: true}},
		"410 is dead":                    {status: 410, want: push.Outcome{Verdict: push.Rejected, Reason: "gone", Certain: true}},
		"413 is too large":               {status: 413, fault: message("payload_too_large")},
		"429 with seconds":               {status: 429, after: "7", want: push.Outcome{Reason: "too_many_requests", Delay: 7 * time.Second}},
		"429 with a date":                {status: 429, after: "Wed, 01 Jul 2026 12:00:30 GMT", want: push.Outcome{Reason: "too_many_requests", Delay: 30 * time.Second}},
		"429 with a date gone by":        {status: 429, after: "Wed, 01 Jul 2026 11:00:30 GMT", want: push.Outcome{Reason: "too_many_requests", Delay: time.Minute}},
		"429 without a time":             {status: 429, want: push.Outcome{Reason: "too_many_requests", Delay: time.Minute}},
		"429 with nonsense":              {status: 429, after: "-5", want: push.Outcome{Reason: "too_many_requests", Delay: time.Minute}},
		"429 with centuries":             {status: 429, after: "9999999999", want: push.Outcome{Reason: "too_many_requests", Delay: 24 * time.Hour}},
		"429 with more than a number":    {status: 429, after: "99999999999999999999999", want: push.Outcome{Reason: "too_many_requests", Delay: 24 * time.Hour}},
		"503 with a date centuries away": {status: 503, after: "Fri, 31 Dec 9999 23:59:59 GMT", want: push.Outcome{Reason: "server_error", Delay: 24 * time.Hour}},
		"500 is retried":                 {status: 500, want: push.Outcome{Reason: "server_error"}},
		"503 with Retry-After":           {status: 503, after: "9", want: push.Outcome{Reason: "server_error", Delay: 9 * time.Second}},
		"418 is unknown":                 {status: 418, want: push.Outcome{Reason: "unknown"}},
		"0 is unknown":                   {status: 0, want: push.Outcome{Reason: "unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := classify(c.status, c.after, c.refusal, noon)
			require.Equal(t, c.want, got)
			if c.fault == nil {
				require.NoError(t, err)
				return
			}
			fault, ok := errors.AsType[*push.Fault](err)
			require.True(t, ok)
			require.Equal(t, c.fault, fault)
		})
	}
}

func FuzzClassify_OnlyGoneIsDead(f *testing.F) {
	f.Add(404, "", uint8(blameKey))
	f.Add(503, "9999999999999999999", uint8(blameNobody))
	f.Fuzz(func(t *testing.T, status int, after string, refusal uint8) {
		got, _ := classify(status, after, blame(refusal), noon)
		if got.Verdict == push.Rejected {
			require.Contains(t, []int{404, 410}, status)
		}
		require.GreaterOrEqual(t, got.Delay, time.Duration(0))
	})
}
