package opstest_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pushgate/pushgate/internal/ops/opstest"
)

func TestFind_AnySpelling(t *testing.T) {
	t.Parallel()
	const canary = `Can"ary/key+1=é`
	quoted, err := json.Marshal(canary)
	require.NoError(t, err)
	texts := map[string]string{
		"bare":         "x" + canary + "y",
		"lower case":   strings.ToLower(canary),
		"JSON":         string(quoted),
		"query":        url.QueryEscape(canary),
		"path":         url.PathEscape(canary),
		"hex":          hex.EncodeToString([]byte("ab" + canary)),
		"capital hex":  strings.ToUpper(hex.EncodeToString([]byte(canary))),
		"error printf": fmt.Sprintf("%q", canary),
	}
	for shift := range 4 {
		inside := []byte(strings.Repeat("a", shift) + canary + "tail")
		texts[fmt.Sprint("Base64 at ", shift)] = base64.StdEncoding.EncodeToString(inside)
		texts[fmt.Sprint("Base64url at ", shift)] = base64.RawURLEncoding.EncodeToString(inside)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, []int{1}, opstest.Find([]byte("before "+text+" after"), "not there at all", canary))
		})
	}
}

func TestFind_NothingByChance(t *testing.T) {
	t.Parallel()
	require.Empty(t, opstest.Find([]byte(strings.Repeat("0123456789abcdef", 1000)), "canary-canary", "0123456789abcdeg"))
	require.Equal(t, []int{0}, opstest.Find([]byte("text"), "short"), "a short canary proves nothing")
	require.Empty(t, opstest.Find([]byte("text")))
}

func TestJournal_LogsAtDebugLevel(t *testing.T) {
	t.Parallel()
	var j opstest.Journal
	j.Logger().Debug("quiet canary")
	require.Equal(t, []int{0}, opstest.Find(j.Bytes(), "quiet canary"))
	opstest.RequireClean(t, "the log", j.Bytes(), "another canary")
}
