package pusher_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
)

// facts 1.7: a logout is reported by the operator and takes what that session registered; an erasure takes everything.
func TestDelete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for key, device := range map[string]string{"1": "PHONE", "2": "PHONE", "3": "TABLET"} {
		change := with(matrixChange(), func(c *pusher.Change) { c.Pushkey = push.NewText(key) })
		require.NoError(t, b.Set(t.Context(), b.alice, device, change))
	}
	require.NoError(t, b.Set(t.Context(), b.bob, "PHONE", with(matrixChange(), func(c *pusher.Change) { c.Append = true })))
	for _, step := range []struct {
		device     string
		gone, left int
	}{{"PHONE", 2, 1}, {"PHONE", 0, 1}, {"", 1, 0}} {
		n, err := b.Delete(t.Context(), b.alice, step.device)
		require.NoError(t, err)
		require.Equal(t, step.gone, n)
		require.Len(t, list(t, b, b.alice), step.left)
	}
	one(t, b, b.bob)
}

// [C][T] Synapse: a session that updates a pusher does not take it over.
func TestSet_KeepsTheSession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.Set(t.Context(), b.alice, "PHONE", matrixChange()))
	require.NoError(t, b.Set(t.Context(), b.alice, "LAPTOP", matrixChange()))
	require.Equal(t, "PHONE", one(t, b, b.alice).DeviceID)
}

// A_27374, facts 2.5 number 7: the reported pusher goes, unless it was registered again since the request was made.
func TestRemoveRejected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key := registered(t, b, b.erika)
	sent := one(t, b, b.erika)
	rejected := pusher.Rejected{
		Realm: push.RealmFachdienst, Pushkey: key, URL: sent.URL, AppID: sent.AppID, User: sent.Owner.User, Since: sent.Updated,
	}
	registered(t, b, b.erika)
	n, err := b.RemoveRejected(t.Context(), rejected)
	require.NoError(t, err)
	require.Zero(t, n, "it was registered again meanwhile")
	one(t, b, b.erika)

	rejected.Since = one(t, b, b.erika).Updated
	n, err = b.RemoveRejected(t.Context(), rejected)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, list(t, b, b.erika))
}
