package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/simulator"
)

// patience bounds every wait for another process. Nothing is asserted about how long things take.
const patience = 60 * time.Second

// binary is the built command, made once for all tests.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pushgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "pushgate")
	build := exec.Command("go", "build", "-o", binary, "github.com/pushgate/pushgate/cmd/pushgate")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is one started pushgate.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	code int

	mu    sync.Mutex
	text  strings.Builder // standard output and standard error
	lines chan string     // standard error, line by line, until nobody reads any more
}

// start runs the binary. Standard output goes to out when it is not nil.
func start(t *testing.T, out io.Writer, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...), done: make(chan struct{}), lines: make(chan string, 10_000)}
	p.cmd.Env = append(os.Environ(), env...)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	if out == nil {
		out = io.Discard
	}
	p.cmd.Stdout = io.MultiWriter(out, p)
	require.NoError(t, p.cmd.Start())
	go p.follow(stderr)
	t.Cleanup(func() { p.kill(); p.wait(t) })
	return p
}

// Write keeps standard output for the canary test.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *process) follow(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(make([]byte, 1<<16), 1<<22)
	for lines.Scan() {
		_, _ = p.Write(append(lines.Bytes(), '\n'))
		select {
		case p.lines <- lines.Text():
		default:
		}
	}
	err := p.cmd.Wait()
	p.code = p.cmd.ProcessState.ExitCode()
	_ = err
	close(p.lines)
	close(p.done)
}

// output is everything the process has said so far.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *process) kill()                   { _ = p.cmd.Process.Kill() }
func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// wait returns the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("the process does not end:\n%s", p.output())
	}
	return p.code
}

// logLine is what the harness reads of a log line.
type logLine struct {
	Msg      string `json:"msg"`
	Listener string `json:"listener"`
	Address  string `json:"address"`
}

// ready waits until the gateway answers and returns the listeners' addresses.
func (p *process) ready() (map[string]string, error) {
	found := map[string]string{}
	timeout := time.After(patience)
	for {
		select {
		case text, ok := <-p.lines:
			if !ok {
				return nil, fmt.Errorf("the process ended before it was ready:\n%s", p.output())
			}
			var l logLine
			if json.Unmarshal([]byte(text), &l) != nil {
				continue
			}
			if l.Msg == "listening" {
				found[l.Listener] = l.Address
			}
			if l.Msg == "ready" {
				return found, nil
			}
		case <-timeout:
			return nil, errors.New("the process does not get ready")
		}
	}
}

// sim is a simulator in a process of its own.
type sim struct {
	*simulator.Client
	proc *process
	info struct {
		APNs        string                `json:"apns"`
		FCM         string                `json:"fcm"`
		WebPush     string                `json:"webpush"`
		Control     string                `json:"control"`
		Credentials simulator.Credentials `json:"credentials"`
	}
}

// startSim starts a simulator that says nothing but where it is.
func startSim(t *testing.T, args ...string) *sim {
	t.Helper()
	r, w := io.Pipe()
	s := &sim{proc: start(t, w, nil, append([]string{"simulate", "-quiet", "-dir", t.TempDir()}, args...)...)}
	require.NoError(t, json.NewDecoder(r).Decode(&s.info))
	go func() { _, _ = io.Copy(io.Discard, r) }()
	s.Client = simulator.NewClient(s.info.Control)
	t.Cleanup(s.Client.Close)
	return s
}

// delivered returns the receipts once n notifications were delivered.
func (s *sim) delivered(t *testing.T, n uint64) []simulator.Receipt {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, s.WaitDelivered(ctx, n))
	return s.receipts(t)
}

// receipts returns the whole log.
func (s *sim) receipts(t *testing.T) []simulator.Receipt {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []simulator.Receipt
	require.NoError(t, s.Receipts(ctx, 0, false, func(r simulator.Receipt) error { all = append(all, r); return nil }))
	return all
}
