package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/gen/client/pushgateway"
	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

const (
	iosToken     = "3f2a9c1de77b05a4c88f10b2d3e4f5a6978899aabbccddeeff00112233445566"
	androidToken = "e2e-android:APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ"
)

// ciphertext is 1404 characters of Base64, different for every seed.
func ciphertext(seed string) string {
	raw := make([]byte, 1052)
	copy(raw, seed)
	return base64.StdEncoding.EncodeToString(raw)
}

// TestDeliver_EveryOperation sends each operation over TLS with a client certificate and reads headers and payload
// bytes where they arrive.
func TestDeliver_EveryOperation(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	n := harness.StartGateway(t, s, harness.Settings{})
	c := n.Client(t, "fd.example.com")
	base64Token := base64.StdEncoding.EncodeToString([]byte("\x3f\x2a\x9c\x1d\xe7\x7b\x05\xa4\xc8\x8f\x10\xb2\xd3\xe4\xf5\xa6\x97\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x00\x11\x22\x33\x44\x55\x66"))

	for _, tc := range []struct {
		name, path, body, answer string
		want                     []simulator.Receipt
		payload                  []string
	}{
		{
			name: "Matrix notify", path: "/_matrix/push/v1/notify",
			body: `{"notification":{"event_id":"$m","room_id":"!r:x","type":"m.room.message","sender":"@a:x","sender_display_name":"Ada","room_name":"Engines",
				"prio":"low","content":{"msgtype":"m.text","body":"Grüße 🚀"},"counts":{"unread":2,"missed_calls":1},
				"devices":[{"app_id":"com.example.app.ios","pushkey":"` + base64Token + `","pushkey_ts":1634025600,
				"data":{"default_payload":{"aps":{"mutable-content":1,"sound":"bing"},"big":12345678901234567890}}},
				{"app_id":"com.example.app.android","pushkey":"` + androidToken + `"}]}}`,
			answer: `{"rejected":[]}`,
			want: []simulator.Receipt{
				{Service: simulator.APNs, Token: iosToken, Topic: "com.example.app", PushType: "alert", Priority: "5"},
				{Service: simulator.FCM, Token: androidToken, PushType: "data", Priority: "normal"},
			},
			payload: []string{
				`{"aps":{"mutable-content":1,"sound":"bing","alert":{"loc-key":"MSG_FROM_USER_IN_ROOM_WITH_CONTENT","loc-args":["Ada","Engines","Grüße 🚀"]},"badge":3},"big":12345678901234567890,"room_id":"!r:x","event_id":"$m"}`,
				`{"message":{"token":"` + androidToken + `","android":{"priority":"normal"},"data":{"event_id":"$m","type":"m.room.message","sender":"@a:x","room_name":"Engines","sender_display_name":"Ada","content_msgtype":"m.text","content_body":"Grüße 🚀","room_id":"!r:x","prio":"normal","unread":"2","missed_calls":"1"}}}`,
			},
		},
		{
			name: "gematik notify", path: "/push/v1/notify",
			body: `{"notification":{"event_id":"$g","room_id":"!r:x","type":"m.call.invite","sender":"@a:x","prio":"high","content":{"offer":{"sdp":"m=video"}},
				"devices":[{"app_id":"com.example.cert.ios","pushkey":"` + strings.ToUpper(iosToken) + `"}]}}`,
			answer:  `{"rejected":[]}`,
			want:    []simulator.Receipt{{Service: simulator.APNs, Token: iosToken, PushType: "alert", Priority: "10"}},
			payload: []string{`{"aps":{"alert":{"loc-key":"VIDEO_CALL_FROM_USER","loc-args":["@a:x"]}},"room_id":"!r:x","event_id":"$g"}`},
		},
		{
			name: "gematik batch", path: "/push/v1/notify/batch",
			body: `{"notifications":[
				{"id":"one","notification":{"event_id":"$b","room_id":"!r:x","devices":[{"app_id":"com.example.app.ios","pushkey":"` + iosToken + `","data":{"default_payload":{"aps":{"content-available":1}}}}]}},
				{"id":"two","notification":{"event_id":"$c","devices":[{"app_id":"com.example.nobody","pushkey":"x"}]}}]}`,
			answer: `{"results":[{"id":"one","rejected":[],"status":"success"},{"error":"Unknown app_id.","id":"two","rejected":[],"status":"failed"}],
				"summary":{"failed":1,"partial":0,"successful":1,"total":2}}`,
			want:    []simulator.Receipt{{Service: simulator.APNs, Token: iosToken, PushType: "alert", Priority: "10"}},
			payload: []string{`{"aps":{"content-available":1},"room_id":"!r:x","event_id":"$b"}`},
		},
		{
			name: "gematik encrypted batch", path: "/push/v1/notifyEncrypted/batch",
			body: `{"notifications":[
				{"id":"a","notification":{"ciphertext":"` + ciphertext("a") + `","time_message_encrypted":"2026-07","key_identifier":"5EBB1486-7430-42C0-B9AA-B57CA6C90EA4","identifier":"audit-1","prio":"low","counts":{"unread":0},
				 "device":{"app_id":"com.example.app.ios","pushkey":"` + iosToken + `","data":{"format":"x"},"tweaks":{"sound":"y"}}}},
				{"id":"b","notification":{"ciphertext":"` + ciphertext("b") + `","time_message_encrypted":"2026-07","key_identifier":"k",
				 "device":{"app_id":"com.example.app.android","pushkey":"` + androidToken + `"}}}]}`,
			answer: `{"results":[{"id":"a","rejected":[],"status":"success"},{"id":"b","rejected":[],"status":"success"}],"summary":{"failed":0,"partial":0,"successful":2,"total":2}}`,
			want: []simulator.Receipt{
				{Service: simulator.APNs, Token: iosToken, PushType: "alert", Priority: "5"},
				{Service: simulator.FCM, Token: androidToken, PushType: "data", Priority: "high"},
			},
			payload: []string{
				`{"aps":{"alert":{"body":"New notification"},"mutable-content":1,"badge":0},"ciphertext":"` + ciphertext("a") + `","time_message_encrypted":"2026-07","key_identifier":"5EBB1486-7430-42C0-B9AA-B57CA6C90EA4","identifier":"audit-1"}`,
				`{"message":{"token":"` + androidToken + `","android":{"priority":"high"},"data":{"ciphertext":"` + ciphertext("b") + `","time_message_encrypted":"2026-07","key_identifier":"k"}}}`,
			},
		},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		require.NoError(t, s.Reset(ctx), tc.name)
		cancel()
		got := n.Post(t, c, tc.path, tc.body)
		require.Equal(t, http.StatusOK, got.Status, "%s: %s", tc.name, got.Body)
		require.JSONEq(t, tc.answer, got.Body, tc.name)
		require.NotEmpty(t, got.Header.Get("X-Request-Id"), tc.name)
		receipts := s.Delivered(t, uint64(len(tc.want)))
		require.Len(t, receipts, len(tc.want), tc.name)
		for i, want := range tc.want {
			r := receiptFor(t, receipts, want.Service)
			require.Equal(t, want.Token, r.Token, tc.name)
			require.Equal(t, want.Priority, r.Priority, tc.name)
			require.Equal(t, want.PushType, r.PushType, tc.name)
			if want.Topic != "" {
				require.Equal(t, want.Topic, r.Topic, tc.name)
			}
			require.Empty(t, r.Expiration, "%s: a phone that is offline must still get it", tc.name)
			require.JSONEq(t, tc.payload[i], string(r.Payload), tc.name)
			require.Contains(t, string(r.Payload), digits(tc.payload[i]), "%s: numbers keep their digits", tc.name)
			if want.Service == simulator.APNs {
				require.Len(t, r.CollapseID, 32, tc.name)
			}
		}
		again := n.Post(t, c, tc.path, tc.body)
		require.JSONEq(t, tc.answer, again.Body, "%s: a caller's repeat gets the same answer", tc.name)
		require.Len(t, s.Log(t), len(tc.want), "%s: and rings nobody twice", tc.name)
	}
}

// digits returns the number that JSON comparison would bend, empty where there is none.
func digits(payload string) string {
	if strings.Contains(payload, "12345678901234567890") {
		return "12345678901234567890"
	}
	return ""
}

func receiptFor(t *testing.T, receipts []simulator.Receipt, service simulator.Service) simulator.Receipt {
	t.Helper()
	for _, r := range receipts {
		if r.Service == service {
			return r
		}
	}
	require.Fail(t, "nothing arrived at "+string(service))
	return simulator.Receipt{}
}

// TestDeliver_DeadPushkeysAreReportedOnceAskedAndEverAfter covers the verdict's whole way.
func TestDeliver_DeadPushkeysAreReported(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	n := harness.StartGateway(t, s, harness.Settings{})
	c := n.Client(t, "fd.example.com")
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	require.NoError(t, s.Script(ctx, simulator.APNs, iosToken, simulator.Answer{Reason: "Unregistered", Times: 1}))
	body := func(event string, ts int64) string {
		return fmt.Sprintf(`{"notification":{"event_id":"%s","room_id":"!r","devices":[{"app_id":"com.example.app.ios","pushkey":"%s","pushkey_ts":%d,"data":{"default_payload":{"aps":{}}}}]}}`, event, iosToken, ts)
	}
	old := time.Now().Add(-time.Hour).Unix()
	require.JSONEq(t, `{"rejected":["`+iosToken+`"]}`, n.Post(t, c, "/_matrix/push/v1/notify", body("$1", old)).Body)
	require.JSONEq(t, `{"rejected":["`+iosToken+`"]}`, n.Post(t, c, "/push/v1/notify", body("$2", old)).Body, "known dead, the provider is not asked")
	require.Len(t, s.Log(t), 1)
	fresh := time.Now().Add(time.Hour).Unix()
	require.JSONEq(t, `{"rejected":[]}`, n.Post(t, c, "/_matrix/push/v1/notify", body("$3", fresh)).Body, "registered again")
	require.Len(t, s.Log(t), 2)
}

// TestEdge_CertificatesAndSenders: who may call, and for which apps.
func TestEdge_CertificatesAndSenders(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	n := harness.StartGateway(t, s, harness.Settings{Senders: `[{san: fd.example.com, app_ids: ["com.example.cert.*"]}]`})
	batch := `{"notifications":[{"id":"1","notification":{"ciphertext":"` + ciphertext("s") + `","time_message_encrypted":"2026-07","key_identifier":"k","device":{"app_id":"com.example.cert.ios","pushkey":"` + iosToken + `"}}}]}`
	anonymous, right, wrong := n.Client(t), n.Client(t, "fd.example.com"), n.Client(t, "other.example.com")

	got := n.Post(t, anonymous, "/push/v1/notifyEncrypted/batch", batch)
	require.Equal(t, http.StatusUnauthorized, got.Status)
	require.JSONEq(t, `{"error":"Missing or invalid mutual TLS (mTLS) certificate."}`, got.Body)

	require.Contains(t, n.Post(t, wrong, "/push/v1/notifyEncrypted/batch", batch).Body, `"status":"failed"`)
	matrix := `{"notification":{"event_id":"$x","devices":[{"app_id":"com.example.cert.ios","pushkey":"` + iosToken + `"}]}}`
	require.JSONEq(t, `{"rejected":[]}`, n.Post(t, anonymous, "/_matrix/push/v1/notify", matrix).Body, "a sender's app is unknown on the Matrix path, and never rejected")
	require.Empty(t, s.Log(t))

	require.Contains(t, n.Post(t, right, "/push/v1/notifyEncrypted/batch", batch).Body, `"status":"success"`)
	s.Delivered(t, 1)
}

// TestHomeservers_RealBodies: what Synapse and Dendrite really send is accepted and delivers.
func TestHomeservers_RealBodies(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	n := harness.StartGateway(t, s, harness.Settings{})
	c := n.Client(t)
	dev := `[{"app_id":"com.example.app.ios","pushkey":"` + iosToken + `","pushkey_ts":1700000000,"data":%s,"tweaks":{"sound":"default","highlight":false}}]`
	for i, body := range []string{
		`{"notification":{"id":"$s1","event_id":"$s1","room_id":"!r:x","type":"m.room.member","sender":"@a:x","prio":"high","membership":"invite","user_is_target":true,"counts":{"unread":1},"content":{"membership":"invite"},"sender_display_name":"A","room_name":"R","devices":` + fmt.Sprintf(dev, `{"format":null}`) + `}}`,
		`{"notification":{"id":"","type":null,"sender":"","counts":{"unread":0},"devices":` + fmt.Sprintf(dev, `{}`) + `}}`,
		`{"notification":{"content":{"msgtype":"m.text","body":"x"},"counts":{"unread":3},"devices":` + fmt.Sprintf(dev, `null`) + `,"event_id":"$d1","id":"$d1","membership":null,"room_id":"!r:x","room_name":"R","sender":"@a:x","type":"m.room.message"}}`,
		`{"notification":{"event_id":"$s2","room_id":"!r:x","prio":"high","counts":{"unread":2},"devices":` + fmt.Sprintf(dev, `{"format":"event_id_only","default_payload":{"aps":{"mutable-content":1}}}`) + `}}`,
	} {
		got := n.Post(t, c, "/_matrix/push/v1/notify", body)
		require.Equal(t, http.StatusOK, got.Status, got.Body)
		s.Delivered(t, uint64(i+1))
	}
}

// TestDeliver_ThousandAtOnce: 1,000 concurrent requests over a provider that takes 100 ms need few connections. A machine
// that is too busy for them may ask some callers to come again, and they do.
func TestDeliver_ThousandAtOnce(t *testing.T) {
	t.Parallel()
	const requests = 1000
	s := harness.StartSim(t, "-latency", "100ms", "-brief")
	n := harness.StartGateway(t, s, harness.Settings{})
	c := n.Client(t)
	var all sync.WaitGroup
	failures := make(chan string, requests)
	for i := range requests {
		all.Go(func() {
			body := fmt.Sprintf(`{"notification":{"event_id":"$%d","room_id":"!r","type":"m.room.message","sender":"@a:x","devices":[{"app_id":"com.example.app.ios","pushkey":"%064x"}]}}`, i, i)
			got, err := n.Try(c, "/_matrix/push/v1/notify", body)
			for range 30 {
				if err != nil || got.Status != http.StatusServiceUnavailable {
					break
				}
				time.Sleep(time.Second) // what Retry-After asks for
				got, err = n.Try(c, "/_matrix/push/v1/notify", body)
			}
			if err != nil || got.Status != http.StatusOK {
				failures <- fmt.Sprintf("%v %d %s", err, got.Status, got.Body)
			}
		})
	}
	all.Wait()
	close(failures)
	for f := range failures {
		t.Error(f)
	}
	s.Delivered(t, requests)
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	stats, err := s.Stats(ctx)
	require.NoError(t, err)
	require.LessOrEqual(t, stats.Services[simulator.APNs].ConnectionsOpened, int64(4))
}

// TestClient_GeneratedClientDelivers: what a homeserver's team would write.
func TestClient_GeneratedClientDelivers(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	n := harness.StartGateway(t, s, harness.Settings{})
	client, err := pushgateway.NewClientWithResponses("https://"+n.Addr("tls"), pushgateway.WithHTTPClient(n.Client(t, "fd.example.com")))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	event, kind := "$gen", "m.room.message"
	res, err := client.NotifyWithResponse(ctx, pushgateway.NotifyRequest{Notification: pushgateway.PlainNotification{
		EventID: &event, Type: &kind, Devices: []pushgateway.Device{{AppID: harness.AppIOS, Pushkey: iosToken, Data: json.RawMessage(`{"x":1.10}`)}},
	}})
	require.NoError(t, err)
	require.NotNil(t, res.JSON200, string(res.Body))
	require.Empty(t, res.JSON200.Rejected)
	s.Delivered(t, 1)
}
