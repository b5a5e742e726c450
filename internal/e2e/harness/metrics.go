package harness

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Metrics are the samples of one scrape, by name with labels as they were written.
type Metrics map[string]float64

// Metrics scrapes the node.
func (n *Node) Metrics(t testing.TB) Metrics {
	t.Helper()
	a := n.Admin(t, "/metrics")
	require.Equal(t, http.StatusOK, a.Status)
	m := Metrics{}
	for line := range strings.Lines(a.Body) {
		name, value, ok := cutLast(strings.TrimSpace(line), ' ')
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err, line)
		m[name] = v
	}
	return m
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// Sum adds the samples of a metric whose labels contain all these texts, for instance `state="queued"`.
func (m Metrics) Sum(name string, labels ...string) float64 {
	sum := 0.0
samples:
	for key, v := range m {
		if key != name && !strings.HasPrefix(key, name+"{") {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(key, l) {
				continue samples
			}
		}
		sum += v
	}
	return sum
}

// Devices is the account of a process: pushgate_devices_total by state.
func (m Metrics) Devices(state string) int64 {
	return int64(m["pushgate_devices_total{state=\""+state+"\"}"])
}

// Pending is how many devices the process still answers for.
func (m Metrics) Pending() int64 { return int64(m["pushgate_devices_pending"]) }

// Imbalance is accepted + taken_over - (delivered + rejected + dead_lettered + expired + handed_over + pending). It is 0
// while no request is under way.
func (m Metrics) Imbalance() int64 {
	return m.Devices("accepted") + m.Devices("taken_over") - m.Devices("delivered") - m.Devices("rejected") -
		m.Devices("dead_lettered") - m.Devices("expired") - m.Devices("handed_over") - m.Pending()
}
