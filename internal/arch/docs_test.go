package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxReadmeLines keeps the front door short enough to be read.
const maxReadmeLines = 200

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(path)))
	require.NoError(t, err)
	return string(text)
}

func TestDocs_ReadmeIsShort(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, strings.Count(read(t, "README.md"), "\n"), maxReadmeLines)
}

func TestDocs_LinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	for _, page := range []string{"README.md", "deploy/README.md"} {
		links := link.FindAllStringSubmatch(read(t, page), -1)
		require.NotEmpty(t, links, page)
		for _, l := range links {
			file, heading, _ := strings.Cut(l[1], "#")
			target := filepath.ToSlash(filepath.Join(filepath.Dir(page), file))
			if _, err := os.Stat(filepath.Join(root(t), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s, which is not there", page, l[1])
				continue
			}
			if heading != "" {
				require.Contains(t, strings.ToLower(read(t, target)), "\n## "+strings.ReplaceAll(heading, "-", " ")+"\n", page)
			}
		}
	}
}

// TestDocs_EveryDependencyHasAReason holds the direct requirements of go.mod against tools.go.
func TestDocs_EveryDependencyHasAReason(t *testing.T) {
	t.Parallel()
	reasons := read(t, "tools.go")
	required := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read(t, "go.mod"), -1)
	require.Greater(t, len(required), 10)
	for _, m := range required {
		name := strings.TrimPrefix(m[1], "github.com/")
		require.Containsf(t, reasons, name, "tools.go does not say why %s is needed", m[1])
	}
}
