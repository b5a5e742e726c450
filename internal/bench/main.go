package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// options are the words on the command line.
type options struct {
	seconds int
	short   bool
	check   string
	only    string
	profile string
	binary  string
	pgo     string
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "stub":
			exit(runStub(os.Args[2:]))
			return
		case "echo":
			exit(runEcho(os.Args[2:]))
			return
		case "bare":
			exit(runBare(os.Args[2:]))
			return
		}
	}
	var o options
	flag.IntVar(&o.seconds, "seconds", 5, "length of one measurement")
	flag.BoolVar(&o.short, "short", false, "only the rows that -check looks at")
	flag.StringVar(&o.check, "check", "", "file with committed ratios: exit 1 when one is exceeded by more than 25 %")
	flag.StringVar(&o.only, "only", "", "only rows whose name contains this")
	flag.StringVar(&o.profile, "profile", "", "folder for CPU and heap profiles of every row")
	flag.StringVar(&o.pgo, "pgo", "", "file for the rows' merged CPU profile, for the compiler")
	flag.StringVar(&o.binary, "binary", "", "the pushgate to measure; without one it is built from this tree")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o, os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures everything and prints one table.
func run(ctx context.Context, o options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "pushgate-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	rig, err := newRig(ctx, dir, o)
	if err != nil {
		return err
	}
	defer rig.close()
	duration := time.Duration(o.seconds) * time.Second
	limits, err := rig.limits(ctx, duration)
	if err != nil {
		return err
	}
	report := newReport(out, limits)
	for _, w := range workloads() {
		if o.short && !w.checked || o.pgo != "" && !w.plain() || !strings.Contains(w.name, o.only) {
			continue
		}
		r, err := rig.measure(ctx, w, duration)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		report.add(w, r)
	}
	report.print()
	if o.pgo != "" {
		return rig.writePGO(ctx, o.pgo)
	}
	if o.check != "" {
		return report.compare(o.check)
	}
	return nil
}

// build makes the binary that is measured, as `make build` does.
func build(ctx context.Context, dir string) (string, error) {
	file := filepath.Join(dir, "pushgate")
	cmd := exec.CommandContext(ctx, "go", "build", "-pgo=auto", "-trimpath", "-ldflags=-s -w", "-tags", "nomsgpack", "-o", file, "github.com/pushgate/pushgate/cmd/pushgate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, text)
	}
	return file, nil
}
