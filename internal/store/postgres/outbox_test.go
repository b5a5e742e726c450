package postgres_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/dispatch/dispatchtest"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/keyring"
	"github.com/pushgate/pushgate/internal/store/postgres"
	"github.com/pushgate/pushgate/internal/store/registry/registrytest"
)

// registryStore lets one struct embed two interfaces called Store.
type registryStore interface{ pusher.Store }

func TestOutbox_Conforms(t *testing.T) {
	t.Parallel()
	dispatchtest.Conform(t, func(t *testing.T) dispatchtest.Subject {
		b := newBase(t)
		return dispatchtest.Subject{
			Store: struct {
				dispatch.Store
				registryStore
			}{b.open.(*postgres.Store).Outbox(), b.open},
			Advance: func(d time.Duration) { b.advance(t, d) },
			Now:     b.clock.Now,
		}
	})
}

// A lease is the database's: another node does not get the row before the lease has run out, and gets it then.
func TestOutbox_LeasesHoldAcrossNodes(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	registrytest.Held(t, b.open, b.open.(*postgres.Store).Outbox())
	other := b.start(b.url, keyring.Files{Current: b.key})
	registrytest.Taken(t, other.Outbox())
	b.advance(t, time.Hour+time.Second)
	registrytest.Claimable(t, other.Outbox())
}

// Rows of the outbox whose lease has run out are let go before a claim locks pushers: whoever holds a pusher may want
// its rows.
func TestOutboxClaim_HoldsNoRowsWhenItComesToPushers(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	registrytest.Held(t, b.open, b.open.(*postgres.Store).Outbox())
	b.advance(t, time.Hour+time.Second)
	u, err := url.Parse(b.url)
	require.NoError(t, err)
	q := u.Query()
	q.Set("default_query_exec_mode", "exec") // nothing is prepared, so the lock stops no statement before its turn
	u.RawQuery = q.Encode()
	node := b.start(u.String(), keyring.Files{Current: b.key})
	settler := b.console()
	settler.run("BEGIN")
	settler.run("LOCK TABLE pusher IN ACCESS EXCLUSIVE MODE")
	done := make(chan struct{})
	go func() {
		defer close(done)
		registrytest.Claim(t, node.Outbox())
	}()
	b.someoneWaits()
	settler.run("SELECT FROM outbox FOR UPDATE NOWAIT")
	require.Zero(t, b.count("SELECT count(*) FROM outbox WHERE until > 0"), "they have been let go")
	settler.run("COMMIT")
	<-done
}
