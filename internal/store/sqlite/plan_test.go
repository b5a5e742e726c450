package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every statement of the hot path goes through an index, so that its cost does not grow with what waits.
func TestStatements_UseIndexes(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for name, tt := range map[string]struct {
		statement string
		want      string // in the plan
	}{
		"rest of an instant": {selectDue, "SEARCH q USING INDEX queue_due (app=? AND due=? AND id>?)"},
		"later instants":     {selectDue, "SEARCH q USING INDEX queue_due (app=? AND due>? AND due<?)"},
		"one row":            {selectOne, "SEARCH q USING INTEGER PRIMARY KEY"},
		"rows of a device":   {selectDevice, "USING INDEX queue_dedup (device=?)"},
		"newer badge":        {newerBadge, "USING COVERING INDEX queue_badge (device=? AND id>?)"},
		"waiting badges":     {waitingBadges, "USING INDEX queue_badge (device=?)"},
		"badges to drop":     {badgesAccepted, "USING INDEX queue_badge (device=?)"},
		"duplicate":          {findDuplicate, "USING INDEX queue_dedup (device=? AND dedup=?)"},
		"oldest row":         {selectFirst, "SEARCH queue USING INTEGER PRIMARY KEY (rowid>?)"},
		"next due":           {selectNext, "USING INDEX queue_due (app=? AND due=? AND id>?)"},
		"expired":            {selectExpired, "USING INDEX queue_deadline (deadline<?)"},
		"counting at start":  {countRows, "USING COVERING INDEX queue_due"},
		"waking":             {wakeSome, "USING COVERING INDEX queue_due (app=? AND due>?)"},
		"rows of an app":     {someRows, "USING INDEX queue_due (app=?)"},
		"listing":            {listRows, "SEARCH queue USING INTEGER PRIMARY KEY (rowid>?)"},
		"ending":             {deleteRow, "USING INTEGER PRIMARY KEY"},
		"ending, payload":    {deletePayload, "USING INTEGER PRIMARY KEY"},
		"moving":             {moveRow, "USING INTEGER PRIMARY KEY"},
		"ledger changes":     {selectChanges, "USING INDEX ledger_seq (seq>?)"},
		"ledger entry":       {clearDead, "USING PRIMARY KEY (device=?)"},
		"guarded entries":    {guardedDead, "USING COVERING INDEX ledger_guarded (app=?)"},
		"old entries":        {oldDead, "USING INDEX ledger_recorded (recorded<?)"},
		"old marks":          {forgetCleared, "USING INDEX ledger_recorded (recorded<?)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := explain(t, s.read, tt.statement)
			require.Contains(t, plan, tt.want)
			if tt.statement != countRows { // once, when the store opens
				require.NotContains(t, plan, "SCAN", "no reading of everything")
			}
			if tt.statement != selectDevice { // sorts the rows of one device, 64 claims' worth at a time
				require.NotContains(t, plan, "TEMP B-TREE", "no sorting of what waits")
			}
		})
	}
}

func explain(t *testing.T, db *sql.DB, statement string) string {
	t.Helper()
	args := make([]any, strings.Count(statement, "?")) // enough for numbered ones too
	rows, err := db.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+statement, args...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
		plan = append(plan, detail)
	}
	require.NoError(t, rows.Err())
	return strings.Join(plan, "\n")
}
