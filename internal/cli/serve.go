package cli

import (
	"context"
	"fmt"

	"github.com/pushgate/pushgate/internal/app"
	"github.com/pushgate/pushgate/internal/config"
)

func runServe(ctx context.Context, env Env) error {
	fs := newFlags(env, "serve", "--config FILE")
	file := fs.String("config", "pushgate.yaml", "configuration file")
	if _, err := parse(env, fs, 0); err != nil {
		return err
	}
	load := func() (*config.Config, error) { return config.Load(*file) }
	cfg, err := load()
	if err != nil {
		return err
	}
	return app.Run(ctx, app.Options{Config: cfg, Load: load, Reload: env.Reload, Log: env.Stderr, Version: Version()})
}

// runConfigCheck is the same code that serve starts with.
func runConfigCheck(_ context.Context, env Env) error {
	fs := newFlags(env, "config check", "FILE")
	args, err := parse(env, fs, 1)
	if err != nil {
		return err
	}
	cfg, err := config.Load(args[0])
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings() {
		_, _ = fmt.Fprintf(env.Stderr, "warning: %s\n", w)
	}
	_, _ = fmt.Fprintf(env.Stdout, "%s is good: roles %v, %d apps, storage %s\n", args[0], cfg.Roles, len(cfg.Apps), engineName(cfg))
	return nil
}

func engineName(c *config.Config) string {
	if c.Storage.SQLite() {
		return "sqlite"
	}
	return "postgres"
}
