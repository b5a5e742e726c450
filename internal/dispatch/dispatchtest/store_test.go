package dispatchtest_test

import (
	"sync"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/dispatch/dispatchtest"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

// clock stands still until it is told to move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestStore(t *testing.T) {
	t.Parallel()
	dispatchtest.Conform(t, func(*testing.T) dispatchtest.Subject {
		c := &clock{now: time.Now().Truncate(time.Microsecond)}
		return dispatchtest.Subject{Store: dispatchtest.New(c.Now), Advance: c.advance, Now: c.Now}
	})
}

// TestStore_Registry holds the registry below the outbox to its own suite.
func TestStore_Registry(t *testing.T) {
	t.Parallel()
	pushertest.Conform(t, func(*testing.T) pushertest.Subject {
		s := dispatchtest.New(nil)
		return pushertest.Subject{Store: s, Encryption: func(_ *testing.T, key pusher.Key) *pusher.Encryption { return s.Encryption(key) }}
	})
}
