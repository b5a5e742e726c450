package harness

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Process is one started pushgate.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	code int

	mu    sync.Mutex
	text  strings.Builder // standard output and standard error
	lines chan string     // standard error, line by line, until nobody reads any more
}

// Start runs the binary. Standard output goes to out when it is not nil. The process is killed at the end of the test.
func Start(t testing.TB, out io.Writer, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(binary, args...), done: make(chan struct{}), lines: make(chan string, 10_000)} //nolint:gosec // our own command
	p.cmd.Env = append(os.Environ(), env...)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	if out == nil {
		out = io.Discard
	}
	p.cmd.Stdout = io.MultiWriter(out, p)
	require.NoError(t, p.cmd.Start())
	go p.follow(stderr)
	t.Cleanup(func() { p.Kill(); p.Wait(t) })
	return p
}

// Write keeps standard output for Output.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *Process) follow(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(make([]byte, 1<<16), 1<<22)
	for lines.Scan() {
		_, _ = p.Write(append(lines.Bytes(), '\n'))
		select {
		case p.lines <- lines.Text():
		default:
		}
	}
	_ = p.cmd.Wait() // the exit code says it
	p.code = p.cmd.ProcessState.ExitCode()
	close(p.lines)
	close(p.done)
}

// Output is everything the process has said so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process without a chance to do anything.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Alive reports whether the process has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end of the process and returns its exit code, -1 after a signal.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(Patience):
		t.Fatalf("the process does not end:\n%s", p.Output())
	}
	return p.code
}

// logLine is what the harness reads of a log line.
type logLine struct {
	Msg      string `json:"msg"`
	Listener string `json:"listener"`
	Address  string `json:"address"`
}

// Ready waits until the gateway answers and returns the listeners' addresses by name.
func (p *Process) Ready() (map[string]string, error) {
	found := map[string]string{}
	timeout := time.After(Patience)
	for {
		select {
		case text, ok := <-p.lines:
			if !ok {
				return nil, fmt.Errorf("the process ended before it was ready:\n%s", p.Output())
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
