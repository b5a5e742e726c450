package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/storetest"
	"github.com/pushgate/pushgate/internal/store/storetest/pgtest"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{URL: pgtest.URL(t), Keys: keyring.Files{Current: storetest.NewKeyFile(t)}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// explain returns the plan that a statement gets inside a pipeline.
func explain(t *testing.T, s *Store, statement string) string {
	t.Helper()
	ctx := context.Background()
	most := 0
	for _, m := range parameter.FindAllStringSubmatch(statement, -1) {
		n, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		most = max(most, n)
	}
	var plan []string
	require.NoError(t, pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		run := "EXECUTE this"
		if most > 0 {
			run += "(" + strings.TrimSuffix(strings.Repeat("NULL,", most), ",") + ")"
		}
		for _, q := range []string{guard, "PREPARE this AS " + statement} {
			if _, err := tx.Exec(ctx, q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		rows, err := tx.Query(ctx, "EXPLAIN "+run, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DEALLOCATE this")
		return err
	}))
	return strings.Join(plan, "\n")
}

// Every statement of the hot path reaches the big tables through an index, also on tables without statistics.
func TestStatements_UseIndexes(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, tt := range map[string]struct {
		statement string
		want      []string
	}{
		"lock new":       {lockNew, []string{"Conflict Arbiter Indexes: queue_device_pkey"}},
		"replace badges": {replaceBadges, []string{"queue_badge"}},
		"forget hashes":  {forgetHashes, []string{"queue_dedup"}},
		"insert":         {insertRows, []string{"Conflict Arbiter Indexes: queue_dedup"}},
		"lapsed":         {anyLapsed, []string{"queue_lease_until"}},
		"lock due":       {lockDue, []string{"Index Scan using queue_device_due"}},
		"take":           {takeRows, []string{"Index Scan using queue_of_device", "queue_badge", "payload_pkey"}},
		"lock leased":    {lockLeased, []string{"queue_lease_pkey", "queue_device_pkey"}},
		"end leases":     {endLeases, []string{"queue_lease_pkey", "queue_pkey", "payload_pkey", "queue_of_device", "queue_device_pkey"}},
		"renew":          {renewLeases, []string{"queue_lease_pkey"}},
		"lock devices":   {lockDevices, []string{"queue_device_pkey"}},
		"refresh":        {refresh, []string{"queue_device_pkey", "queue_of_device"}},
		"drop badges":    {deleteBadges, []string{"queue_badge"}},
		"find expired":   {findExpired, []string{"queue_deadline"}},
		"delete expired": {deleteExpired, []string{"queue_pkey"}},
		"purge":          {deletePurged, []string{"queue_pkey", "queue_lease_pkey", "queue_device_pkey"}},
		"rows of an app": {findOfApp, []string{"queue_of_app"}},
		"wake":           {wakeRows, []string{"queue_pkey"}},
		"backlog":        {selectBacklog, []string{"queue_of_app", "queue_device_due"}},
		"list":           {listOfApp, []string{"queue_of_app"}},
		"changes":        {selectChanges, []string{"ledger_seq_key"}},
		"clear":          {clearDevices, []string{"ledger_pkey"}},
		"clear guarded":  {clearGuarded, []string{"ledger_guarded"}},
		"prune":          {clearOld, []string{"ledger_recorded"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, s, tt.statement)
			for _, want := range tt.want {
				require.Contains(t, plan, want)
			}
			for _, line := range strings.Split(plan, "\n") {
				require.False(t, strings.Contains(line, "Seq Scan") && !strings.Contains(line, "queue_count"), "reads a whole table:\n%s", plan)
			}
			require.NotContains(t, plan, "Bitmap")
		})
	}
}

// What an administrator sets for the database must not make an answered commit forgettable.
func TestPipeline_CommitsAreDurable(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := context.Background()
	var name string
	require.NoError(t, s.pool.QueryRow(ctx, "SELECT current_database()").Scan(&name))
	_, err := s.pool.Exec(ctx, "ALTER DATABASE "+pgx.Identifier{name}.Sanitize()+" SET synchronous_commit = off")
	require.NoError(t, err)
	s.pool.Reset() // new connections take the new default

	var inside string
	var p pipeline
	p.query(func(rows pgx.Rows) error { return rows.Scan(&inside) }, "SHOW synchronous_commit")
	require.NoError(t, s.send(ctx, &p))
	require.Equal(t, "on", inside)
	var outside string
	require.NoError(t, s.pool.QueryRow(ctx, "SHOW synchronous_commit").Scan(&outside))
	require.Equal(t, "off", outside, "for the transaction only: connections may be shared with others")
}

// What a pipeline does is one transaction.
func TestPipeline_AllOrNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := context.Background()
	var p pipeline
	p.exec("INSERT INTO meta (name, value) VALUES ('one', '')")
	p.exec("INSERT INTO meta (name, value) VALUES ('two', NULL)")
	require.Error(t, s.send(ctx, &p))
	var n int
	require.NoError(t, s.pool.QueryRow(ctx, "SELECT count(*) FROM meta WHERE name = 'one'").Scan(&n))
	require.Zero(t, n)
}

// The counts of Backlog are folded before they become many.
func TestBacklog_FoldsTheCounts(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := context.Background()
	_, err := s.pool.Exec(ctx, "INSERT INTO app (app_id) VALUES ('a')")
	require.NoError(t, err)
	_, err = s.pool.Exec(ctx, "INSERT INTO queue_count (app, delta) SELECT 1, 1 - 2 * (i % 2) FROM generate_series(0, $1::int) i", 2*foldAbove)
	require.NoError(t, err)
	for range 2 {
		backlog, err := s.Backlog(ctx)
		require.NoError(t, err)
		require.Len(t, backlog, 1)
		require.Equal(t, 1, backlog[0].Rows)
	}
	var n int
	require.NoError(t, s.pool.QueryRow(ctx, "SELECT count(*) FROM queue_count").Scan(&n))
	require.Equal(t, 1, n)
}
