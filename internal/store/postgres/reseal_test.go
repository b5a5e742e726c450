package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/storetest"
)

// Whoever steps a key chain locks its pusher first. Sealing anew meanwhile waits for the pusher and holds nothing that the
// other still needs; what the other has written stays.
func TestReseal_WaitsForThePusherAlone(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), context.Background()
	p := pushertest.Sample(push.Owner{Realm: push.RealmFachdienst, User: "kvnr:X110400000"}, "app", "key")
	p.Encryption = pushertest.SampleEncryption(t, 1)
	require.NoError(t, b.open.SetPusher(ctx, pusher.Registration{Pusher: p}))
	chain := func() (body []byte) {
		require.NoError(t, b.admin.QueryRow(ctx, "SELECT body FROM month_key").Scan(&body))
		return body
	}
	stale, keys := chain(), keyring.Files{Current: storetest.NewKeyFile(t), Old: []string{b.key}}
	sealed := func(n int) func() bool {
		return func() bool { return strings.Count(b.log.String(), "old_key_files may go") == n }
	}
	b.start(b.url, keys)
	require.Eventually(t, sealed(1), 20*time.Second, 5*time.Millisecond)
	fresh := chain()
	b.exec("UPDATE month_key SET body = $1", stale) // the pusher is sealed anew, its keys are not

	stepper, err := pgx.Connect(ctx, b.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, stepper.Close(ctx)) }()
	run := func(sql string, args ...any) {
		_, err := stepper.Exec(ctx, sql, args...)
		require.NoError(t, err)
	}
	run("BEGIN")
	run("SELECT FROM pusher FOR NO KEY UPDATE")
	b.start(b.url, keys)
	require.Eventually(t, func() bool {
		var waiting bool
		err := b.admin.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
		return err == nil && waiting
	}, 20*time.Second, 5*time.Millisecond)
	run("SELECT FROM month_key FOR UPDATE NOWAIT")
	run("UPDATE month_key SET body = $1", fresh)
	run("COMMIT")
	require.Eventually(t, sealed(2), 20*time.Second, 5*time.Millisecond)
	require.Equal(t, fresh, chain())
}
