package ops

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// TestDashboard_UsesMetricsThatExist holds what is shipped for operators against the instruments of this package.
func TestDashboard_UsesMetricsThatExist(t *testing.T) {
	t.Parallel()
	descriptions := make(chan *prometheus.Desc, 200)
	NewMetrics("test").registry.Describe(descriptions)
	close(descriptions)
	have := map[string]bool{}
	name := regexp.MustCompile(`fqName: "([a-z_]+)"`)
	for d := range descriptions {
		have[name.FindStringSubmatch(d.String())[1]] = true
	}
	require.True(t, have["pushgate_requests_total"])
	used := regexp.MustCompile(`\bpushgate_[a-z_]+`)
	for _, file := range []string{"grafana.json", "README.md", "../README.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
		require.NoError(t, err)
		found := used.FindAllString(string(text), -1)
		require.NotEmpty(t, found, file)
		for _, m := range found {
			base := strings.TrimSuffix(m, "_bucket")
			require.Truef(t, have[base], "%s: there is no metric %s", file, m)
		}
		if strings.HasSuffix(file, ".json") {
			require.True(t, json.Valid(text))
		}
	}
}
