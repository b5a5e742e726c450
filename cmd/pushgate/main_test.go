package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asMain makes a copy of the test's process the command itself.
const asMain = "RUN_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is the command with everything it says in one pipe.
type process struct {
	*exec.Cmd
	said *os.File
	tmp  string // its folder for throw-away files
}

func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	said, write, err := os.Pipe()
	require.NoError(t, err)
	p := &process{Cmd: exec.Command(name, args...), said: said, tmp: t.TempDir()}
	p.Env = append(os.Environ(), asMain+"=1", "TMPDIR="+p.tmp)
	p.Stdout, p.Stderr = write, write
	require.NoError(t, p.Start())
	require.NoError(t, write.Close())
	t.Cleanup(func() { _ = p.Process.Kill(); _ = said.Close() })
	return p
}

// waitFor reads until a line holds text.
func (p *process) waitFor(t *testing.T, text string) {
	t.Helper()
	lines := bufio.NewReader(p.said)
	for {
		line, err := lines.ReadString('\n')
		require.NoErrorf(t, err, "the process ended without %q", text)
		if strings.Contains(line, text) {
			return
		}
	}
}

// patience is far more than a clean end takes.
const patience = time.Minute

// ends waits for a clean end.
func (p *process) ends(t *testing.T) {
	t.Helper()
	late := time.AfterFunc(patience, func() { _ = p.Process.Kill() })
	defer late.Stop()
	go func() { _, _ = io.Copy(io.Discard, p.said) }()
	require.NoError(t, p.Wait())
	left, err := os.ReadDir(p.tmp)
	require.NoError(t, err)
	require.Empty(t, left, "throw-away keys stay")
}

// TestHangup_EndsWhatIsNoService: closing the terminal of a try-out must not leave it running for ever.
func TestHangup_EndsWhatIsNoService(t *testing.T) {
	t.Parallel()
	for command, ready := range map[string]string{"dev": "gateway  http://", "simulate": `"credentials"`} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			p := start(t, os.Args[0], command)
			p.waitFor(t, ready)
			require.NoError(t, p.Process.Signal(syscall.SIGHUP))
			p.ends(t)
		})
	}
}

// TestHangup_NohupIsObeyed: whoever wants a try-out to survive the terminal says so.
func TestHangup_NohupIsObeyed(t *testing.T) {
	t.Parallel()
	p := start(t, "sh", "-c", `trap "" HUP; exec "$0" simulate`, os.Args[0])
	p.waitFor(t, `"credentials"`)
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.Process.Pid), "status"))
	if err != nil {
		t.Skip("this system does not show which signals are ignored")
	}
	_, mask, _ := strings.Cut(string(status), "SigIgn:\t")
	ignored, err := strconv.ParseUint(strings.Fields(mask)[0], 16, 64)
	require.NoError(t, err)
	require.NotZero(t, ignored&(1<<(syscall.SIGHUP-1)))
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	p.ends(t)
}

const config = `roles: [clientserver]
data_dir: data
listen: {public: "127.0.0.1:0", admin: "127.0.0.1:0"}
auth: {tokens_file: tokens.yaml}
`

// TestServe_OutlivesWhoReadsItsLog: `serve 2>&1 | head -2` loses the log, not what is under way.
func TestServe_OutlivesWhoReadsItsLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokens.yaml"), []byte("[]\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pushgate.yaml"), []byte(config), 0o600))
	p := start(t, os.Args[0], "serve", "--config", filepath.Join(dir, "pushgate.yaml"))
	p.waitFor(t, `"msg":"ready"`)
	require.NoError(t, p.said.Close())
	require.NoError(t, p.Process.Signal(syscall.SIGHUP)) // the reload and the stop have something to say
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.Wait(), "it stops in order")
}
