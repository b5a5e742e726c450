package pushgateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/push"
)

func TestObserver_HearsOfEveryRequest(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	for _, path := range paths() {
		e.post(path, validBody(path))
	}
	e.post(pathNotify, `{`)
	e.gateway.answer = func(context.Context, []push.Notification) ([]push.Delivery, error) { panic("x") }
	e.post(pathMatrix, validBody(pathMatrix))
	e.engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
	size := func(path string) int64 { return int64(len(validBody(path))) }
	require.Equal(t, []observed{
		{"matrixNotify", 200, size(pathMatrix)}, {"notify", 200, size(pathNotify)}, {"notifyBatch", 200, size(pathBatch)},
		{"notifyEncryptedBatch", 200, size(pathEncrypted)}, {"notify", 400, 1}, {"matrixNotify", 500, size(pathMatrix)}, {"unknown", 404, 0},
	}, e.observed)
}

// Whatever happens to a request, nothing of it is in the log, at debug level too.
func TestLog_HoldsNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	outcomes := map[string]func(context.Context, []push.Notification) ([]push.Delivery, error){
		"delivered": states(push.StateDelivered),
		"rejected":  states(push.StateRejected),
		"failed":    states(push.StateUndeliverable),
		"error": func(context.Context, []push.Notification) ([]push.Delivery, error) {
			return nil, errors.New("store is down")
		},
		"panic": func(_ context.Context, n []push.Notification) ([]push.Delivery, error) {
			panic(n[0].Device.Pushkey.Reveal() + string(n[0].Device.Data.Bytes()))
		},
		"panic with the notification": func(_ context.Context, n []push.Notification) ([]push.Delivery, error) { panic(n) },
	}
	members := []string{"event_id", "room_id", "type", "sender", "sender_display_name", "room_name", "room_alias"}
	for name, outcome := range outcomes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, nil)
			e.gateway.answer = outcome
			for _, path := range paths() {
				body := strings.NewReplacer(`"app"`, `"app-`+canary+`"`, `"key`, `"key-`+canary,
					`"app_id"`, `"data":{"x":"`+canary+`"},"tweaks":{"`+canary+`":1},"app_id"`, `"kid"`, `"`+canary+`"`, ciphertext(), canary+ciphertext()[6:],
					`"id":"a"`, `"id":"`+canary+`"`).Replace(validBody(path))
				for _, m := range members {
					if m != "event_id" && path != pathEncrypted {
						body = strings.Replace(body, `"event_id"`, `"`+m+`":"`+canary+`","event_id"`, 1)
					}
				}
				r := apitest.Post(path, body)
				r.URL.RawQuery = "access_token=" + canary
				r.Header.Set("Authorization", "Bearer "+canary)
				r.Header.Set("Cookie", canary)
				e.do(r)
				e.post(path, body[1:])                                               // not JSON
				e.post(path, strings.ReplaceAll(body, "pushkey", canary))            // a member missing
				e.post(path, strings.ReplaceAll(body, `"app_id":"`, `"app_id":1,"`)) // a wrong type
			}
			require.NotZero(t, e.log.Len())
			require.NotContains(t, e.log.String(), canary)
		})
	}
}
