package pgtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnvURL names a server, by the URL of a database on it, whose user may create databases.
const EnvURL = "TEST_POSTGRES_URL"

// Mode says how the throw-away server treats commits.
type Mode string

// The modes. Fast is for tests of behaviour, Durable for measurements: every commit reaches the disk.
const (
	Fast    Mode = "fast"
	Durable Mode = "durable"
)

// servers are started once in a test binary and end with it.
//
//nolint:gochecknoglobals // Starting a server takes seconds, and all tests of a binary share it.
var servers = struct {
	sync.Mutex
	byMode map[Mode]running
}{byMode: map[Mode]running{}}

// URL returns the URL of a fresh, empty database that is dropped after the test. Where there is no PostgreSQL the test
// is skipped, and fails when CI is set: there it must not go missing unnoticed.
func URL(t testing.TB) string {
	t.Helper()
	return Fresh(t, Fast)
}

// Fresh is URL with a mode. A server named by TEST_POSTGRES_URL is taken as it is.
func Fresh(t testing.TB, mode Mode) string {
	t.Helper()
	admin := server(t, mode)
	name := "pushgate_" + strings.ToLower(rand.Text())
	run(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { run(t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("%s is not a URL", EnvURL) // the error would show the password
	}
	u.Path = "/" + name
	return u.String()
}

// server returns the URL of the server's own database.
func server(t testing.TB, mode Mode) string {
	t.Helper()
	if u := os.Getenv(EnvURL); u != "" {
		return u
	}
	servers.Lock()
	defer servers.Unlock()
	r, ok := servers.byMode[mode]
	if !ok {
		r = start(mode)
		servers.byMode[mode] = r
	}
	if r.err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("PostgreSQL was not tested: %v", r.err)
		}
		t.Skipf("POSTGRESQL WAS NOT TESTED: %v. Install it, or set %s.", r.err, EnvURL)
	}
	return r.admin
}

// run executes one statement on the server's own database.
func run(t testing.TB, admin, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		t.Fatalf("connect to the test server: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("prepare the test database: %v", err)
	}
}
