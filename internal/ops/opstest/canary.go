package opstest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/ops"
)

// minCanary is the shortest canary that cannot turn up by chance.
const minCanary = 8

// Journal is a log that remembers everything. The zero value is ready to use, by several goroutines at once.
type Journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// Bytes returns a copy of what was written so far.
func (j *Journal) Bytes() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Clone(j.text.Bytes())
}

// Logger returns a logger at debug level that writes here, through the same net as the real one.
func (j *Journal) Logger() *slog.Logger {
	log, _, err := ops.NewLogger(j, ops.LogOptions{Level: "debug", Format: "json"})
	if err != nil {
		panic(err) // both options are constants
	}
	return log
}

// Scrape returns what a scrape of m shows.
func Scrape(t testing.TB, m *ops.Metrics) []byte {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, rec.Code, "metrics cannot be scraped")
	text, err := io.ReadAll(rec.Body)
	require.NoError(t, err)
	return text
}

// Find returns the positions of the canaries that show in text, in any spelling: as they are, in either case, reversed
// into JSON, a URL, hex or Base64. Canaries of fewer than eight characters are a mistake of the test and count as found.
func Find(text []byte, canaries ...string) []int {
	lower := bytes.ToLower(text)
	var found []int
	for i, c := range canaries {
		if len(c) < minCanary || shows(text, lower, c) {
			found = append(found, i)
		}
	}
	return found
}

// RequireClean fails the test when a canary shows. It says which one by its position, not by its text.
func RequireClean(t testing.TB, where string, text []byte, canaries ...string) {
	t.Helper()
	require.Empty(t, Find(text, canaries...), "canaries (by position) show in %s", where)
}

func shows(text, lower []byte, canary string) bool {
	if bytes.Contains(lower, []byte(strings.ToLower(canary))) || bytes.Contains(lower, []byte(hex.EncodeToString([]byte(canary)))) {
		return true
	}
	for _, spelling := range spellings(canary) {
		if bytes.Contains(text, []byte(spelling)) {
			return true
		}
	}
	return false
}

func spellings(canary string) []string {
	quoted, err := json.Marshal(canary)
	if err != nil {
		quoted = []byte(canary)
	}
	all := []string{
		strings.Trim(string(quoted), `"`),
		url.QueryEscape(canary), url.PathEscape(canary),
	}
	// Inside a longer Base64 text a canary has three shapes, by where it begins; the ends mix with the neighbours.
	for shift := range 3 {
		padded := append(make([]byte, shift), canary...)
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := enc.EncodeToString(padded)
			from := (shift*8 + 5) / 6
			to := len(text)
			if len(padded)%3 != 0 {
				to--
			}
			all = append(all, text[from:to])
		}
	}
	return all
}
