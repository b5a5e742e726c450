package postgres_test

import (
	"testing"
	"time"

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
