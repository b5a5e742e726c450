//go:build jssdk

package e2e

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestJSSDK_ManagesPushers runs matrix-js-sdk against the built binary. It is an extra check behind make matrix-js-sdk,
// because it needs Node.js and packages from npm.
func TestJSSDK_ManagesPushers(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, "{url: sqlite}").up(t)
	cmd := exec.Command("node", "check.mjs", r.base, "canary-ada")
	cmd.Dir = "jssdk"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "setPusher, getPushers and removePusher work")
}
