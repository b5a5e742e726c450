package sqlite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/dispatch"
	"github.com/pushgate/pushgate/internal/dispatch/dispatchtest"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/store/registry/registrytest"
	"github.com/pushgate/pushgate/internal/store/sqlite"
	"github.com/pushgate/pushgate/internal/store/storetest"
)

// registryStore lets one struct embed two interfaces called Store.
type registryStore interface{ pusher.Store }

func TestOutbox_Conforms(t *testing.T) {
	t.Parallel()
	dispatchtest.Conform(t, func(t *testing.T) dispatchtest.Subject {
		clock := storetest.NewClock()
		s := openRegistry(t, sqlite.Options{DataDir: t.TempDir(), Now: clock.Now})
		return dispatchtest.Subject{
			Store: struct {
				dispatch.Store
				registryStore
			}{s.Outbox(), s},
			Advance: func(d time.Duration) { clock.Advance(d) },
			Now:     clock.Now,
		}
	})
}

func TestOutbox_ARestartFreesEverything(t *testing.T) {
	t.Parallel()
	o := sqlite.Options{DataDir: t.TempDir()}
	s := openRegistry(t, o)
	registrytest.Held(t, s, s.Outbox())
	require.NoError(t, s.Close())
	registrytest.Claimable(t, openRegistry(t, o).Outbox())
}
