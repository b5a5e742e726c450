package dispatchtest

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/push"
)

func once(key, body byte) *dispatch.Once {
	return &dispatch.Once{Key: push.Hash{key}, Body: push.Hash{body}, Keep: 24 * hour}
}

func onceRepeat(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	first, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once(1, 1), Plan: r.every("first", nil)})
	require.NoError(t, err)
	require.False(t, first.Replayed)
	r.Advance(23 * hour)
	again, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once(1, 1), Plan: r.every("second", nil)})
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, first.Receipt.ID, again.Receipt.ID)
	require.Equal(t, first.Receipt.Status, again.Receipt.Status)
	require.True(t, first.Receipt.Accepted.Equal(again.Receipt.Accepted))
	require.Equal(t, 1, r.rows(t))
	other, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once(2, 1), Plan: r.every("third", nil)})
	require.NoError(t, err)
	require.False(t, other.Replayed, "another key is another request")
}

func onceReused(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	_, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once(1, 1), Plan: r.every("first", nil)})
	require.NoError(t, err)
	_, err = r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once(1, 2), Plan: r.every("second", nil)})
	require.ErrorIs(t, err, dispatch.ErrKeyReused)
	require.Equal(t, 1, r.rows(t))
}

func onceForgotten(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	for _, body := range []byte{1, 2} {
		out, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once(1, body), Plan: r.every("x", nil)})
		require.NoError(t, err)
		require.False(t, out.Replayed)
		r.Advance(24*hour + 1e9)
	}
}

func onceFailed(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	_, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once(1, 1), Plan: func([]dispatch.Device) (dispatch.Plan, error) {
		return dispatch.Plan{}, errPlan
	}})
	require.ErrorIs(t, err, errPlan)
	out, err := r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once(1, 2), Plan: r.every("x", nil)})
	require.NoError(t, err)
	require.False(t, out.Replayed)
}

func onceTwins(t *testing.T, r *rig) {
	r.register(t, alice(), "one", urlA)
	const twins = 8
	outs, errs := make([]dispatch.Submitted, twins), make([]error, twins)
	atOnce(twins, func(i int) {
		outs[i], errs[i] = r.Store.Submit(t.Context(), dispatch.Submission{Owner: alice(), Once: once(1, 1), Plan: r.every("x", nil)})
	})
	fresh := 0
	for i := range twins {
		require.NoError(t, errs[i])
		if !outs[i].Replayed {
			fresh++
		}
	}
	require.Equal(t, 1, fresh)
	require.Equal(t, 1, r.rows(t))
}

// atOnce runs n calls together.
func atOnce(n int, call func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			call(i)
		})
	}
	close(start)
	wg.Wait()
}
