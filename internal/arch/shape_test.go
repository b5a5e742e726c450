package arch

import (
	"go/ast"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The bars of the house style. Median and tail are goals for reviews; these are the limits nobody may pass.
const (
	maxFileLines = 600
	maxFuncLines = 110
)

// longSetup is the one function that may be long: wiring reads best straight through.
const longSetup = "internal/app/app.go:setup"

func TestShape_EveryPackageHasOneComment(t *testing.T) {
	t.Parallel()
	docs := map[string][]string{}
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || s.generated || s.dir == "." {
			continue
		}
		seen[s.dir] = true
		if s.file.Doc != nil {
			docs[s.dir] = append(docs[s.dir], s.path)
		}
	}
	for dir := range seen {
		require.Lenf(t, docs[dir], 1, "package %s must say in exactly one place what it owns and what not", dir)
	}
}

func TestShape_FilesAndFunctionsStaySmall(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || s.generated {
			continue
		}
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines, the limit is %d", s.path, s.lines, maxFileLines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || s.path+":"+f.Name.Name == longSetup {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFuncLines {
				t.Errorf("%s: %s has %d lines, the limit is %d", s.path, f.Name.Name, n, maxFuncLines)
			}
		}
	}
}

func TestShape_GenHoldsGeneratedFilesOnly(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if within(s.dir, "gen") {
			require.Truef(t, s.generated, "%s is in gen/ and was not generated", s.path)
		}
	}
}

func TestShape_MainIsThin(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root(t), "cmd", "pushgate", "main.go"))
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(text), "\n"), 60, "main maps flags and signals, nothing else")
}

func TestShape_NoRoomForOddsAndEnds(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		switch base := filepath.Base(s.dir); base {
		case "util", "utils", "common", "helpers", "misc", "types", "models":
			t.Errorf("%s: a package named %s owns nothing in particular", s.path, base)
		}
	}
}
