package pushgateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api"
	"github.com/pushgate/pushgate/internal/api/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
)

// sink delivers everything at no cost.
type sink struct{}

func (sink) Deliver(_ context.Context, _ push.Caller, n []push.Notification) ([]push.Delivery, error) {
	out := make([]push.Delivery, len(n))
	for i := range out {
		out[i].State = push.StateDelivered
	}
	return out, nil
}

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// oneKB is a Matrix notification of about 1 KB, as Synapse sends it.
func oneKB() []byte {
	return []byte(`{"notification":{"id":"$3957tyerfgewrf384sdfsdfsdf","event_id":"$3957tyerfgewrf384sdfsdfsdf","room_id":"!slw48wfj34rtnrf:example.com",` +
		`"type":"m.room.message","sender":"@exampleuser:matrix.org","prio":"high","sender_display_name":"Major Tom","room_name":"Mission Control",` +
		`"membership":null,"user_is_target":false,"content":{"msgtype":"m.text","body":"` + strings.Repeat("I'm floating in a most peculiar way. ", 10) + `","format":"org.matrix.custom.html",` +
		`"m.relates_to":{"m.in_reply_to":{"event_id":"$abc"}}},"counts":{"unread":2,"missed_calls":1},"devices":[{"app_id":"com.example.app.ios",` +
		`"pushkey":"V2h5IG9uIGVhcnRoIGRpZCB5b3UgZGVjb2RlIHRoaXM/","pushkey_ts":1634025600,"data":{"format":"event_id_only","default_payload":{"aps":{"mutable-content":1,"content-available":1,"alert":{"loc-key":"SINGLE_UNREAD","loc-args":[]}}}},` +
		`"tweaks":{"sound":"bing","highlight":true}}]}}`)
}

// encryptedBatch returns a batch of n encrypted items.
func encryptedBatch(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"notifications":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"3f5f9f6e-6f0c-4a9b-9b0e-%012d","notification":{"ciphertext":%q,"time_message_encrypted":"2026-07",`+
			`"key_identifier":"5EBB1486-7430-42C0-B9AA-B57CA6C90EA4","identifier":"b0a9b6d0-6f0c-4a9b-9b0e-000000000000","prio":"low",`+
			`"counts":{"unread":1},"device":{"app_id":"de.example.app.apns","pushkey":"%064x","pushkey_ts":1750000000,"data":{"format":"encrypted"}}}}`,
			i, strings.Repeat("QUJD", 351), i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func benchmark(b *testing.B, path string, body []byte) {
	a, err := pushgateway.New(pushgateway.Options{Deliverer: sink{}, Matrix: true, Gematik: true})
	require.NoError(b, err)
	engine, err := api.New(api.Options{})
	require.NoError(b, err)
	require.NoError(b, engine.Mount(a))
	require.True(b, json.Valid(body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequest(http.MethodPost, path, bytes.NewReader(body))
		require.NoError(b, err)
		r.Header.Set("Content-Type", "application/json")
		w := &discard{header: http.Header{}}
		engine.ServeHTTP(w, r)
		require.Equal(b, http.StatusOK, w.status)
	}
}

func BenchmarkMatrixNotify1KB(b *testing.B) { benchmark(b, "/_matrix/push/v1/notify", oneKB()) }

func BenchmarkEncryptedBatch1(b *testing.B) {
	benchmark(b, "/push/v1/notifyEncrypted/batch", encryptedBatch(1))
}

func BenchmarkEncryptedBatch100(b *testing.B) {
	benchmark(b, "/push/v1/notifyEncrypted/batch", encryptedBatch(100))
}

func BenchmarkMount(b *testing.B) {
	for b.Loop() {
		a, err := pushgateway.New(pushgateway.Options{Deliverer: sink{}, Matrix: true, Gematik: true})
		require.NoError(b, err)
		engine, err := api.New(api.Options{})
		require.NoError(b, err)
		require.NoError(b, engine.Mount(a))
	}
}
