package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/gateway"
	"github.com/pushgate/pushgate/internal/push"
)

func TestRowsOf_SayWhatKeepsTheirApp(t *testing.T) {
	t.Parallel()
	rows := rowsOf([]push.Queued{{ID: 1, AppID: "fine"}, {ID: 2, AppID: "paused"}, {ID: 3, AppID: "away"}, {ID: 4, AppID: "nobody's"}}, []gateway.AppStats{
		{App: "fine", Breaker: "closed"},
		{App: "paused", Breaker: "closed", Paused: true, PauseReason: "InvalidProviderToken"},
		{App: "away", Breaker: "open"},
	})
	var got []string
	for _, r := range rows.Rows {
		got = append(got, r.Trouble)
	}
	require.Equal(t, []string{"", "paused: InvalidProviderToken", "without answers of its push service", ""}, got)
}
