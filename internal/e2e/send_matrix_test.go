package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/e2e/harness"
)

// TestSend_MatrixEventsReachTheUsersClients: a Matrix server's event goes to every pusher of the user, in full or as ids
// only, and badge counts follow.
func TestSend_MatrixEventsReachTheUsersClients(t *testing.T) {
	t.Parallel()
	const user = "@ada:example.com"
	l := newLoop(t, loopOptions{users: []string{user, ada}})
	set := func(app, key, data string) {
		require.JSONEq(t, `{}`, l.app(t, user, http.MethodPost, "/_matrix/client/v3/pushers/set", fmt.Sprintf(
			`{"kind":"http","app_id":%q,"pushkey":%q,"app_display_name":"A","device_display_name":"D","lang":"en","data":{"url":"https://%s/_matrix/push/v1/notify"%s}}`,
			app, key, l.at, data)))
	}
	set(harness.AppIOS, iosToken, `,"default_payload":{"aps":{"mutable-content":1},"big":12345678901234567890}`)
	set(harness.AppAndroid, androidToken, `,"format":"event_id_only"`)
	l.accept(t, eventPath, `{"user_id":"`+user+`","event_id":"$1","room_id":"!r:example.com","type":"m.room.message","sender":"@bob:example.com",
		"sender_display_name":"Bob","room_name":"Engines","prio":"low","content":{"msgtype":"m.text","body":"Hello 🚀"},"counts":{"unread":2},"tweaks":{"sound":"bing"}}`)
	l.sim.Delivered(t, 2)
	full, ids := l.arrivals(t, iosToken), l.arrivals(t, androidToken)
	require.Len(t, full, 1)
	require.Len(t, ids, 1)
	require.Equal(t, "5", full[0].Priority)
	require.Equal(t, "normal", ids[0].Priority)
	require.Contains(t, string(full[0].Payload), "12345678901234567890")
	require.JSONEq(t, `{"aps":{"mutable-content":1,"alert":{"loc-key":"MSG_FROM_USER_IN_ROOM_WITH_CONTENT","loc-args":["Bob","Engines","Hello 🚀"]},"badge":2},
		"big":12345678901234567890,"room_id":"!r:example.com","event_id":"$1"}`, string(full[0].Payload))
	var message struct {
		Message struct{ Data map[string]string }
	}
	require.NoError(t, json.Unmarshal(ids[0].Payload, &message))
	require.Equal(t, map[string]string{"event_id": "$1", "room_id": "!r:example.com", "prio": "normal", "unread": "2"}, message.Message.Data)

	l.accept(t, eventPath, `{"user_id":"`+user+`","counts":{"unread":0}}`)
	l.sim.Delivered(t, 4)
	badge := l.arrivals(t, iosToken)
	require.Len(t, badge, 2)
	require.Contains(t, string(badge[1].Payload), `"badge":0`)
	require.NotContains(t, string(badge[1].Payload), "alert")
	require.Len(t, l.arrivals(t, androidToken), 2)

	a := l.submit(t, eventPath, "", `{"user_id":"@nobody:example.com","event_id":"$2","room_id":"!r"}`)
	require.Equal(t, http.StatusNotFound, a.Status, a.Body)
	a = l.submit(t, eventPath, "", strings.Replace(notice(ada, erpActivate, `{}`, ""), `"user"`, `"user_id":"`+ada+`","x"`, 1))
	require.Equal(t, http.StatusBadRequest, a.Status, "a person's identifier is no Matrix user: %s", a.Body)
	l.settled(t)
	require.Len(t, l.sim.Log(t), 4)
}
