package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by release builds (-ldflags "-X ...cli.version=v1.2.3"); otherwise the module's build information tells.
var version = ""

// Version returns the release's name, or the commit it was built from.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func runVersion(_ context.Context, env Env) error {
	if _, err := parse(env, newFlags(env, "version", ""), 0); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.Stdout, "pushgate %s %s %s/%s\n", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
