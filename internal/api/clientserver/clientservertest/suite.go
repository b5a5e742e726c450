package clientservertest

import (
	"testing"

	wire "github.com/pushgate/pushgate/gen/clientserver"
	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/pusher"
)

// suiteCase is one statement.
type suiteCase struct {
	name string
	run  func(t *testing.T, s *Server)
}

// Run runs the suite; open returns a fresh, empty store.
func Run(t *testing.T, open func(t *testing.T) pusher.Store) {
	t.Helper()
	judge := apitest.NewJudge(t, wire.GetSpec)
	for _, group := range [][]suiteCase{listCases(), setCases(), refusedCases(), appendCases(), transportCases()} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, newServer(t, judge, open(t), nil))
			})
		}
	}
}
