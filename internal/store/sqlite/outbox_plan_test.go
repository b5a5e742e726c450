package sqlite

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a call costs must not grow with the rows that wait, nor with the people who have pushers.
func TestOutboxStatements_UseIndexes(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for name, tt := range map[string]struct {
		statement string
		want      []string // in the plan
	}{
		"devices of a person": {selectDevices, []string{"USING INDEX pusher_key (owner=?)", "SEARCH k USING", "SEARCH c USING PRIMARY KEY (pusher=?)"}},
		"receipt":             {selectOnce, []string{"USING PRIMARY KEY (key=?)"}},
		"replaced badges":     {replaceBadges, []string{"USING INDEX outbox_badge (pusher=?)"}},
		"leases of before":    {endOutbox, []string{"USING INDEX outbox_until (until>?)"}},
		"lapsed leases":       {lapseOutbox, []string{"USING INDEX outbox_until (until>? AND until<?)"}},
		"due rows":            {dueOutbox, []string{"SEARCH o USING INDEX outbox_due (gateway=? AND due<?)", "SEARCH b USING INDEX outbox_in_flight (pusher=?)"}},
		"taking":              {takeOutbox, []string{"USING INTEGER PRIMARY KEY"}},
		"reading":             {readOutbox, []string{"SEARCH o USING INTEGER PRIMARY KEY", "SEARCH p USING INTEGER PRIMARY KEY", "SEARCH k USING INTEGER PRIMARY KEY"}},
		"next due":            {nextOutbox, []string{"USING INDEX outbox_due (gateway=?)"}},
		"renewing":            {renewOutbox, []string{"USING INTEGER PRIMARY KEY"}},
		"giving back":         {freeOutbox, []string{"USING INTEGER PRIMARY KEY"}},
		"newer counts":        {endsOutbox, []string{"SEARCH n USING INDEX outbox_of_pusher (pusher=? AND id>?)"}},
		"ending":              {deleteOutbox, []string{"USING INTEGER PRIMARY KEY"}},
		"moving":              {moveOutbox, []string{"USING INTEGER PRIMARY KEY"}},
		"expiring":            {expireOutbox, []string{"USING INDEX outbox_deadline (deadline<?)"}},
		"expiring receipts":   {expireOnce, []string{"USING COVERING INDEX outbox_once_until (until<?)", "PRIMARY KEY (key=?)"}},
		"first end":           {firstEnd, []string{"USING COVERING INDEX outbox_until (until>?)"}},
		"URL of a gateway":    {someOf, []string{"SEARCH o USING INDEX outbox_of_gateway (gateway=?)"}},
		"step":                {findStep, []string{"USING INDEX pusher_key (owner=? AND pushkey=? AND app_id=?)"}},
		"gateways":            {selectGateways, []string{"SCAN g", "SEARCH o USING INDEX outbox_of_gateway (gateway=?)", "SEARCH o USING COVERING INDEX outbox_due (gateway=?)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := explain(t, s.read, tt.statement)
			for _, want := range tt.want {
				require.Contains(t, plan, want)
			}
			if tt.statement != selectGateways { // one line for each gateway
				require.NotContains(t, plan, "SCAN", "no reading of everything")
			}
			if tt.statement != selectDevices { // those of one person
				require.NotContains(t, plan, "TEMP B-TREE", "no sorting of what waits")
			}
		})
	}
}
