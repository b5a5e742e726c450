package clientfdtest

import (
	"testing"

	wire "github.com/pushgate/pushgate/gen/clientfd"
	"github.com/pushgate/pushgate/internal/api/apitest"
	"github.com/pushgate/pushgate/internal/pusher"
)

// suiteCase is one statement.
type suiteCase struct {
	name string
	run  func(t *testing.T, s *Server)
}

// Run runs the suite in both spellings of the operations; open returns a fresh, empty store.
func Run(t *testing.T, open func(t *testing.T) pusher.Store) {
	t.Helper()
	judge := apitest.NewJudge(t, wire.GetSpec)
	for name, d := range map[string]Dialect{"generic": Generic(), "erezept": Erezept()} {
		for _, group := range [][]suiteCase{registrationCases(), acceptedCases(), refusedCases(), channelCases(), pathCases(), callerCases(), appCases()} {
			for _, c := range group {
				t.Run(name+"/"+c.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, newServer(t, d, judge, open(t), nil))
				})
			}
		}
	}
}
