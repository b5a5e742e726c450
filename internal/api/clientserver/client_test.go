package clientserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	client "github.com/pushgate/pushgate/gen/client/clientserver"
	cst "github.com/pushgate/pushgate/internal/api/clientserver/clientservertest"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// The generated client does over a real connection what a Matrix client does.
func TestGeneratedClient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(cst.NewServer(t, &pushertest.Store{}, nil).Engine)
	t.Cleanup(server.Close)
	token := cst.Alice
	c, err := client.NewClientWithResponses(server.URL+cst.Base, client.WithHTTPClient(server.Client()),
		client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	require.NoError(t, err)
	text := func(s string) *string { return &s }
	body := client.SetPusherRequest{
		Kind: nullable.NewNullableWithValue("http"), AppID: "com.example.app", Pushkey: "a/b+c==", AppDisplayName: text("App"),
		DeviceDisplayName: text("Phone"), Lang: text("en"),
		Data: json.RawMessage(`{"url":"https://push.example.com/_matrix/push/v1/notify","n":12345678901234567890}`),
	}

	set, err := c.MatrixSetPusherWithResponse(t.Context(), body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, set.StatusCode())
	require.NotNil(t, set.JSON200)
	list, err := c.MatrixListPushersWithResponse(t.Context())
	require.NoError(t, err)
	require.Len(t, list.JSON200.Pushers, 1)
	require.Equal(t, "a/b+c==", list.JSON200.Pushers[0].Pushkey)
	require.JSONEq(t, string(body.Data), string(list.JSON200.Pushers[0].Data))
	require.Contains(t, string(list.JSON200.Pushers[0].Data), "12345678901234567890")

	forgotten := body
	forgotten.Kind = nil // a Go program that forgets kind must not delete
	set, err = c.MatrixSetPusherWithResponse(t.Context(), forgotten)
	require.NoError(t, err)
	require.Equal(t, "M_INVALID_PARAM", set.JSON400.Errcode)

	set, err = c.MatrixSetPusherWithResponse(t.Context(), client.SetPusherRequest{
		Kind: nullable.NewNullNullable[string](), AppID: body.AppID, Pushkey: body.Pushkey,
	})
	require.NoError(t, err)
	require.NotNil(t, set.JSON200)
	list, err = c.MatrixListPushersWithResponse(t.Context())
	require.NoError(t, err)
	require.Empty(t, list.JSON200.Pushers)

	token = "nobody"
	list, err = c.MatrixListPushersWithResponse(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, "M_UNKNOWN_TOKEN", list.JSON401.Errcode)

	answer, err := server.Client().Head(server.URL + cst.Base + "/pushers?access_token=" + cst.Alice)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.EqualValues(t, len(`{"pushers":[]}`)+1, answer.ContentLength, "1.9: HEAD is GET without the body")
}
