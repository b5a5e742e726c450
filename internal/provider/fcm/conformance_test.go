package fcm

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/provider"
	"github.com/pushgate/pushgate/internal/provider/providertest"
	"github.com/pushgate/pushgate/internal/push"
)

// TestConformance_Fake runs the suite of all providers against the fake of this package.
func TestConformance_Fake(t *testing.T) {
	t.Parallel()
	f := newFake(t, 100)
	refusing := newFake(t, 100)
	refusing.grant = func(w http.ResponseWriter) bool {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`))
		return true
	}
	var devices atomic.Int64
	t.Run("suite", func(t *testing.T) {
		providertest.Run(t, providertest.Harness{
			Provider:      func(t *testing.T, l *slog.Logger) provider.Provider { return open(t, f.config(t), l) },
			Misconfigured: func(t *testing.T, l *slog.Logger) provider.Provider { return open(t, refusing.config(t), l) },
			Unreachable: func(t *testing.T, l *slog.Logger) provider.Provider {
				cfg := f.config(t)
				cfg.Endpoint = "https://127.0.0.1:1"
				return open(t, cfg, l)
			},
			Device: func() push.Device {
				return push.Device{AppID: "com.example.android", Pushkey: push.Pushkey(fmt.Sprintf("fMockToken:APA91b-%d", devices.Add(1)))}
			},
			Script: func(_ *testing.T, key push.Pushkey, a providertest.Answer) bool {
				f.script(key.Reveal(), scripted(a))
				return true
			},
			Requests: func(key push.Pushkey) int { return f.requests(key.Reveal()) },
		})
	})
}

func open(t *testing.T, cfg Config, l *slog.Logger) provider.Provider {
	t.Helper()
	c, err := New(cfg, Options{Logger: l, SendBadgeCounts: true})
	require.NoError(t, err)
	return c
}

// scripted puts the suite's words into FCM's.
func scripted(a providertest.Answer) reply {
	switch a.Kind {
	case providertest.Dead:
		return reply{status: 404, body: errorBody(404, "NOT_FOUND", "Requested entity was not found.", fcmError("UNREGISTERED"))}
	case providertest.Guarded:
		return reply{status: 403, body: errorBody(403, "PERMISSION_DENIED", "SenderId mismatch", fcmError("SENDER_ID_MISMATCH"))}
	case providertest.Throttled:
		return reply{
			status: 429, header: http.Header{"Retry-After": {strconv.Itoa(int(a.RetryAfter.Seconds()))}},
			body: errorBody(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", fcmError("QUOTA_EXCEEDED")),
		}
	case providertest.Unavailable:
		return reply{status: 503, body: errorBody(503, "UNAVAILABLE", "The service is currently unavailable.", fcmError("UNAVAILABLE"))}
	case providertest.BadGateway:
		return reply{status: 502, header: http.Header{"Content-Type": {"text/html"}}, body: "<html><title>502</title></html>"}
	case providertest.Unknown:
		return reply{status: 409, body: errorBody(409, "ABORTED", "What is this?", fcmError("NEVER_SEEN"))}
	case providertest.Garbled:
		return reply{status: 404, body: `<html>UNREGISTERED</html>`}
	case providertest.Empty:
		return reply{status: 400}
	case providertest.TooLarge:
		return reply{status: 400, body: errorBody(400, "INVALID_ARGUMENT", "Android message is too big", "")}
	case providertest.Reset:
		return reply{reset: true}
	case providertest.Hang:
		return reply{hang: true}
	default:
		panic("unknown kind " + a.Kind)
	}
}
