package pushgateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	client "github.com/pushgate/pushgate/gen/client/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
)

// The generated client and the generated server are two halves of one contract.
func TestGeneratedClient_RoundTrip(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.gateway.answer = states(push.StateRejected)
	server := httptest.NewServer(e.engine)
	t.Cleanup(server.Close)
	c, err := client.NewClientWithResponses(server.URL, client.WithHTTPClient(server.Client()))
	require.NoError(t, err)

	data := json.RawMessage(`{"n":1.10,"big":12345678901234567890}`)
	unread, low := int64(0), client.PriorityLow
	batch, err := c.NotifyEncryptedBatchWithResponse(context.Background(), client.EncryptedBatchRequest{Notifications: []client.EncryptedBatchItem{{
		ID: "1", Notification: client.EncryptedNotification{
			Ciphertext: ciphertext(), TimeMessageEncrypted: "2026-07", KeyIdentifier: "k", Prio: &low, Counts: &client.Counts{Unread: &unread},
			Device: client.Device{AppID: "a", Pushkey: "p", Data: data},
		},
	}}})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, batch.StatusCode())
	require.Equal(t, []string{"p"}, batch.JSON200.Results[0].Rejected)
	require.Equal(t, client.BatchSummary{Total: 1, Failed: 1}, batch.JSON200.Summary)
	require.Equal(t, string(data), string(e.gateway.got[0].Device.Data.Bytes()))
	require.Equal(t, int64(0), *e.gateway.got[0].Counts.Unread)
	require.Nil(t, e.gateway.got[0].Device.Tweaks, "what the client leaves out is absent")

	matrix, err := c.MatrixNotifyWithResponse(context.Background(), client.MatrixNotifyRequest{Notification: client.MatrixNotification{Devices: []client.MatrixDevice{{AppID: "a", Pushkey: "p"}}}})
	require.NoError(t, err)
	require.Equal(t, []string{"p"}, matrix.JSON200.Rejected)
	require.False(t, e.gateway.got[0].Event.ID.Present())

	bad, err := c.NotifyBatchWithResponse(context.Background(), client.BatchRequest{Notifications: []client.BatchItem{}})
	require.NoError(t, err)
	require.Equal(t, client.BatchErrorTextInvalidDataFormat, bad.JSON400.Error)
}

func TestVerbatim_KeepsOrderAndCharactersWhateverTheyAre(t *testing.T) {
	t.Parallel()
	const sent = `{ "z": "<a href='x?a=1&b=2'>", "a" : "\u003c\u2028 \u0000", "<&>": [ 1.0 , -0 ] }`
	e := newEdge(t, nil)
	require.Equal(t, http.StatusOK, e.post(pathMatrix, `{"notification":{"content":`+sent+`,"devices":[{"app_id":"a","pushkey":"k"}]}}`).Code)
	got := e.gateway.got[0].Event.Content.Bytes()
	require.Equal(t, numbers(t, []byte(sent)), numbers(t, got))
	require.Less(t, bytes.Index(got, []byte(`"z"`)), bytes.Index(got, []byte(`"a"`)))
}

// Buffers are pooled: what one request reads must not show in another.
func TestEngine_RequestsAtOneTimeDoNotMix(t *testing.T) {
	t.Parallel()
	e := newEdge(t, nil)
	e.gateway.answer = states(push.StateRejected)
	var wg sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 64)
	for i := range answers {
		wg.Go(func() {
			body := fmt.Sprintf(`{"notification":{"content":{"x":%q},"devices":[{"app_id":"a","pushkey":"key-%d"}]}}`, strings.Repeat("x", i*1000), i)
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, pathMatrix, strings.NewReader(body))
			e.engine.ServeHTTP(w, r)
			answers[i] = w
		})
	}
	wg.Wait()
	for i, w := range answers {
		require.JSONEq(t, fmt.Sprintf(`{"rejected":["key-%d"]}`, i), w.Body.String())
	}
}
