package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// TestCanary_NothingOfANotificationIsReadable sends canaries in every member through every way a request can end, at
// debug level, and looks for them in the log, the metrics, the answers of the admin listener and the files.
func TestCanary_NothingOfANotificationIsReadable(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	n := harness.StartGateway(t, s, harness.Settings{LogLevel: "debug", Gateway: `{require_client_cert: true, attempt_timeout: 1s, provider_timeout: 2s, retry: {initial: 1h, max: 1h}}`})
	c := n.Client(t, "fd.example.com")
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()

	key := hex.EncodeToString([]byte("canary-pushkey-0123456789abcdef!"))
	fcmKey := "canary-fcm-token"
	plain := func(event, app, pushkey string) string {
		return fmt.Sprintf(`{"notification":{"event_id":"canary-%s","room_id":"canary-room","type":"m.room.message","sender":"canary-sender","sender_display_name":"canary-name",
			"room_name":"canary-roomname","content":{"msgtype":"m.text","body":"canary-body"},"devices":[{"app_id":"%s","pushkey":"%s","data":{"default_payload":{"x":"canary-data"}},"tweaks":{"sound":"canary-tweak"}}]}}`, event, app, pushkey)
	}
	sealed := strings.Replace(ciphertext("canary-ciphertext"), "AAAA", "CANARYCIPHERTEXT"[:4], 1)
	encrypted := `{"notifications":[{"id":"canary-item","notification":{"ciphertext":"` + sealed + `","time_message_encrypted":"2026-07","key_identifier":"canary-keyid","identifier":"canary-identifier","device":{"app_id":"` + harness.AppIOS + `","pushkey":"` + key + `"}}}]}`

	answers := []simulator.Answer{
		{}, {Reason: "BadDeviceToken"}, {Reason: "Unregistered"}, {Reason: "TooManyRequests", RetryAfter: "30"}, {Reason: "InternalServerError"},
		{Fault: simulator.FaultReset}, {Fault: simulator.FaultHang}, {Fault: simulator.FaultDisconnect}, {Fault: simulator.FaultTruncate}, {Reason: "PayloadTooLarge"}, {Reason: "InvalidProviderToken"},
	}
	for i, a := range answers {
		require.NoError(t, s.Script(ctx, simulator.APNs, key, a))
		n.Post(t, c, "/_matrix/push/v1/notify", plain(fmt.Sprint("apns-", i), harness.AppIOS, key))
	}
	for i, a := range []simulator.Answer{{}, {Reason: "UNREGISTERED"}, {Reason: "QUOTA_EXCEEDED"}, simulator.HTMLError(http.StatusBadGateway), {Fault: simulator.FaultReset}, {Reason: "INVALID_ARGUMENT", Detail: "message.token"}, {Reason: "PERMISSION_DENIED"}} {
		require.NoError(t, s.Script(ctx, simulator.FCM, fcmKey, a))
		n.Post(t, c, "/push/v1/notify", plain(fmt.Sprint("fcm-", i), harness.AppAndroid, fcmKey))
	}
	n.Post(t, c, "/_matrix/push/v1/notify", plain("web", harness.AppWeb, "canary-p256dh"))
	n.Post(t, c, "/_matrix/push/v1/notify", plain("undecodable", harness.AppIOS, "canary-not-hex-%%%"))
	n.Post(t, c, "/_matrix/push/v1/notify", plain("unknown", "com.example.unknown", key))
	n.Post(t, c, "/push/v1/notifyEncrypted/batch", encrypted)
	n.Post(t, c, "/push/v1/notifyEncrypted/batch", strings.Replace(encrypted, sealed, "canary-short", 1))
	n.Post(t, c, "/push/v1/notify", `{"notification":{"canary":`)
	n.Post(t, c, "/push/v1/notify", `{"notification":{"event_id":5,"devices":[{"app_id":"x","pushkey":"`+key+`"}],"content":"canary-content"}}`)
	n.Post(t, c, "/canary-path?canary=canary-query", "{}")
	n.Post(t, n.Client(t), "/push/v1/notify", plain("anonymous", harness.AppIOS, key))
	require.Equal(t, http.StatusOK, n.Admin(t, "/readyz").Status)
	metrics, ready := n.Admin(t, "/metrics").Body, n.Admin(t, "/readyz").Body
	n.Kill()
	n.Wait(t)

	files := map[string]string{"log": n.Output(), "metrics": metrics, "readyz": ready}
	require.NoError(t, filepath.Walk(filepath.Join(n.Dir, "data"), func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		files[info.Name()] = string(text)
		return err
	}))
	require.Contains(t, files, "pushgate.db", "the queue's file must be among those searched: %v", keys(files))
	require.Contains(t, n.Output(), `"level":"DEBUG"`, "the log must have been at debug level")
	for name, text := range files {
		for _, word := range []string{"canary", key, strings.ToUpper(key), sealed[:40]} {
			if i := strings.Index(text, word); i >= 0 {
				t.Errorf("%s holds %q: …%q…", name, word, text[max(0, i-200):min(len(text), i+200)])
			}
		}
	}
}

func keys(m map[string]string) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}
