package clientfd_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/api/bearer/bearertest"
	fdt "github.com/pushgate/pushgate/internal/api/clientfd/clientfdtest"
	"github.com/pushgate/pushgate/internal/api/clientserver"
	"github.com/pushgate/pushgate/internal/api/pushgateway"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// delivered is a gateway that delivers everything.
type delivered struct{}

func (delivered) Deliver(_ context.Context, _ push.Caller, n []push.Notification) ([]push.Delivery, error) {
	out := make([]push.Delivery, len(n))
	for i := range out {
		out[i].State = push.StateDelivered
	}
	return out, nil
}

// All three roles share one engine, and gematik's gateway shares its base path with this API.
func TestMount_BesideTheGatewayAndTheClientServerAPI(t *testing.T) {
	t.Parallel()
	store := &pushertest.Store{}
	s := fdt.NewServer(t, fdt.Generic(), store, nil)
	gateway, err := pushgateway.New(pushgateway.Options{Deliverer: delivered{}, Matrix: true, Gematik: true})
	require.NoError(t, err)
	require.NoError(t, s.Engine.Mount(gateway))
	apis, err := clientserver.New(clientserver.Options{
		Registry:      pusher.New(pusher.Options{Store: store}),
		Authenticator: bearertest.People{"alice": bearertest.Matrix("@alice:example.org", "")},
		BasePaths:     pusher.DefaultClientServerConfig().BasePaths,
	})
	require.NoError(t, err)
	for _, a := range apis {
		require.NoError(t, s.Engine.Mount(a))
	}
	s.MustSet(fdt.Erika, fdt.Body())
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, apitest.Post("/push/v1/notify", `{"notification":{"event_id":"$e","devices":[{"app_id":"app","pushkey":"key"}]}}`))
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"rejected":[]}`, w.Body.String())
	require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))

	w = httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/_matrix/client/v3/pushers", nil)
	r.Header.Set("Authorization", "Bearer alice")
	s.Engine.ServeHTTP(w, r)
	require.JSONEq(t, `{"pushers":[]}`, w.Body.String(), "nothing crosses realms")
	require.Len(t, s.Pushers(fdt.Erika), 1)
}
