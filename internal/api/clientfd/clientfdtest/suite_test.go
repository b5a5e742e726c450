package clientfdtest_test

import (
	"testing"

	"github.com/pushgate/pushgate/internal/api/clientfd/clientfdtest"
	"github.com/pushgate/pushgate/internal/pusher"
	"github.com/pushgate/pushgate/internal/pusher/pushertest"
)

func TestSuite_Memory(t *testing.T) {
	t.Parallel()
	clientfdtest.Run(t, func(*testing.T) pusher.Store { return &pushertest.Store{} })
}
