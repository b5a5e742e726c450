package pgtest

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
)

// Server is a throw-away server of one test's own, which the test may crash. It is started from the machine's own
// PostgreSQL, also where TEST_POSTGRES_URL names another one.
type Server struct {
	t       testing.TB
	cluster *cluster
	cmd     *exec.Cmd
	input   io.Closer
}

// NewServer starts a server; settings are further lines of its postgresql.conf.
func NewServer(t testing.TB, mode Mode, settings ...string) *Server {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		missing(t, err)
	}
	dir, err := os.MkdirTemp("", "pushgate-postgres-")
	if err != nil {
		t.Fatalf("make a directory for PostgreSQL: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c, err := newCluster(bin, dir, mode, settings...)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, cluster: c}
	s.Start()
	t.Cleanup(s.Crash)
	return s
}

// URL returns the URL of a fresh, empty database. It ends with the server.
func (s *Server) URL() string {
	s.t.Helper()
	_, url := database(s.t, s.cluster.admin)
	return url
}

// Crash ends every process of the server at once, as a power failure would: what it had only in its memory is gone. It
// does nothing to a server that has crashed already.
func (s *Server) Crash() {
	s.t.Helper()
	if s.cmd == nil {
		return
	}
	err := s.input.Close()
	if _, failed := errors.AsType[*exec.ExitError](s.cmd.Wait()); err != nil || failed {
		s.t.Errorf("crash PostgreSQL: %v", err)
	}
	s.cmd = nil
}

// Start starts the server, after a crash again on the same port, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	cmd, input, err := s.cluster.launch(endCrash)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.input = cmd, input
	if err := wait(s.cluster.admin, s.cluster.dir); err != nil {
		s.t.Fatal(err)
	}
}
