package app

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReload_SaysWhatNeedsARestart: what a running process cannot change must not be reported as taken.
func TestReload_SaysWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]string{
		"gateway: {attempt_timeout: 45s, provider_timeout: 50s}": "gateway.attempt_timeout", // callers would get no answer
		"gateway: {attempt_timeout: 9s}":                         "",                        // within what every listener allows
		"gateway: {attempt_timeout: 1s}":                         "",
		"gateway: {provider_timeout: 50s}":                       "",
		"gateway: {max_queued: 5}":                               "gateway.max_queued", // the outbox
		"log: {level: error, format: text}":                      "log.format",
		"log: {level: error}":                                    "",
	} {
		t.Run(more, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, roles)
			require.NoError(t, r.build(t))
			t.Cleanup(r.Stop)
			r.text += more + "\n"
			next, err := r.load()
			require.NoError(t, err)
			err = r.apply(t.Context(), next)
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "a restart is needed to change "+want)
		})
	}
}

// TestReload_ListenersKeepTheirTime: what they were built for can be taken back by a later reload.
func TestReload_ListenersKeepTheirTime(t *testing.T) {
	t.Parallel()
	long := "gateway: {attempt_timeout: 45s, provider_timeout: 50s}\n"
	r := newRig(t, roles+long)
	require.NoError(t, r.build(t))
	t.Cleanup(r.Stop)
	for _, text := range []string{roles, roles + long} {
		r.text = text
		next, err := r.load()
		require.NoError(t, err)
		require.NoError(t, r.apply(t.Context(), next))
	}
}

// TestReload_QueueOfAGatewayTakesItsBound: only the outbox of the role fachdienst cannot.
func TestReload_QueueOfAGatewayTakesItsBound(t *testing.T) {
	t.Parallel()
	sim, creds := simulated(t)
	r := newRig(t, phonesText(sim, creds, sim.APNsURL()))
	require.NoError(t, r.build(t))
	t.Cleanup(r.Stop)
	r.text += "gateway: {max_queued: 5}\n"
	next, err := r.load()
	require.NoError(t, err)
	require.NoError(t, r.apply(t.Context(), next))
}
