package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const startTimeout = 30 * time.Second

// script runs the server until its standard input ends, which happens with the test process however that ends. It ends
// the server with a signal, and removes everything unless that was to be a crash.
const script = `"$1/postgres" -D "$2/data" >>"$2/log" 2>&1 </dev/null &
pid=$!
cat >/dev/null
kill -s "$3" $pid 2>/dev/null
wait $pid
[ "$3" = QUIT ] || rm -rf "$2"`

// How script ends a server. PostgreSQL calls the second one immediate: no process of it finishes or writes anything.
const (
	endOrderly = "INT"
	endCrash   = "QUIT"
)

// running is a server that has been started. Its input must stay reachable: the server ends when it is closed.
type running struct {
	admin string
	input io.Closer
	err   error
}

// start makes a cluster in a temporary directory and runs it.
func start(mode Mode) running {
	bin, err := binaries()
	if err != nil {
		return running{err: err}
	}
	dir, err := os.MkdirTemp("", "pushgate-postgres-")
	if err != nil {
		return running{err: fmt.Errorf("make a directory for PostgreSQL: %w", err)}
	}
	c, err := newCluster(bin, dir, mode)
	if err != nil {
		return running{err: errors.Join(err, os.RemoveAll(dir))}
	}
	_, input, err := c.launch(endOrderly)
	if err != nil {
		return running{err: errors.Join(err, os.RemoveAll(dir))}
	}
	return running{admin: c.admin, input: input, err: wait(c.admin, dir)}
}

// cluster is a server's directory, ready to be started.
type cluster struct {
	bin, dir string
	who      *syscall.SysProcAttr
	admin    string // the URL of its own database
}

// newCluster makes a cluster in an empty directory. more are further lines of its configuration.
func newCluster(bin, dir string, mode Mode, more ...string) (*cluster, error) {
	who, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	if err := initialise(bin, dir, password, who); err != nil {
		return nil, err
	}
	if err := configure(dir, port, mode, more); err != nil {
		return nil, err
	}
	admin := &url.URL{Scheme: "postgres", User: url.UserPassword("pushgate", password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path: "/postgres", RawQuery: "sslmode=disable"}
	return &cluster{bin: bin, dir: dir, who: who, admin: admin.String()}, nil
}

// binaries finds the newest installed server.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // Debian keeps them out of PATH
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("postgres"); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			found = append(found, resolved)
		}
	}
	for _, path := range found {
		dir := filepath.Dir(path)
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("no PostgreSQL server found on this machine")
}

// version reads the 15 of /usr/lib/postgresql/15/bin/postgres.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// unprivileged returns how to run as somebody who is not root, which PostgreSQL refuses, and gives dir to them.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			continue
		}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return nil, fmt.Errorf("give the directory to %s: %w", name, err)
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func initialise(bin, dir, password string, who *syscall.SysProcAttr) error {
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o644); err != nil { // the directory itself is 0700
		return fmt.Errorf("write the password: %w", err)
	}
	defer func() { _ = os.Remove(secret) }()
	cmd := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "pushgate", "-A", "scram-sha-256",
		"--pwfile", secret, "-E", "UTF8", "--locale", "C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = who, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func configure(dir string, port int, mode Mode, more []string) error {
	settings := fmt.Sprintf(`
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = ''
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
fsync = %t
full_page_writes = %t
autovacuum_naptime = 5s
log_min_messages = warning
%s
`, port, mode == Durable, mode == Durable, strings.Join(more, "\n"))
	f, err := os.OpenFile(filepath.Join(dir, "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure PostgreSQL: %w", err)
	}
	_, err = f.WriteString(settings)
	return errors.Join(err, f.Close())
}

// launch starts the server. It ends, in the given way, when its input is closed.
func (c *cluster) launch(end string) (*exec.Cmd, io.Closer, error) {
	cmd := exec.Command("sh", "-c", script, "sh", c.bin, c.dir, end)
	cmd.SysProcAttr, cmd.Dir = c.who, c.dir
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return cmd, input, nil
}

// wait returns when the server answers.
func wait(admin, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, admin)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(filepath.Join(dir, "log"))
			return fmt.Errorf("PostgreSQL did not start: %w: %s", err, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
