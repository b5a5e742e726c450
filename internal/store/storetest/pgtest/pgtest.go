package pgtest

import (
	"context"
	"crypto/rand"
	neturl "net/url"
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
	name, u := database(t, admin)
	t.Cleanup(func() { Exec(t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return u
}

// database makes a database and returns its name and its URL.
func database(t testing.TB, admin string) (name, url string) {
	t.Helper()
	name = "pushgate_" + strings.ToLower(rand.Text())
	Exec(t, admin, "CREATE DATABASE "+name)
	u, err := neturl.Parse(admin)
	if err != nil {
		t.Fatalf("%s is not a URL", EnvURL) // the error would show the password
	}
	u.Path = "/" + name
	return name, u.String()
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
		missing(t, r.err)
	}
	return r.admin
}

// missing ends a test that has no server.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("PostgreSQL was not tested: %v", err)
	}
	t.Skipf("POSTGRESQL WAS NOT TESTED: %v. Install it, or set %s.", err, EnvURL)
}

// statementTimeout bounds one statement of Exec or Text.
const statementTimeout = time.Minute

// Exec executes one statement in a session of its own.
func Exec(t testing.TB, url, statement string) {
	t.Helper()
	on(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

// Text returns the one text that a query finds.
func Text(t testing.TB, url, query string) (found string) {
	t.Helper()
	on(t, url, func(ctx context.Context, conn *pgx.Conn) error { return conn.QueryRow(ctx, query).Scan(&found) })
	return found
}

func on(t testing.TB, url string, do func(ctx context.Context, conn *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("connect to the test server: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := do(ctx, conn); err != nil {
		t.Fatalf("speak to the test database: %v", err)
	}
}

// ReadOnly makes a database refuse writes, and ends its sessions so that all feel it; or makes it take them again, which
// sessions that are open then do not notice.
func ReadOnly(t testing.TB, url string, readOnly bool) {
	t.Helper()
	setting := map[bool]string{true: "on", false: "off"}[readOnly]
	on(t, url, func(ctx context.Context, conn *pgx.Conn) error {
		var name string
		err := conn.QueryRow(ctx, "SELECT current_database()").Scan(&name)
		for _, statement := range []string{
			"SET default_transaction_read_only = off",
			"ALTER DATABASE " + pgx.Identifier{name}.Sanitize() + " SET default_transaction_read_only = " + setting,
		} {
			if err == nil {
				_, err = conn.Exec(ctx, statement)
			}
		}
		if err == nil && readOnly {
			_, err = conn.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", name)
		}
		return err
	})
}
