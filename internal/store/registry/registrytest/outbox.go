package registrytest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// gateway is where the pusher of full is sent.
func gateway() dispatch.Gateway {
	return dispatch.Gateway{Realm: push.RealmFachdienst, URL: "https://" + secret + ".example.com/push/v1/"}
}

// Held leaves one row in the outbox, held for an hour, with something secret in it.
func Held(t *testing.T, s pusher.Store, o dispatch.Store) {
	t.Helper()
	p := full(t, push.RealmFachdienst)
	require.NoError(t, s.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
	_, err := o.Submit(t.Context(), dispatch.Submission{Owner: p.Owner, Plan: func([]dispatch.Device) (dispatch.Plan, error) {
		return dispatch.Plan{Rows: []dispatch.NewRow{{Payload: []byte(secret), Deadline: time.Now().Add(24 * time.Hour)}}}, nil
	}})
	require.NoError(t, err)
	got, err := o.Claim(t.Context(), gateway(), 10, time.Hour)
	require.NoError(t, err)
	require.Len(t, got.Rows, 1)
	Taken(t, o)
}

// Taken checks that the row that Held left is there and cannot be had.
func Taken(t *testing.T, o dispatch.Store) {
	t.Helper()
	got, err := o.Claim(t.Context(), gateway(), 10, time.Hour)
	require.NoError(t, err)
	require.Empty(t, got.Rows)
	all, err := o.Gateways(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, 1, all[0].Rows)
	require.True(t, all[0].Next.IsZero())
}

// Claimable checks that the row that Held left can be had.
func Claimable(t *testing.T, o dispatch.Store) {
	t.Helper()
	all, err := o.Gateways(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, gateway(), all[0].Gateway)
	require.False(t, all[0].Next.IsZero())
	Claim(t, o)
}

// Claim claims the row that Held left.
func Claim(t *testing.T, o dispatch.Store) {
	t.Helper()
	got, err := o.Claim(t.Context(), gateway(), 10, time.Hour)
	require.NoError(t, err)
	require.Len(t, got.Rows, 1)
	require.Equal(t, secret, string(got.Rows[0].Payload))
}
