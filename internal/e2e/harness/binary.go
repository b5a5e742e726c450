package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Patience bounds every wait for another process. Nothing is asserted about how long things take.
const Patience = 60 * time.Second

// binary is the built command, made once for all tests of a test binary.
//
//nolint:gochecknoglobals // Building takes seconds, and TestMain can hand nothing to tests.
var binary string

// Main builds the binary and runs the tests. A package that uses the harness calls it from TestMain.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pushgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "pushgate")
	// Without the compiler's profile: everything that tests compile is compiled already.
	build := exec.Command("go", "build", "-pgo=off", "-o", binary, "github.com/pushgate/pushgate/cmd/pushgate") //nolint:gosec // our own command
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
