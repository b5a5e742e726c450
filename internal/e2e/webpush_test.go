package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
	"github.com/pushgate/pushgate/internal/simulator"
)

// TestWebPush_EveryAnswer sends through the whole process and looks at what the caller learns of each status.
func TestWebPush_EveryAnswer(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	n := harness.StartGateway(t, s, harness.Settings{})
	c := n.Client(t)
	for i, tc := range []struct {
		answer simulator.Answer
		dead   bool
		state  string // of pushgate_devices_total
	}{
		{simulator.Answer{}, false, "delivered"},
		{simulator.Answer{Status: 404}, true, "rejected"},
		{simulator.Answer{Status: 410}, true, "rejected"},
		{simulator.Answer{Status: 403}, false, "dead_lettered"},
		{simulator.Answer{Status: 413}, false, "dead_lettered"},
		{simulator.Answer{Status: 400}, false, "dead_lettered"},
		{simulator.Answer{Status: 307, Header: map[string]string{"location": "https://127.0.0.1/"}}, false, "dead_lettered"},
		{simulator.Answer{Status: 429, RetryAfter: "3600"}, false, "queued"},
		{simulator.Answer{Status: 503, RetryAfter: "3600"}, false, "queued"},
		{simulator.Answer{Status: 500}, false, "queued"},
		{simulator.Answer{Status: 418}, false, "queued"},
		{simulator.Answer{Fault: simulator.FaultReset}, false, "queued"},
	} {
		name := fmt.Sprintf("%d %s", tc.answer.Status, tc.answer.Fault)
		sub, err := s.Subscribe(t.Context(), simulator.SubscribeOptions{})
		require.NoError(t, err)
		require.NoError(t, s.Script(t.Context(), simulator.WebPush, sub.ID, tc.answer))
		before := n.Metrics(t)
		a := n.Post(t, c, "/_matrix/push/v1/notify", webBody(t, fmt.Sprintf("$%d", i), sub.P256DH, map[string]any{"endpoint": sub.Endpoint, "auth": sub.Auth}))
		require.Equal(t, http.StatusOK, a.Status, name)
		want := `{"rejected":[]}`
		if tc.dead {
			want = `{"rejected":["` + sub.P256DH + `"]}`
		}
		require.JSONEq(t, want, a.Body, name)
		after := n.Metrics(t)
		if tc.state == "queued" {
			require.EqualValues(t, 1, after["pushgate_queue_depth"]-before["pushgate_queue_depth"], name)
			continue
		}
		require.EqualValues(t, 1, after.Devices(tc.state)-before.Devices(tc.state), name)
	}
	m := n.Metrics(t)
	require.Zero(t, m.Imbalance())
	require.Zero(t, m.Sum("pushgate_app_breaker_state", `provider="webpush"`), "strangers' services must not stop the app")
	require.Zero(t, m.Sum("pushgate_app_paused", `provider="webpush"`))
}

func webBody(t *testing.T, event, pushkey string, data any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"notification": map[string]any{
		"event_id": event, "room_id": "!r:x", "type": "m.room.message", "sender": "@a:x", "content": map[string]any{"body": "hi"},
		"devices": []any{map[string]any{"app_id": harness.AppWeb, "pushkey": pushkey, "data": data}},
	}})
	require.NoError(t, err)
	return string(body)
}

// TestWebPush_FuzzedSubscriptions: whatever a stranger registers, the caller gets 200 (or 400 where the contract says so),
// no device is reported as dead, and nothing is dialled.
func TestWebPush_FuzzedSubscriptions(t *testing.T) {
	t.Parallel()
	s := harness.StartSim(t)
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = trap.Close() })
	touched := make(chan struct{}, 1000)
	go func() {
		for {
			conn, err := trap.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
			touched <- struct{}{}
		}
	}()
	n := harness.StartGateway(t, s, harness.Settings{})
	c := n.Client(t)
	r := rand.New(rand.NewPCG(6, 8291)) // the same subscriptions in every run
	for i := range 600 {
		pushkey, data := subscription(r, trap.Addr().String())
		a := n.Post(t, c, "/_matrix/push/v1/notify", webBody(t, fmt.Sprintf("$f%d", i), pushkey, data))
		require.Containsf(t, []int{http.StatusOK, http.StatusBadRequest}, a.Status, "%q %v: %s", pushkey, data, a.Body)
		if a.Status == http.StatusOK {
			require.JSONEq(t, `{"rejected":[]}`, a.Body)
		}
	}
	require.Empty(t, touched)
	require.Empty(t, s.Log(t))
	m := n.Metrics(t)
	require.Zero(t, m.Imbalance())
	require.Positive(t, m.Devices("dead_lettered"))
	require.Zero(t, m.Devices("rejected"))
	require.Zero(t, m["pushgate_queue_depth"], "no broken subscription is tried again")
	require.Zero(t, m.Sum("pushgate_notifications_total", `reason="panic"`))
}

// subscription makes one that is wrong in at least one way.
func subscription(r *rand.Rand, trap string) (pushkey string, data any) {
	const point = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	any1 := func(all ...any) any { return all[r.IntN(len(all))] }
	text := func(n int) string {
		b := make([]rune, r.IntN(n))
		for i := range b {
			b[i] = rune(any1('a', '=', '/', '\x00', 'é', '🚀', '%', '\\', '-', '.').(rune))
		}
		return string(b)
	}
	key := any1(point, point+"=", strings.ToLower(point), point[:40], "x"+point, text(100)+"x", strings.Repeat("A", 87), "BA").(string)
	endpoint := any1("https://"+trap+"/x", "http://"+trap, "https://"+text(30), "https://localhost/"+text(30), "https://[::1]:1/", "https://fcm.googleapis.com@"+trap,
		"https://"+trap+"#"+text(9), text(300), 5, nil, true, []any{"https://" + trap}, map[string]any{"a": 1}, "https://"+strings.Repeat("a.", 2000), "https://xn--\u00fc/", "https://x:99999999999")
	auth := any1("BTBZMqHH6r4Tts7J_aSIgg", "BTBZMqHH6r4Tts7J_aSIgg==", "", text(40), 1.5, nil, []any{}, "AAAA")
	members := map[string]any{
		any1("endpoint", "endpoint", "Endpoint").(string): endpoint, any1("auth", "auth", "AUTH").(string): auth,
		"events_only": any1(true, "true", 1, nil), "only_last_per_room": any1(true, false, "x"), "default_payload": any1(nil, []any{1}, "x", map[string]any{"a": text(50)}, text(5000)),
	}
	return key, any1(members, members, members, members, []any{}, "x", nil, 5)
}
