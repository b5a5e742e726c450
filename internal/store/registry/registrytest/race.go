package registrytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// rounds is how often a race is run. The losing order of a broken store comes up within a few.
const rounds = 50

// Renewed lets a registration race with the report that the one before is dead. Whichever comes first, the pusher is
// there afterwards: the report is about the old one. s and other are the same registry, on one node or on two.
func Renewed(t *testing.T, s, other pusher.Store) {
	t.Helper()
	p := pushertest.Sample(owner(1), "app", "key")
	require.NoError(t, s.SetPusher(t.Context(), pusher.Registration{Pusher: p}))
	for round := range rounds {
		sent, err := s.ListPushers(t.Context(), p.Owner)
		require.NoError(t, err)
		require.Lenf(t, sent, 1, "round %d", round)
		r := pusher.Rejected{Realm: p.Owner.Realm, Pushkey: p.Pushkey, URL: p.URL, Since: sent[0].Updated}
		errs := atOnce(
			func() error { return s.SetPusher(t.Context(), pusher.Registration{Pusher: p, Evict: round%2 == 0}) },
			func() error {
				_, err := other.DeleteRejected(t.Context(), r)
				return err
			},
		)
		require.NoError(t, errors.Join(errs...))
	}
}

// Crowd lets many do everything at once to a few people with few pushkeys. Nobody is turned away: locks are taken in one
// order, and whoever the database gives up begins anew.
func Crowd(t *testing.T, stores ...pusher.Store) {
	t.Helper()
	var calls []func() error
	for i := range 16 {
		s := stores[i%len(stores)]
		random := rand.New(rand.NewPCG(1, uint64(i)))
		calls = append(calls, func() error {
			for range rounds {
				if err := anything(t, s, random); err != nil && !errors.Is(err, pusher.ErrUnknownPushkey) {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, errors.Join(atOnce(calls...)...))
	for user := range 3 {
		list, err := stores[0].ListPushers(t.Context(), owner(user))
		require.NoError(t, err)
		for _, p := range list {
			there, err := stores[0].DeletePusher(t.Context(), p.Key)
			require.NoError(t, err)
			require.True(t, there)
		}
	}
}

// anything is one call of many kinds, to one of 3 people, 2 pushkeys and 2 apps.
func anything(t *testing.T, s pusher.Store, random *rand.Rand) error {
	who, k := owner(random.IntN(3)), push.Pushkey(fmt.Sprint(random.IntN(2)))
	p := pushertest.Sample(who, push.AppID(fmt.Sprint("app", random.IntN(2))), k)
	switch random.IntN(8) {
	case 0:
		_, err := s.DeleteOwner(t.Context(), who, "")
		return err
	case 1:
		_, err := s.DeletePusher(t.Context(), p.Key)
		return err
	case 2:
		_, err := s.DeleteRejected(t.Context(), pusher.Rejected{Realm: who.Realm, Pushkey: k, URL: p.URL, Since: time.Now().Add(time.Hour)})
		return err
	case 3, 4:
		return s.ChooseChannels(t.Context(), who, k, map[string]pusher.ChannelStatus{"a": pusher.ChannelEnabled, "b": pusher.ChannelDisabled})
	default:
		p.Encryption = pushertest.SampleEncryption(t, byte(random.IntN(8)))
		return s.SetPusher(t.Context(), pusher.Registration{Pusher: p, Evict: random.IntN(2) == 0})
	}
}

// atOnce runs calls together and returns their errors.
func atOnce(calls ...func() error) []error {
	errs := make([]error, len(calls))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() {
			<-start
			errs[i] = call()
		})
	}
	close(start)
	wg.Wait()
	return errs
}
