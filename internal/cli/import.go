package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/pushgate/pushgate/internal/config"
	"github.com/pushgate/pushgate/internal/config/importer"
)

// importWith converts one foreign file: the configuration goes to standard output or -o, what there is to say about it
// to standard error.
func importWith(name string, convert func([]byte) (importer.Result, error)) func(context.Context, Env) error {
	return func(_ context.Context, env Env) error {
		fs := newFlags(env, "config import "+name, "[-o pushgate.yaml] FILE")
		out := fs.String("o", "", "file to write (0600, never overwritten); empty prints the configuration")
		args, err := parse(env, fs, 1)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(args[0])
		if err != nil {
			return fmt.Errorf("read the file: %w", err)
		}
		res, err := convert(text)
		if err != nil {
			return err
		}
		return writeImport(env, args[0], *out, res)
	}
}

func writeImport(env Env, source, out string, res importer.Result) error {
	for _, n := range res.Notes {
		_, _ = fmt.Fprintf(env.Stderr, "%s: %s\n", n.Key, n.Text)
	}
	if out == "" {
		_, _ = env.Stdout.Write(res.YAML)
		if len(res.Files) > 0 {
			return errors.New("the file holds a secret that belongs into a file of its own: name the configuration with -o and it is written beside it")
		}
		checkImport(env, res.YAML, ".")
		return nil
	}
	files := map[string][]byte{out: res.YAML}
	for name, secret := range res.Files {
		files[filepath.Join(filepath.Dir(out), name)] = []byte(secret + "\n")
	}
	if err := writeAll(files); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.Stderr, "\nwrote %s, imported from %s\n", out, source)
	if checkImport(env, res.YAML, filepath.Dir(out)) {
		_, _ = fmt.Fprintf(env.Stderr, "it is good; next: pushgate serve --config %s\n", out)
	}
	return nil
}

// checkImport tells what is still missing before the result can serve: mostly keys that are not in their place yet. That
// is no failure of the import.
func checkImport(env Env, yaml []byte, dir string) bool {
	cfg, err := config.Parse(yaml, dir)
	if err == nil {
		for _, w := range cfg.Warnings() {
			_, _ = fmt.Fprintf(env.Stderr, "warning: %s\n", w)
		}
	} else {
		_, _ = fmt.Fprintf(env.Stderr, "\nbefore pushgate can serve it (pushgate config check tells again):\n%v\n", err)
	}
	return err == nil
}

// writeAll creates all files or none.
func writeAll(files map[string][]byte) error {
	var made []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeNew(name, files[name]); err != nil {
			for _, earlier := range made {
				_ = os.Remove(earlier)
			}
			return err
		}
		made = append(made, name)
	}
	return nil
}

// writeNew creates a file that only its owner can read, and refuses to overwrite one.
func writeNew(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(file)
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
