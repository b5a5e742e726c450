package pushertest_test

import (
	"testing"

	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

func TestStore_Conforms(t *testing.T) {
	t.Parallel()
	pushertest.Conform(t, func(*testing.T) pushertest.Subject {
		s := &pushertest.Store{}
		return pushertest.Subject{Store: s, Encryption: func(_ *testing.T, key pusher.Key) *pusher.Encryption {
			p, _ := s.Stored(key)
			return p.Encryption
		}}
	})
}
