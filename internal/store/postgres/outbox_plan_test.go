package postgres

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a call costs must not grow with the rows that wait, nor with the people who have pushers.
func TestOutboxStatements_UseIndexes(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, tt := range map[string]struct {
		statement string
		want      []string // in the plan
	}{
		"devices of a person": {selectDevices, []string{"pusher_key", "month_key_pkey", "channel_choice_pkey"}},
		"lock a person":       {lockOwner, []string{"pusher_key"}},
		"receipt":             {selectOnce, []string{"outbox_once_pkey"}},
		"replaced badges":     {replaceCounts, []string{"outbox_counts"}},
		"lapsed leases":       {lapseOutbox, []string{"outbox_until", "outbox_pkey"}},
		"lock heads":          {lockHeads, []string{"outbox_due", "outbox_in_flight", "pusher_pkey"}},
		"take heads":          {takeHeads, []string{"outbox_of_pusher", "outbox_in_flight", "outbox_pkey", "pusher_pkey", "month_key_pkey"}},
		"next due":            {nextOutbox, []string{"outbox_due"}},
		"lock pushers":        {lockPushersOf, []string{"outbox_pkey", "pusher_pkey"}},
		"renewing":            {renewOutbox, []string{"outbox_pkey", "outbox_in_flight"}},
		"giving back":         {releaseOutbox, []string{"outbox_pkey"}},
		"settling":            {settleOutbox, []string{"outbox_pkey", "outbox_counts"}},
		"expiring":            {expireOutbox, []string{"outbox_deadline", "outbox_pkey"}},
		"expiring receipts":   {expireOnce, []string{"outbox_once_until"}},
		"gateways":            {selectGateways, []string{"outbox_of_gateway", "outbox_due"}},
		"URL of a gateway":    {someOf, []string{"outbox_of_gateway", "pusher_pkey"}},
		"find steps":          {findSteps, []string{"on pusher p", "pushkey = u.pushkey", "month_key_pkey"}},
		"lock for steps":      {lockPushers, []string{"pusher_pkey"}},
		"step":                {stepMonthKey, []string{"month_key_pkey"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, s, tt.statement)
			for _, want := range tt.want {
				require.Contains(t, plan, want)
			}
			for _, line := range strings.Split(plan, "\n") {
				require.False(t, strings.Contains(line, "Seq Scan") && !strings.Contains(line, "outbox_count"), "reads a whole table:\n%s", plan)
			}
		})
	}
}
