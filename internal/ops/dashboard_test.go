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
	"go.yaml.in/yaml/v3"
)

// TestDashboard_UsesMetricsThatExist holds what is shipped for operators against the instruments of this package.
func TestDashboard_UsesMetricsThatExist(t *testing.T) {
	t.Parallel()
	descriptions := make(chan *prometheus.Desc, 200)
	m := NewMetrics("test")
	m.Dispatch(func() Dispatcher { return nil })
	m.registry.Describe(descriptions)
	close(descriptions)
	have := map[string]bool{}
	name := regexp.MustCompile(`fqName: "([a-z_]+)"`)
	for d := range descriptions {
		have[name.FindStringSubmatch(d.String())[1]] = true
	}
	require.True(t, have["pushgate_requests_total"])
	used := regexp.MustCompile(`\bpushgate_[a-z_]+`)
	for _, file := range []string{"grafana.json", "alerts.yaml", "README.md", "../README.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
		require.NoError(t, err)
		found := used.FindAllString(string(text), -1)
		require.NotEmpty(t, found, file)
		for _, m := range found {
			base := strings.TrimSuffix(m, "_bucket")
			require.Truef(t, have[base], "%s: there is no metric %s", file, m)
		}
		switch filepath.Ext(file) {
		case ".json":
			require.True(t, json.Valid(text))
		case ".yaml":
			require.NoError(t, yaml.Unmarshal(text, new(struct {
				Groups []struct{ Rules []map[string]any }
			})))
		}
	}
}

// TestAlerts_AreExplainedWhereOperatorsLook reads the kinds of alert from the room that raises them.
func TestAlerts_AreExplainedWhereOperatorsLook(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "gateway", "alert.go"))
	require.NoError(t, err)
	kinds := regexp.MustCompile(`\balert[A-Z]\w+\s*= "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(kinds), 3)
	for _, file := range []string{"metrics.go", "../../deploy/grafana.json", "../../deploy/README.md"} {
		text, err := os.ReadFile(filepath.FromSlash(file))
		require.NoError(t, err)
		for _, k := range kinds {
			require.Regexpf(t, `\b`+k[1]+`\b`, string(text), "%s does not name the alert %s", file, k[1])
		}
	}
}
