package clientfd_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	client "github.com/pushgate/pushgate/gen/client/clientfd"
	fdt "github.com/pushgate/pushgate/internal/api/clientfd/clientfdtest"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

func connect(t *testing.T, server *httptest.Server, base, token string) *client.ClientWithResponses {
	t.Helper()
	c, err := client.NewClientWithResponses(server.URL+base, client.WithHTTPClient(server.Client()),
		client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	require.NoError(t, err)
	return c
}

// The generated client does over a real connection what an app does, in both spellings of the operations.
func TestGeneratedClient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(fdt.NewServer(t, fdt.Generic(), &pushertest.Store{}, nil).Engine)
	t.Cleanup(server.Close)
	c, ctx := connect(t, server, "/push/v1", fdt.Erika), t.Context()
	text := func(s string) *string { return &s }
	const key = "a/b+c=%2F?#d e"
	body := client.SetPusherRequest{
		Kind: nullable.NewNullableWithValue("http"), AppID: "app", Pushkey: key, AppDisplayName: text("App"), DeviceDisplayName: text("Phone"),
		Lang: text("de"), Data: json.RawMessage(`{"url":"https://gw.example.com/push/v1/","platform":"ios"}`),
		Encryption: &client.Encryption{
			Method: client.EncryptionMethodAesHmacSha256, TimeIssCreated: "2026-07", Iss: text(fdt.Secret), KeyIdentifier: "kid",
		},
	}
	choice := client.ChannelsRequest{Channels: []client.Channel{{ID: "erp.task.activate", Status: client.ChannelStatusEnabled}}}

	set, err := c.SetPusherWithResponse(ctx, body)
	require.NoError(t, err)
	require.NotNilf(t, set.JSON200, "%s", set.Body)
	chosen, err := c.SetDeviceChannelsWithResponse(ctx, key, choice)
	require.NoError(t, err)
	require.NotNilf(t, chosen.JSON200, "%s", chosen.Body)
	channels, err := c.ListDeviceChannelsWithResponse(ctx, key)
	require.NoError(t, err)
	require.Equal(t, choice.Channels[0], channels.JSON200.Channels[0])
	available, err := c.ListChannelsWithResponse(ctx)
	require.NoError(t, err)
	require.Len(t, available.JSON200.Channels, 3)

	e := connect(t, server, "", fdt.Erika)
	list, err := e.ErezeptListPushersWithResponse(ctx)
	require.NoError(t, err)
	require.Equal(t, key, list.JSON200.Pushers[0].Pushkey)
	require.JSONEq(t, string(body.Data), string(list.JSON200.Pushers[0].Data))
	device, err := e.ErezeptListDeviceChannelsWithResponse(ctx, key)
	require.NoError(t, err)
	require.Equal(t, channels.JSON200.Channels, device.JSON200.Channels)
	gone, err := e.ErezeptSetPusherWithResponse(ctx, client.SetPusherRequest{Kind: nullable.NewNullNullable[string](), AppID: "app", Pushkey: key})
	require.NoError(t, err)
	require.NotNilf(t, gone.JSON200, "%s", gone.Body)
	missing, err := e.ErezeptSetDeviceChannelsWithResponse(ctx, key, choice)
	require.NoError(t, err)
	require.EqualValues(t, "notFound", missing.JSON404.ErrorCode)
	refused, err := c.SetDeviceChannelsWithResponse(ctx, key, choice)
	require.NoError(t, err)
	require.Equal(t, "M_INVALID_PARAM", refused.JSON400.ErrorCode)
	stranger, err := connect(t, server, "", "nobody").ErezeptListChannelsWithResponse(ctx)
	require.NoError(t, err)
	require.EqualValues(t, "invalidAccessToken", stranger.JSON401.ErrorCode)
}
