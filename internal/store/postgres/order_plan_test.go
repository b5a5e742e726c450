package postgres

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever locks several rows of one kind does it in one order: they come to the lock sorted, or along an index. That holds with SKIP LOCKED
// too, where the server waits after all when a row changes hands in the middle of its look.
func TestStatements_LockInOneOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, tt := range map[string]struct{ statement, order string }{
		"lock due":          {lockDue, "Sort Key: d.device"},
		"lock leased":       {lockLeased, "Sort Key: queue_device.device, queue_device.app"},
		"lock devices":      {lockDevices, "Index Scan using queue_device_pkey"},
		"lock heads":        {lockHeads, "Sort Key: p.id"},
		"lock pushers of":   {lockPushersOf, "Sort Key: p.id"},
		"lock pushers":      {lockPushers, "Index Scan using pusher_pkey"},
		"lock a person":     {lockOwner, "Sort Key: id"},
		"lock rows":         {lockRows, "Sort Key: id"},
		"delete a person's": {deleteOfOwner, "Sort Key: pusher_1.id"},
		"delete rejected":   {deleteRejected, "Sort Key: pusher_1.id"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, s, tt.statement)
			require.Contains(t, underLock(plan), tt.order, plan)
		})
	}
}

// underLock returns the step of a plan that hands rows to the one that locks them, with its sort key if it has one.
func underLock(plan string) string {
	lines := strings.Split(plan, "\n")
	column := -1
	for i, line := range lines {
		if column < 0 {
			column = strings.Index(line, "LockRows")
		} else if strings.Index(line, "->") == column+2 {
			return line + "\n" + lines[i+1]
		}
	}
	return ""
}
