package registrytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/push"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// devices is how many each user has.
const devices = 3

// fillers share commits while the table is filled.
const fillers = 64

// Bench measures set, list and choose in tables of 1,000, 10,000 and 100,000 users with three devices each, side by
// side: what a call costs must not grow with the table.
func Bench(b *testing.B, open func(b *testing.B) pusher.Store) {
	for _, size := range []struct {
		name  string
		users int
	}{{"1k_users", 1_000}, {"10k_users", 10_000}, {"100k_users", 100_000}} {
		b.Run(size.name, func(b *testing.B) {
			s := open(b)
			fill(b, s, size.users)
			somebody := func() (push.Owner, push.Pushkey) {
				user := rand.IntN(size.users)
				return owner(user), key(user, rand.IntN(devices))
			}
			b.Run("set", func(b *testing.B) {
				for b.Loop() {
					who, k := somebody()
					require.NoError(b, s.SetPusher(context.Background(), pusher.Registration{Pusher: pushertest.Sample(who, "app", k), Evict: true}))
				}
			})
			b.Run("list", func(b *testing.B) {
				for b.Loop() {
					who, _ := somebody()
					list, err := s.ListPushers(context.Background(), who)
					require.NoError(b, err)
					require.Len(b, list, devices)
				}
			})
			b.Run("choose", func(b *testing.B) {
				for b.Loop() {
					who, k := somebody()
					require.NoError(b, s.ChooseChannels(context.Background(), who, k, map[string]pusher.ChannelStatus{"c": pusher.ChannelEnabled}))
				}
			})
		})
	}
}

func owner(user int) push.Owner {
	return push.Owner{Realm: push.RealmFachdienst, User: push.UserID(fmt.Sprintf("kvnr:X%09d", user))}
}

func key(user, device int) push.Pushkey {
	return push.Pushkey(fmt.Sprintf("pushkey-%d-%d", user, device))
}

func fill(b *testing.B, s pusher.Store, users int) {
	b.Helper()
	next := make(chan int)
	errs := make(chan error, fillers)
	var wg sync.WaitGroup
	for range fillers {
		wg.Go(func() {
			var failed error
			for user := range next {
				for device := range devices {
					if failed == nil {
						failed = s.SetPusher(context.Background(), pusher.Registration{Pusher: pushertest.Sample(owner(user), "app", key(user, device))})
					}
				}
			}
			errs <- failed
		})
	}
	for user := range users {
		next <- user
	}
	close(next)
	wg.Wait()
	for range fillers {
		require.NoError(b, <-errs)
	}
}
